"""What happened in a world: the vocabulary in which the laws are written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import attrs

from llmmw._ledger import CircuitChanged
from llmmw._map_text import MapText
from llmmw.errors import DeadlineExceeded, LLMError
from llmmw.policies import Cache, Coalesce
from llmmw.sim import Seen
from llmmw.testing._calls import CallTrace, Entry, Told
from llmmw.testing._engines import Engine, Group, engine_of

__all__ = ["CallTrace", "Engine", "Entry", "Group", "Told", "Trace", "engine_of"]


@attrs.define(eq=False)
class Trace:
    """Everything that was seen in one run of a world."""

    world: Any
    stack: tuple[Any, ...]
    calls: list[CallTrace]
    seen: list[Seen] = attrs.field(factory=list)
    bottom: int = 0
    """The depth at which entries are visits of the provider."""
    live: int = 0
    tasks: int = 0
    """Tasks left over when the client had closed."""
    background: int = 0
    """Tasks of the client's host besides the provider's own, when all calls were over."""
    steps: int = 0

    @cached_property
    def engines(self) -> list[Engine]:
        """The layers that make attempts, outermost first."""
        found = (engine_of(depth, layer) for depth, layer in enumerate(self.stack))
        return [engine for engine in found if engine is not None]

    @property
    def shares(self) -> bool:
        """Whether calls may share flights, which run in tasks of their own."""
        return any(map(_shares, self.stack))

    @property
    def rewrites(self) -> bool:
        """Whether an answer may be another one than its provider gave."""
        return any(isinstance(layer, MapText) for layer in self.stack)

    def visits(self, call: CallTrace) -> list[Entry]:
        """The times that a call came to the provider, in order."""
        return [entry for entry in call.entries if entry.depth == self.bottom]

    def groups(self) -> Sequence[Group]:
        """The attempts of each engine for each call that came to it."""
        return self._groups

    @cached_property
    def _groups(self) -> Sequence[Group]:
        engines = {engine.depth: engine for engine in self.engines}
        return [
            Group(
                engines[entry.depth],
                entry,
                call,
                self.world,
                self._sharers(call, entry),
                self._held(entry),
            )
            for call in self.calls
            for entry in call.entries
            if entry.depth in engines and entry.children
        ]

    def _held(self, entry: Entry) -> bool:
        return any(engine.hold_back and engine.depth < entry.depth for engine in self.engines)

    def _sharers(self, call: CallTrace, entry: Entry) -> Sequence[CallTrace]:
        """Those who may wait for what an engine does: outside of all flights, its call alone; in
        one, those who ask the same."""
        asks = call.caller.asks
        if not asks or not any(map(_shares, self.stack[: entry.depth])):
            return (call,)
        return [one for one in self.calls if one.caller.asks == asks]

    def happened(self) -> Counter[str]:
        """Which of the things that the laws are about did happen here, each counted once."""
        found: set[str] = set()
        for call in self.calls:
            found |= _happened(self, call)
        return Counter(found)


def _shares(layer: object) -> bool:
    return isinstance(layer, Coalesce) or (isinstance(layer, Cache) and layer.coalesce)


def _happened(trace: Trace, call: CallTrace) -> set[str]:
    visits = trace.visits(call)
    found = {type(event).__name__ for event in call.events}
    found |= {event.state for event in call.events if isinstance(event, CircuitChanged)}
    found |= {v.call.attempt.reason for v in visits}
    found |= {call.outcome, call.caller.mode}
    found |= {f"lost {v.call.attempt.reason}" for v in visits if call.lost(v)}
    errors = [v.error for v in visits if isinstance(v.error, LLMError)]
    if any(e.retry_after for e in errors):
        found.add("hint")
    if any(not e.retryable for e in errors):
        found.add("final")
    if call.outcome == "cancelled" and call.deadline == call.done:
        found.add("deadline")
    if call.stopped < math.inf and call.outcome in {"cancelled", "left", "error"}:
        found.add("stopped")
    if isinstance(call.error, DeadlineExceeded):
        found.add("late")
    if any(t.heard > t.begun for t in call.told):
        found.add("pause")
    cut = [v for v in visits if v.outcome == "error" and any(t.content for t in v.told)]
    if cut and call.listens:
        found.add("cut after told" if call.told_before(1 << 60) else "cut after content")
    ends = [v.ended for v in visits if v.outcome != "cancelled"]
    if min(call.deadline, call.stopped) in ends or any(v.deadline in ends for v in visits):
        found.add("tie")
    return found
