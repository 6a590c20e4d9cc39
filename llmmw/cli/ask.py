"""`llmmw ask`: ask one question."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import click
import orjson
import trio

from llmmw._instrument import Instrument
from llmmw._messages import Message
from llmmw._parts import MediaPart, TextPart
from llmmw._request import Request, generate_of
from llmmw._response import Generation
from llmmw._session import Client
from llmmw.cli._model import Setup, set_up
from llmmw.cli._options import asking_options, check_parameters
from llmmw.cli._out import Output, open_output
from llmmw.cli._progress import downloads, open_display
from llmmw.cli._rows import answer_of, encode
from llmmw.cli._run import reason_of
from llmmw.cli._watch import Watch
from llmmw.errors import BadRequest

__all__ = ["ask"]

_MOST_BYTES = 64 * 2**20


@click.command(short_help="Ask one question.")
@click.argument("words", nargs=-1, metavar="[PROMPT]")
@asking_options
@click.option("--temperature", type=float, help="0 for the likeliest words, higher for others.")
@click.option("--max-output-tokens", type=int, help="Where the answer is cut.")
@click.option("--seed", type=int, help="For the same answer again, where a model can do that.")
@click.option("--stop", multiple=True, metavar="TEXT", help="Ends the answer. Repeatable.")
@click.option(
    "--schema",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A JSON schema that the answer follows.",
)
@click.option(
    "-a",
    "--attach",
    "attachments",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An image or document that belongs to the prompt. Repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one row of JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Tell attempts, waits and speed on stderr.")
def ask(
    words: tuple[str, ...],
    models: tuple[str, ...],
    system: str | None,
    parameters: dict[str, Any],
    timeout: float | None,
    config: Path | None,
    schema: Path | None,
    attachments: tuple[Path, ...],
    as_json: bool,
    verbose: bool,
    **frequent: Any,
) -> None:
    """Ask a model and print its answer as it is written.

    The prompt is the argument, or the standard input if there is none or it is "-". With both, the
    argument comes first, then a blank line, then the standard input.

    \b
    Examples:
      llmmw ask "Why is the sky blue?"
      git diff | llmmw ask "Write a commit message." -m openai:gpt-4o-mini -m local:smollm2
      llmmw ask "What is this?" -a photo.jpg --json
      llmmw ask "Yes or no: is 7 a prime?" -p 'output={"choice": ["yes", "no"]}'

    Exit status: 0 for an answer, 1 when the call failed (what had come of a broken answer is
    printed), 2 when the command or the configuration is wrong, 130 after Ctrl-C.
    """  # noqa: D301 (click wants the character)
    given = dict(parameters)
    given |= {name: one for name, one in frequent.items() if one is not None and name != "stop"}
    if frequent["stop"]:
        given["stop_sequences"] = frequent["stop"]
    if system is not None:
        given["system"] = system
    if schema is not None:
        given["output"] = _schema(schema)
    check_parameters(given)
    setup = set_up(models, config)
    request = _request(_prompt(words), attachments, given)
    with open_output() as file:
        question = Question(setup, request, timeout, Output(file))
        question.answer(as_json=as_json, verbose=verbose)


def _schema(path: Path) -> dict[str, Any]:
    try:
        data = orjson.loads(path.read_bytes())
    except OSError as error:
        raise click.UsageError(f"can't read the schema: {reason_of(error)}") from error
    except orjson.JSONDecodeError as error:
        raise click.UsageError(f"the schema {path} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise click.UsageError(f"the schema {path} is no JSON object")
    return {"json_schema": data}


def _prompt(words: tuple[str, ...]) -> str:
    """The prompt out of the arguments and the standard input."""
    argument = "" if words == ("-",) else " ".join(words)
    piped = ""
    if sys.stdin is not None and (not argument or not sys.stdin.isatty()):
        if sys.stdin.isatty() and not words:
            raise click.UsageError('what shall be asked? For example: llmmw ask "Say hello."')
        piped = _stdin().removesuffix("\n")
    prompt = "\n\n".join(text for text in (argument, piped) if text.strip())
    if not prompt:
        raise click.UsageError("there is nothing to ask: neither an argument nor an input")
    return prompt


def _stdin() -> str:
    data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise click.UsageError(f"the standard input is longer than {_MOST_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the standard input is no UTF-8 text: {error}") from error


def _request(prompt: str, attachments: tuple[Path, ...], given: dict[str, Any]) -> Request:
    try:
        media = tuple(MediaPart.from_file(path) for path in attachments)
        return generate_of(Message("user", (TextPart(prompt), *media)), **given)
    except BadRequest as error:
        raise click.UsageError(str(error)) from error


@attrs.define(eq=False)
class Question:
    """One call and where its answer is printed."""

    setup: Setup
    request: Request
    timeout: float | None
    output: Output
    _watch: Watch = attrs.field(factory=Watch)
    _last: str = "\n"

    def answer(self, *, as_json: bool, verbose: bool) -> None:
        """Ask, print, and tell on stderr what is to know about the answer."""
        with open_display() as display:
            instruments: list[Instrument] = [downloads(display)]
            if verbose:
                instruments.append(self._watch)
            client = self.setup.client(instruments)
            try:
                response = trio.run(self._row if as_json else self._stream, client)
            finally:
                if verbose:
                    self._watch.show()
        if verbose:
            self._watch.close(response)
        _remark(response, as_json=as_json)

    async def _row(self, client: Client) -> Generation:
        async with client:
            response = await client.ask(self.request, timeout=self.timeout)
            await self.output.write(encode(answer_of(response)))
        return response

    async def _stream(self, client: Client) -> Generation:
        async with client:
            try:
                async with client.stream(self.request, timeout=self.timeout) as stream:
                    async for piece in stream.text:
                        self._watch.hold = self.output.is_terminal
                        await self.output.text(piece)
                        self._last = piece
                    return stream.response
            finally:
                # Whatever is printed next, a message or a prompt, begins on a line of its own.
                with trio.CancelScope(shield=True), trio.move_on_after(1):
                    if not self._last.endswith("\n"):
                        await self.output.text("\n")


def _remark(response: Generation, *, as_json: bool) -> None:
    notes = list(response.warnings)
    if response.finish_reason == "length":
        notes.append("the answer was cut at its limit of tokens; --max-output-tokens raises it")
    elif response.finish_reason in {"content_filter", "error", "other"}:
        notes.append(f"the answer ended early: {response.finish_reason}")
    if response.refusal:
        notes.append(f"the model refused: {response.refusal}")
    if not as_json:
        calls = (f"{call.name}({call.arguments})" for call in response.tool_calls)
        notes.extend(f"the model asks for a tool: {call}" for call in calls)
    for note in notes:
        click.echo(note, err=True)
