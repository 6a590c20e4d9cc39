"""`llmmw map`: answer a file of questions."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import click

from llmmw.cli._lines import open_input
from llmmw.cli._mapping import Wanted, map_into_file, map_straight
from llmmw.cli._model import set_up
from llmmw.cli._options import asking_options, check_parameters
from llmmw.cli._out import Output, open_output
from llmmw.cli._run import FAILED

__all__ = ["map_file"]


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
@click.option("--fresh", is_flag=True, help="Forget the answers that FILE has.")
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
    fresh: bool,
    quiet: bool,
) -> None:
    """Answer every row of INPUT, a file of JSON lines; - is the standard input.

    \b
    A row of the input:
      {"id": "a", "prompt": "Say hello.", "max_output_tokens": 20}
      {"id": "b", "messages": [{"role": "user", "content": "Say hello."}]}
    A row of the output, in the order of the input:
      {"id": "a", "text": "Hello!", "finish_reason": "stop", "usage": {…},
       "model": "local:smollm2", "seconds": 0.21}
      {"id": "b", "error": {"type": "RateLimited", "message": "…"}}

    A row may have any parameter of a request; it goes before that of the options. A row without
    an id is known by the number of its line: give ids to an input that you will edit.

    With -o every answer is in the file as soon as it is there. Whatever ends the run (Ctrl-C, a
    crash, a full disk), run the same command again: rows with an answer are kept, the others
    are asked.

    \b
    Examples:
      llmmw map questions.jsonl -o answers.jsonl -m local:smollm2
      llmmw map - -m openai:gpt-4o-mini -m echo:any < questions.jsonl | jq .text

    Exit status: 0 when every row has an answer, 1 when some have an error or the output could
    not be written, 2 when the command or the configuration is wrong, 130 after Ctrl-C.
    """  # noqa: D301 (click wants the character)
    defaults = parameters | ({} if system is None else {"system": system})
    check_parameters(defaults)
    wanted = Wanted(
        setup=set_up(models, config, quiet=quiet),
        defaults=defaults,
        concurrency=concurrency,
        timeout=timeout,
        fresh=fresh,
        quiet=quiet,
    )
    with open_input(source) as file:
        if output is not None and not _is_special(output):
            meter = map_into_file(wanted, file, output)
        elif fresh:
            raise click.UsageError("--fresh needs a file to write anew: -o FILE")
        else:
            with open_output(output) as file_number:
                meter = map_straight(wanted, file, Output(file_number))
    if meter.errors:
        raise click.exceptions.Exit(FAILED)


def _is_special(path: Path) -> bool:
    """Whether this is a device or a pipe: it can be written, but not read again."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
