"""What calls were, counted: pure data of calls that are over, and its picture on one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypedDict, Unpack

import attrs

from llmmw._events import AttemptEnded, AttemptFirst, AttemptSent, Event
from llmmw._explain import Spent, last_attempts, spent_in
from llmmw._response import Response
from llmmw.policies._sketch import Sketch

__all__ = ["CallRecord", "Tally", "record_of"]

_MANY = 1000
"""Targets that are counted by themselves; the others are one."""
_SHOWN = 10


class _Seen(TypedDict):
    call: int
    target: str
    outcome: str
    seconds: float
    first_token: float | None


@attrs.frozen(kw_only=True)
class CallRecord:
    """What one call was, as far as anybody may read it: neither its prompt nor its answer."""

    call: int
    target: str
    outcome: str
    """`ok`, `Cancelled`, or the name of the error."""
    seconds: float
    first_token: float | None
    """Seconds until its listener heard the first content; `None` where nobody listened."""
    provider: str
    model: str
    joined: bool
    ended: tuple[tuple[str, str], ...]
    """Of each attempt that was made of no others: its target and its outcome."""
    sent: int
    """Attempts that left for a provider."""
    spent: Spent


def attempts_of(events: Sequence[Event]) -> tuple[tuple[tuple[str, str], ...], int]:
    """The targets and outcomes of the attempts of a call, and how many were sent."""
    last = last_attempts(events)
    ends = (event for event in events if isinstance(event, AttemptEnded))
    ended = tuple((last[e.number].target, e.outcome) for e in ends if e.number in last)
    left = {e.number for e in events if isinstance(e, (AttemptSent, AttemptFirst))}
    return ended, len(left & (set(last) or {0}))


@attrs.define(eq=False)
class Tally:
    """Counts calls."""

    calls: int = 0
    in_flight: int = 0
    answered: int = 0
    joined: int = 0
    sent: int = 0
    sent_calls: int = 0
    failed: Counter[str] = attrs.field(factory=Counter)
    targets: dict[str, Counter[str]] = attrs.field(factory=dict)
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: Decimal | None = None
    unknown: Counter[str] = attrs.field(factory=Counter)
    first_token: Sketch = attrs.field(factory=Sketch)
    completion: Sketch = attrs.field(factory=Sketch)

    def add(self, record: CallRecord) -> None:
        """A call is over."""
        if record.outcome == "ok":
            self.answered += 1
            self.completion.add(record.seconds)
        else:
            self.failed[record.outcome] += 1
        if record.first_token is not None:
            self.first_token.add(record.first_token)
        self.joined += record.joined
        self.sent += record.sent
        self.sent_calls += record.sent > 0
        for target, outcome in record.ended or ((record.target, record.outcome),):
            known = target in self.targets or len(self.targets) < _MANY
            self.targets.setdefault(target if known else "others", Counter())[outcome] += 1
        spent = record.spent
        self.tokens_in = _plus(self.tokens_in, spent.input_tokens)
        self.tokens_out = _plus(self.tokens_out, spent.output_tokens)
        self.cost = _plus(self.cost, spent.cost)
        self.unknown.update(spent.unknown)

    @property
    def extra_load(self) -> float:
        """Attempts beyond the first of each call, as a share of the calls that sent any."""
        return (self.sent - self.sent_calls) / self.sent_calls if self.sent_calls else 0.0

    def statistics(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {
            "calls": self.calls,
            "in_flight": self.in_flight,
            "answered": self.answered,
            "failed": dict(self.failed),
            "joined": self.joined,
            "attempts": self.sent,
            "extra_load": self.extra_load,
            "targets": {target: dict(outcomes) for target, outcomes in self.targets.items()},
            "input_tokens": self.tokens_in,
            "output_tokens": self.tokens_out,
            "cost": None if self.cost is None else float(self.cost),
            "unknown": dict(self.unknown),
            "first_token": self.first_token.statistics(),
            "completion": self.completion.statistics(),
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        words = [f"{self.calls:,}", f"{self.in_flight:,} in flight", f"{self.answered:,} answered"]
        if self.joined:
            words.append(f"{self.joined:,} joined another")
        yield f"calls        {', '.join(words)}"
        if self.failed:
            yield f"failed       {_counts(self.failed)}"
        yield f"attempts     {self.sent:,} sent, {self.extra_load:.1%} extra load"
        given, made = self._known("input_tokens", self.tokens_in), self.tokens_out
        yield f"tokens       {given} in, {self._known('output_tokens', made)} out"
        cost = None if self.cost is None else f"${self.cost.normalize():f}"
        yield f"money        {self._known('cost', cost)}"
        for name, sketch in (("first token", self.first_token), ("completion", self.completion)):
            if sketch.count:
                rows = sketch.statistics().items()
                yield f"{name:11}  {', '.join(f'{key} {value:.3f}' for key, value in rows)} s"
        for target, outcomes in list(self.targets.items())[:_SHOWN]:
            yield f"{target:11}  {_counts(outcomes)}"
        if len(self.targets) > _SHOWN:
            yield f"             and {len(self.targets) - _SHOWN} targets more"

    def _known(self, name: str, known: int | str | None) -> str:
        calls = self.unknown[name]
        text = "?" if known is None else f"{known:,}" if isinstance(known, int) else known
        return f"{text} (more in {calls:,} calls: unknown)" if calls and text != "?" else text


def _plus(one: Any, other: Any) -> Any:
    """A sum of what is known."""
    return other if one is None else one if other is None else one + other


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


def record_of(
    events: Sequence[Event], response: Response | None, **fields: Unpack[_Seen]
) -> CallRecord:
    """What a call was, by its ledger, its response, and what was seen from outside."""
    ended, sent = attempts_of(events)
    return CallRecord(
        provider="" if response is None else response.provider,
        model="" if response is None else response.model,
        joined=response is not None and response.joined,
        ended=ended,
        sent=sent,
        spent=_spent(events, response),
        **fields,
    )


def _spent(events: Sequence[Event], response: Response | None) -> Spent:
    """What a call has cost. Inside of its client, its ledger has no end of it yet."""
    if response is None or response.joined or last_attempts(events):
        return spent_in(events)
    given, made, cost = response.spent
    lacking = {"input_tokens": given, "output_tokens": made, "cost": cost}
    unknown = tuple(name for name, one in lacking.items() if one is None)
    return Spent(input_tokens=given, output_tokens=made, cost=cost, unknown=unknown)
