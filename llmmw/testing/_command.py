"""`llmmw laws`: the laws on random stacks, as long as one likes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from llmmw.testing._night import Night

__all__ = ["laws"]

_STEP = 1000
"""Examples after which the progress is shown."""


def _number(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> set[int]:
    """Laws by number: `101`, `L101` or `l101`."""
    found = set()
    for one in given:
        digits = one.upper().removeprefix("L")
        if not digits.isdigit():
            raise click.BadParameter(f"{one!r} is no law: expected a number, such as 101")
        found.add(int(digits))
    return found


@click.command(short_help="Try the laws of policies on random stacks.")
@click.option(
    "--examples",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many stacks and worlds to draw. A night's worth is a million.",
)
@click.option("--seed", default=0, show_default=True, help="Which ones.")
@click.option(
    "--law",
    "only",
    multiple=True,
    callback=_number,
    metavar="NUMBER",
    help="Try this law only; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def laws(examples: int, seed: int, only: set[int], as_json: bool) -> None:
    """Draw random stacks of policies and worlds to run them in, and look whether all laws hold.

    Of each law it tells the cases to which it applies, in how many of them happened what it is
    about, and whether it holds. Of a law that is broken, it prints a program that shows it. Ctrl-C
    ends it and prints what was found so far.

    \b
    Examples:
      llmmw laws
      llmmw laws --examples 1000000 --seed 7
      llmmw laws --law 101 --law 64

    Exit status: 1 if a law is broken, 130 after Ctrl-C.
    """  # noqa: D301 (click wants the character)
    try:
        from llmmw.testing._night import Night
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise click.ClickException("this needs Hypothesis: pip install 'llmmw[testing]'") from None
    night = Night(only=frozenset(only), seed=seed)
    unknown = only - {law.number for law in night.laws}
    if unknown:
        named = ", ".join(f"L{number}" for number in sorted(unknown))
        raise click.UsageError(f"{named}: no law that random stacks can try")
    interrupted = _run(night, examples)
    click.echo(_json(night) if as_json else _page(night), nl=False)
    if interrupted or night.breaches:
        raise click.exceptions.Exit(130 if interrupted else 1)


def _run(night: Night, examples: int) -> bool:
    """Whether Ctrl-C ended it."""
    shows = sys.stderr.isatty()
    try:
        for done in range(0, examples, _STEP):
            night.run(min(_STEP, examples - done))
            if shows:
                click.echo(f"\r{night.drawn} examples", err=True, nl=False)
    except KeyboardInterrupt:
        return True
    finally:
        if shows:
            click.echo(err=True)
    return False


def _json(night: Night) -> str:
    data: dict[str, Any] = {
        "examples": night.drawn,
        "seconds": night.seconds,
        "laws": night.rows(),
        "breaches": [
            {"law": one.law, "what": one.what, "program": one.program}
            for one in night.breaches.values()
        ],
    }
    return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _page(night: Night) -> str:
    pace = night.drawn / night.seconds if night.seconds else 0.0
    lines = [f"{'law':<6}{'cases':>9}{'events':>9}{'':>6}  {'verdict':<8}  statement"]
    for row in night.rows():
        share = f"{row['events'] / row['cases']:.0%}" if row["cases"] else "-"
        counts = f"{row['cases']:>9}{row['events']:>9}{share:>6}"
        lines.append(f"{row['law']:<6}{counts}  {row['verdict']:<8}  {row['statement']}")
    lines.append(f"{night.drawn} examples in {night.seconds:.1f} s, {pace:.0f} a second")
    for one in night.breaches.values():
        lines += ["", f"# {one.what}", one.program.rstrip()]
    return "\n".join([*lines, ""])
