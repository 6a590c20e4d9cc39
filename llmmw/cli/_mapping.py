"""The work of `llmmw map`: rows in, calls, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import attrs
import click
import trio

from llmmw._journal import Journal
from llmmw._map import Item, Requests
from llmmw._request import _ALIASES, Generate, check_names
from llmmw._response import Generation
from llmmw.cli._limit import Limit
from llmmw.cli._lines import PipedLines, is_piped, spooled
from llmmw.cli._meter import Meter
from llmmw.cli._model import Setup
from llmmw.cli._out import Output
from llmmw.cli._progress import Display, downloads, open_display
from llmmw.cli._rows import Feed, PipedFeed, answer_of, encode, error_of
from llmmw.cli._run import Failed, Misused, reason_of
from llmmw.cli._tables import Raw, Table, format_of, table_of
from llmmw.cli._template import Template
from llmmw.errors import BadRequest, LLMError

__all__ = ["Run", "Wanted", "map_straight", "told"]

_TICK = 0.5


@attrs.frozen(kw_only=True)
class Wanted:
    """What the options say."""

    setup: Setup
    defaults: Mapping[str, Any]
    template: Template | None
    model_column: str | None
    concurrency: int
    timeout: float | None
    limit: Limit
    fresh: bool
    retry_failed: bool
    dead_letters: Path | None
    quiet: bool

    def table(self, name: str, file: IO[bytes]) -> Table:
        """The input, once its columns are found to be what is needed.

        Raises:
            Misused: if they are not.
        """
        table = table_of(name, spooled(file), typed=self.template is None)
        columns = table.columns()
        if columns is None and self.template is not None:
            # Lines of JSON may differ; what the first lacks is a slip of the pen.
            first = next((data for _, data in table.rows() if isinstance(data, dict)), None)
            columns = None if first is None else [*first]
        if columns is not None:
            self._check(name, columns)
        return table

    def _check(self, name: str, columns: Iterable[str]) -> None:
        if self.model_column is not None and self.model_column not in columns:
            raise Misused(f"{name} has no column {self.model_column!r} for --model-column")
        if self.template is not None:
            self.template.check([*columns])
            return
        own = {"id", "prompt", "messages", "system", "model", self.model_column}
        try:
            check_names([one for one in columns if one not in own], Generate, also=_ALIASES)
            if not {"prompt", "messages"} & {*columns}:
                raise BadRequest('there is no column "prompt"')
        except BadRequest as error:
            hint = "--prompt makes one of columns: --prompt 'Translate {text}'"
            raise Misused(f"{name}: {error}; {hint}") from error

    def feed(self, raw: Iterable[Raw], unit: str) -> Feed:
        """The requests of an input."""
        known: set[object] = set()

        def check(target: object) -> None:
            if target not in known:
                self.setup.check_target(target)
                known.add(target)

        return Feed(
            raw,
            unit,
            self.defaults,
            check,
            self.template,
            self.model_column,
            self.limit.reached,
        )

    def say(self, text: str) -> None:
        """Tell the user, unless nothing shall be told."""
        if not self.quiet:
            click.echo(text, err=True)


@attrs.define(eq=False)
class Run:
    """Answers rows: into a journal, or else in their order into an output."""

    wanted: Wanted
    meter: Meter
    display: Display
    journal: Journal | None = None
    output: Output | None = None
    _rows: int = 0

    async def all(self, requests: Requests) -> None:
        """Answer every row."""
        meter, wanted = self.meter, self.wanted
        meter.begun = meter.ended = trio.current_time()
        client = wanted.setup.client([downloads(self.display), meter.hear])
        answers = client.map(
            requests,
            concurrency=wanted.concurrency,
            ordered=self.output is not None,
            errors="yield",
            journal=self.journal,
            progress=meter.see,
            timeout=wanted.timeout,
        )
        async with client, answers as items:
            client.host.start(self._tick)
            async for item in items:
                wanted.limit.check(item)
                if self.output is not None:
                    await self._write(item, self.output)
                meter.count(item)
                if item.journaled and not meter.answers:
                    meter.begun = trio.current_time()  # reading them is no part of the speed
        meter.ended = trio.current_time()

    async def _tick(self) -> None:
        """Shows how far it is even while nothing comes."""
        meter = self.meter
        while True:
            await trio.sleep(_TICK)
            now = trio.current_time()
            self.display.show(now, "rows", meter.done, meter.total, meter.line(now))

    async def _write(self, item: Item, output: Output) -> None:
        answer = item.response if item.error is None else item.error
        assert isinstance(answer, (Generation, LLMError))
        try:
            await output.write(encode({"id": item.id, **told(answer)}))
        except BrokenPipeError:
            raise
        except OSError as error:
            kept = f"{self._rows} rows are safe"
            raise Failed(f"can't write the output: {reason_of(error)}; {kept}") from error
        self._rows += 1


def told(answer: object, seconds: float | None = None) -> dict[str, Any]:
    """A row of the output, without its id."""
    if isinstance(answer, LLMError):
        return error_of(answer)
    assert isinstance(answer, Generation)
    return answer_of(answer, seconds)


def map_straight(wanted: Wanted, name: str, file: IO[bytes], output: Output) -> Meter:
    """Answer the rows into the standard output or a device, in order."""
    if is_piped(file) and format_of(name) == "jsonl":
        feed = wanted.feed((), "line")
        requests: Requests = PipedFeed(PipedLines(file.fileno()), feed)
        meter = Meter()
    else:
        table = wanted.table(name, file)
        meter = Meter(total=table.count())
        requests = wanted.feed(table.rows(), table.unit)
    wanted.limit.spent = lambda: meter.spent
    with open_display(quiet=wanted.quiet, bars=not output.is_terminal) as display:
        trio.run(Run(wanted, meter, display, output=output).all, requests)
    wanted.say(meter.summary())
    return meter
