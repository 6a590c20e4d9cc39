"""Write `explanation/laws.md`: each law, what shows that it was met, and what bug it kills."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

from llmmw.testing._events import EVENTS
from llmmw.testing._pairs import PAIRS
from llmmw.testing._table import CORES, TABLE, Law

HERE = Path(__file__).parent
PAGE = HERE / "explanation" / "laws.md"

HEAD = """\
# The laws

<!-- Written by docs/make_laws.py. -->

What every policy must obey, and every stack of policies. A law is a function that looks at all
that happened in a run and raises `AssertionError` with its number. The runs are of drawn worlds,
in virtual time: targets that answer, fail, break off, hang or ask to wait; callers that listen,
lose patience, leave or raise; and trio's order of tasks, which is drawn too.

`assert_laws(MyPolicy)` in `llmmw.testing` tries them all on a policy of your own. `llmmw laws`
draws stacks of all policies and worlds for them, as many as `--examples` says, and prints of each
law how many cases it applied to, in how many of them happened what it speaks of (its *event*
below), and whether it holds. Of a law that is broken it prints the smallest program that shows it.
`llmmw laws --examples 1000000` is a night's work.

A law that finds no bug is none. Each is tried on seeded bugs (*mutants*), and the tests fail if one
survives, or if a law no longer kills the one that stands beside it here.
"""


def _rows(laws: list[Law], killers: dict[int, str]) -> Iterator[str]:
    yield "| law | says | event | kills |"
    yield "| --- | --- | --- | --- |"
    for law in laws:
        event = EVENTS.get(law.event, "")
        killer = f"`{killers[law.number]}`" if law.number in killers else "nothing yet"
        yield f"| {law.name} | {law.statement} | {event} | {killer} |"


def page() -> str:
    """The whole page."""
    found = runpy.run_path(str(HERE.parent / "tests" / "laws" / "killers.py"))
    killers, unproven = found["KILLERS"], found["UNPROVEN"]
    pairs = [law for number, law in PAIRS.items() if number not in TABLE]
    lines = [HEAD, "## Laws of one run", "", *_rows([*TABLE.values()], killers)]
    lines += ["", "## Laws that compare runs", ""]
    lines += ["Their event is that there was something to compare.", "", *_rows(pairs, killers)]
    lines += ["", "## Laws of pure parts", "", "Proven by tests of their own, most by a model.", ""]
    lines += ["| law | says | proven in |", "| --- | --- | --- |"]
    for number, (statement, place) in sorted(CORES.items()):
        if number not in TABLE:
            lines.append(f"| L{number} | {statement} | `{place}` |")
    lines += ["", "## Unproven", ""]
    lines += ["These hold in all runs, but no seeded bug was found by them so far.", ""]
    lines += [f"- L{number}: {reason}" for number, reason in sorted(unproven.items())]
    lines += ["", "## Corrected", "", found["CORRECTED"].strip(), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
