"""`llmmw map`: answer a file of questions."""

from __future__ import annotations

import stat
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from llmmw.cli._job import map_into_file
from llmmw.cli._limit import Limit
from llmmw.cli._lines import open_input
from llmmw.cli._mapping import Wanted, map_straight
from llmmw.cli._model import set_up
from llmmw.cli._options import asking_options, check_parameters
from llmmw.cli._out import Output, open_output
from llmmw.cli._run import FAILED, LIMITED
from llmmw.cli._template import Template

__all__ = ["map_file"]


def _dollars(ctx: click.Context, option: click.Parameter, given: str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        dollars = Decimal(given.removeprefix("$"))
    except InvalidOperation:
        dollars = Decimal(0)
    if not dollars.is_finite() or dollars <= 0:
        raise click.BadParameter(f"{given!r}: expected dollars above 0, for example 2.50")
    return dollars


@click.command("map", short_help="Answer a file of questions.")
@click.argument("source", metavar="INPUT")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the answers go; run again to go on where it stopped. Default: the standard "
    "output, which can't be gone on with.",
)
@asking_options
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="How many calls are alive at once.",
)
@click.option(
    "--prompt",
    "template",
    metavar="TEMPLATE",
    help="Makes the prompt of a row out of its columns: 'Translate {text} to {language}'. The "
    "columns are then no parameters.",
)
@click.option(
    "--model-column",
    metavar="NAME",
    help="The column with the model of a row. Default, without --prompt: model.",
)
@click.option(
    "--limit-cost",
    metavar="DOLLARS",
    callback=_dollars,
    help="Ask no more when all runs of this job have cost so much.",
)
@click.option(
    "--limit-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask no more when all runs of this job have used so many tokens, of input and output.",
)
@click.option("--retry-failed", is_flag=True, help="Ask the rows again that ended with an error.")
@click.option(
    "--dead-letters",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where rows that failed go, with their errors, as JSON lines. Default: beside the "
    "output, NAME.dead.jsonl, if there are any.",
)
@click.option("--fresh", is_flag=True, help="Forget what earlier runs have brought.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def map_file(
    source: str,
    output: Path | None,
    models: tuple[str, ...],
    system: str | None,
    parameters: dict[str, Any],
    timeout: float | None,
    config: Path | None,
    concurrency: int,
    template: str | None,
    model_column: str | None,
    limit_cost: Decimal | None,
    limit_tokens: int | None,
    retry_failed: bool,
    dead_letters: Path | None,
    fresh: bool,
    quiet: bool,
) -> None:
    """Answer every row of INPUT; - is the standard input.

    The names of INPUT and FILE say their formats: .csv, .parquet (with llmmw[parquet]), and JSON
    lines for all others.

    \b
    A row of the input:
      {"id": "a", "prompt": "Say hello.", "max_output_tokens": 20}
      {"id": "b", "messages": [{"role": "user", "content": "Say hello."}]}
    A row of the output, in the order of the input:
      {"id": "a", "text": "Hello!", "finish_reason": "stop", "usage": {…},
       "model": "local:smollm2", "seconds": 0.21}
      {"id": "b", "error": {"type": "RateLimited", "message": "…"}}

    A row may have any parameter of a request; it goes before that of the options. A row without
    an id is known by its number.

    With -o this is a job: FILE.journal keeps what came of each row within 50 ms. Whatever ends
    the run (Ctrl-C, a crash, a full disk), run the same command again: rows that were answered
    are not asked again, and those that failed only with --retry-failed. FILE is written when a
    run ends. Rows may be added to the input; a row that was answered can't be changed.

    \b
    Examples:
      llmmw map questions.jsonl -o answers.jsonl -m local:smollm2
      llmmw map words.csv -o words.parquet --prompt "Translate {word} to {language}"
      llmmw map - -m openai:gpt-4o-mini -m echo:any < questions.jsonl | jq .text

    Exit status: 0 when every row has an answer, 1 when some have an error or the output could
    not be written, 2 when the command or the configuration is wrong, 3 when a limit has ended
    it, 130 after Ctrl-C.
    """  # noqa: D301 (click wants the character)
    defaults = parameters | ({} if system is None else {"system": system})
    check_parameters(defaults)
    wanted = Wanted(
        template=None if template is None else Template.of(template),
        setup=set_up(models, config, quiet=quiet),
        defaults=defaults,
        model_column=model_column,
        concurrency=concurrency,
        timeout=timeout,
        limit=Limit(limit_cost, limit_tokens),
        fresh=fresh,
        retry_failed=retry_failed,
        dead_letters=dead_letters,
        quiet=quiet,
    )
    raise click.exceptions.Exit(_answer(wanted, source, output))


def _answer(wanted: Wanted, source: str, output: Path | None) -> int:
    """The exit status."""
    with open_input(source) as file:
        if output is not None and not _is_special(output):
            return map_into_file(wanted, source, file, output)
        for option in ("fresh", "retry_failed", "dead_letters"):
            if getattr(wanted, option):
                name = option.replace("_", "-")
                raise click.UsageError(f"--{name} needs a file for the output: -o FILE")
        with open_output(output) as file_number:
            meter = map_straight(wanted, source, file, Output(file_number))
    if wanted.limit.reason:
        click.echo(f"Stopped: {wanted.limit.reason}", err=True)
        return LIMITED
    return FAILED if meter.errors else 0


def _is_special(path: Path) -> bool:
    """Whether this is a device or a pipe: it can be written, but not read again."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
