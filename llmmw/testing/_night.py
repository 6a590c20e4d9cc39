"""The laws on random stacks, for a minute or for a night. Needs the extra `llmmw[testing]`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from llmmw.testing._pairs import PAIRS
from llmmw.testing._stacks import LONE, Example, examples
from llmmw.testing._table import CHECKS, TABLE, Count, Law, breaches, count, number_of
from llmmw.testing._virtual import seed_schedule
from llmmw.testing._world import run_world

__all__ = ["Breach", "Night"]

_BATCH = 500
_SHARES = {101: 250}
_SHARE = 20
"""A law that compares runs needs many for one example: one is drawn for so many of the others."""


@attrs.frozen
class Breach:
    """A law that was broken, and the smallest example of it."""

    law: str
    what: str
    program: str


@attrs.define
class Night:
    """Runs laws on so many random stacks, and tells what was found so far.

    Args:
        only: numbers of laws; default: all.
        seed: which examples are drawn.
    """

    only: frozenset[int] = frozenset()
    seed: int = 0
    counts: dict[int, Count] = attrs.field(factory=dict, init=False)
    breaches: dict[str, Breach] = attrs.field(factory=dict, init=False)
    drawn: int = attrs.field(default=0, init=False)
    """How many examples were drawn so far, besides those of laws that compare runs."""
    seconds: float = attrs.field(default=0.0, init=False)
    _batches: int = attrs.field(default=0, init=False)

    @property
    def laws(self) -> list[Law]:
        """The laws that are run."""
        every = [*TABLE.values(), *(PAIRS[n] for n in PAIRS if n not in TABLE)]
        return [law for law in every if not self.only or law.number in self.only]

    def run(self, number: int) -> None:
        """Draw so many examples, and some for each law that compares runs."""
        begun = time.monotonic()
        try:
            for start in range(0, number, _BATCH):
                batch = min(_BATCH, number - start)
                self._batches += 1
                wanted = self.drawn + batch
                while self.drawn < wanted and self._batch(wanted - self.drawn, 0, self._on_trace):
                    self._batches += 1  # a breach ends a batch
                for law in PAIRS.values():
                    if self._wanted(law.number):
                        self._pair(law, max(1, batch // _SHARES.get(law.number, _SHARE)))
        finally:
            self.seconds += time.monotonic() - begun

    def rows(self) -> list[dict[str, Any]]:
        """What was found, law by law."""
        found = []
        for law in self.laws:
            row = self.counts.get(law.number, Count())
            verdict = "holds" if row.events else "not met"
            found.append(
                {
                    "law": law.name,
                    "statement": law.statement,
                    "cases": row.cases,
                    "events": row.events,
                    "verdict": "broken" if law.name in self.breaches else verdict,
                }
            )
        return found

    def _wanted(self, number: int) -> bool:
        return (not self.only or number in self.only) and f"L{number}" not in self.breaches

    def _on_trace(self, example: Example, counting: bool) -> None:
        checks = [c for c in CHECKS if self._wanted(number_of(c))]
        if not checks:
            return
        trace = run_world(example.world, example.stack)
        if counting:
            self.drawn += 1
            count(trace, self.counts)
        for broken in breaches(trace, checks):
            if _law_of(broken) not in self.breaches:
                raise AssertionError(broken)

    def _pair(self, law: Law, number: int) -> None:
        row = self.counts.setdefault(law.number, Count())

        def check(example: Example, counting: bool) -> None:
            met = [check(example.world, example.stack) for check in law.checks]
            if counting and law.number not in TABLE:
                row.cases += 1
                row.events += any(one is not False for one in met)

        name = law.checks[0].__name__
        self._batch(number, law.number, check, f"{name}(world, stack)")

    def _batch(
        self, number: int, stream: int, check: Callable[[Example, bool], None], *program: str
    ) -> bool:
        """Try examples; of a breach, keep the smallest. Whether there was one."""
        found: list[tuple[Example, AssertionError]] = []

        @seeded(hash((self.seed, self._batches, stream)))
        @settings(
            max_examples=number,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(examples(alone=LONE.get(stream, ())))
        def run(example: Example) -> None:
            seed_schedule(example.schedule)
            try:
                check(example, not found)
            except AssertionError as broken:
                found.append((example, broken))
                raise

        try:
            run()
        except Exception:
            if not found:
                raise
            example, broken = found[-1]
            law = _law_of(str(broken))
            self.breaches[law] = Breach(law, str(broken), example.code(*program))
        return bool(found)


def _law_of(broken: str) -> str:
    named = re.match(r"L\d+", broken)
    return named.group() if named else "L0"
