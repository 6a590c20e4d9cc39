"""The picture of a ledger, and what the call has cost: pure functions of its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import attrs

from llmmw._cache_events import CacheHit
from llmmw._events import (
    AnswerRejected,
    AttemptEnded,
    AttemptFirst,
    AttemptSent,
    AttemptStarted,
    CallEnded,
    CallStarted,
    Event,
    FlightJoined,
)

__all__ = ["Spent", "explained", "last_attempts", "spent_in", "timeline"]

_Row: TypeAlias = tuple[int | None, int | None, Decimal | None]
_OWN = (AttemptSent, AttemptFirst, AttemptEnded)
_NOBODY_KNOWS: _Row = (None, None, None)

_REFUSED = {
    "AuthenticationFailed", "BadRequest", "CallShed", "ContextWindowExceeded", "NotFound",
    "Overloaded", "PermissionDenied", "QuotaExhausted", "RateLimited", "UnsupportedFeature",
}  # fmt: skip
"""What providers answer instead of beginning; none asks money for that."""


@attrs.frozen(kw_only=True)
class Spent:
    """What all attempts of a call have used, those that lost, failed or were rejected too.

    Each field is the sum of what is known, and `None` where nothing is. An attempt that was never
    sent, or was refused before it began, has used nothing.
    """

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost: Decimal | None = Decimal(0)
    """US dollars."""
    unknown: tuple[str, ...] = ()
    """The fields that lack something, since nobody told it: the real sum is larger."""

    def __str__(self) -> str:
        cost = None if self.cost is None else f"${self.cost.normalize():f}"
        given = self._words("input_tokens", self.input_tokens)
        made = self._words("output_tokens", self.output_tokens)
        return f"{given} tokens in, {made} out, {self._words('cost', cost, '$?')}"

    def _words(self, name: str, known: object, nothing: str = "?") -> str:
        if known is None:
            return nothing
        return f"{known} + ?" if name in self.unknown else str(known)


def spent_in(events: Sequence[Event]) -> Spent:
    """The sum over all attempts of a call."""
    return _sum(list(_rows(events)))


def _sum(rows: Sequence[_Row]) -> Spent:
    if not rows:
        return Spent()
    names = [field.name for field in attrs.fields(Spent)[:3]]
    sums: dict[str, Any] = {}
    unknown = []
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        known = [one for one in column if one is not None]
        sums[name] = sum(known) if known else None
        if len(known) < len(rows):
            unknown.append(name)
    return Spent(**sums, unknown=tuple(unknown))


def last_attempts(events: Iterable[Event]) -> dict[int, AttemptStarted]:
    """The attempts that are made of no others, by their numbers."""
    started = {one.number: one for one in events if isinstance(one, AttemptStarted)}
    parents = {one.parent for one in started.values()}
    return {number: one for number, one in started.items() if number not in parents}


def _rows(events: Sequence[Event]) -> Iterator[_Row]:
    """Of each attempt that may have cost something: tokens in, out, and dollars."""
    alone = not any(isinstance(event, AttemptStarted) for event in events)
    last = {0} if alone else set(last_attempts(events))
    busy = {e.number for e in events if isinstance(e, (AttemptSent, AttemptFirst))}
    began = {e.number for e in events if isinstance(e, AttemptFirst)}
    free = {e.parent for e in events if isinstance(e, (CacheHit, FlightJoined))}
    for event in events:
        if isinstance(event, AnswerRejected) and event.parent in last:
            free.add(event.parent)
            yield event.input_tokens, event.output_tokens, event.cost
        elif isinstance(event, AttemptEnded) or (alone and isinstance(event, CallEnded)):
            number = event.number if isinstance(event, AttemptEnded) else 0
            outcome = event.outcome if isinstance(event, AttemptEnded) else event.error
            row = (event.input_tokens, event.output_tokens, event.cost)
            if number not in last or number in free:
                continue
            refused = outcome in _REFUSED and number not in began
            if row != _NOBODY_KNOWS or (number in busy and not refused):
                yield row


def explained(events: Sequence[Event]) -> str:
    """The tree of attempts, waits, times and tokens as text: what belongs to an attempt stands
    under it, so times go up within each branch. They count from the call's start."""
    begin = events[0].time if events else 0.0
    rows = [_row(event, begin, level) for event, level in _tree(events)]
    total = _total(events)
    return "\n".join([*rows, f"{'':13}total: {total}"] if total else rows)


def timeline(events: Sequence[Event]) -> list[str]:
    """The same lines in the order of time, which further events only make longer. What does not
    belong to the attempt that has just begun says whose it is."""
    begin = events[0].time if events else 0.0
    levels, latest, rows = {0: 0}, 0, []
    for event in events:
        owner = _owner(event)
        level = levels.get(owner, 0) + 1
        whose = ""
        if isinstance(event, AttemptStarted):
            latest = event.number
            levels[latest] = level
        elif isinstance(event, _OWN) and owner != latest:
            whose = f"attempt {owner}: "
        elif isinstance(event, (CallStarted, CallEnded)):
            level = 0
        rows.append(_row(event, begin, level, whose))
    return rows


def _row(event: Event, begin: float, level: int, whose: str = "") -> str:
    return f"{event.time - begin:9.3f} s  {'  ' * level}{whose}{_printable(str(event))}"


def _owner(event: Event) -> int:
    """The attempt that an event belongs to; 0 is the call."""
    owner: int = getattr(event, "number" if isinstance(event, _OWN) else "parent", 0)
    return owner


def _tree(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """Every event with its depth: a branch right after the attempt that it belongs to."""
    known = {0} | {event.number for event in events if isinstance(event, AttemptStarted)}
    below: dict[int, list[Event]] = {}
    for event in events:
        owner = _owner(event)
        if owner not in known or (isinstance(event, AttemptStarted) and owner >= event.number):
            owner = 0
        below.setdefault(owner, []).append(event)
    branches = [(1, iter(below.get(0, ())))]
    while branches:
        level, rest = branches[-1]
        for event in rest:
            yield event, 0 if isinstance(event, (CallStarted, CallEnded)) else level
            if isinstance(event, AttemptStarted):
                branches.append((level + 1, iter(below.get(event.number, ()))))
                break
        else:
            branches.pop()


def _printable(text: str) -> str:
    """One line, whatever a provider said."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _total(events: Sequence[Event]) -> Spent | None:
    """The sum, where it tells more than the last line does."""
    rows = list(_rows(events))
    ends = [(e.input_tokens, e.output_tokens, e.cost) for e in events if isinstance(e, CallEnded)]
    if all(row == _NOBODY_KNOWS for row in rows) or rows == ends:
        return None
    return _sum(rows)
