"""What was decided for a call: frozen events in the order of time, and their picture.

The names of the events are API: instruments hear exactly what is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

__all__ = [
    "AttemptEnded",
    "AttemptFirst",
    "AttemptSent",
    "AttemptStarted",
    "BudgetRefused",
    "CallEnded",
    "CallStarted",
    "DownloadProgress",
    "Event",
    "Ledger",
    "LimitReached",
    "StreamRestarted",
    "WaitStarted",
]


@attrs.frozen
class Event:
    """Something that happened at `time` (seconds of trio's clock)."""

    time: float


@attrs.frozen
class CallStarted(Event):
    """A client took a call for `target`."""

    target: str


@attrs.frozen
class CallEnded(Event):
    """The call is over; `error` is the name of its error, or `None`."""

    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@attrs.frozen
class AttemptStarted(Event):
    """Attempt `number` of the call starts on `target`, inside attempt `parent` (0: the call)."""

    number: int
    target: str
    reason: str
    parent: int = 0


@attrs.frozen
class AttemptSent(Event):
    """The attempt left for its provider."""

    number: int


@attrs.frozen
class AttemptFirst(Event):
    """The first content of the attempt came."""

    number: int


@attrs.frozen
class AttemptEnded(Event):
    """The attempt ended: `outcome` is `ok`, `cancelled`, or the name of its error."""

    number: int
    outcome: str
    message: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


@attrs.frozen
class WaitStarted(Event):
    """Nothing is done until `until`, because of `why` (`backoff`, `hint`)."""

    until: float
    why: str
    parent: int = 0


@attrs.frozen
class BudgetRefused(Event):
    """Another attempt on `target` was wanted and the budget has nothing left."""

    target: str
    parent: int = 0


@attrs.frozen
class LimitReached(Event):
    """A limit of time ran out: `limit` of `after` seconds, set by `layer`."""

    limit: str
    after: float
    layer: str


@attrs.frozen
class StreamRestarted(Event):
    """What had been told is void; another attempt tells anew."""

    reason: str


@attrs.frozen
class DownloadProgress(Event):
    """`done` of `total` bytes (`None`: unknown) of `name` have come."""

    name: str
    done: int
    total: int | None = None


Heard: TypeAlias = Callable[[Event], None]


@attrs.define(eq=False)
class Ledger:
    """The events of one call. `hear` is called with each as it is written."""

    events: list[Event] = attrs.field(factory=list)
    hear: Heard | None = attrs.field(default=None, repr=False)
    _numbers: int = 0

    def write(self, event: Event) -> None:
        """Record an event and tell it to the instruments."""
        self.events.append(event)
        if self.hear is not None:
            self.hear(event)

    def next_number(self) -> int:
        """A number for an attempt, one for the whole call."""
        self._numbers += 1
        return self._numbers

    @property
    def seconds(self) -> float | None:
        """From the first event to the last."""
        return self.events[-1].time - self.events[0].time if self.events else None

    def explain(self) -> str:
        """The tree of attempts, waits, times and tokens as text, times from the call's start."""
        return "\n".join(_Picture(self.events).lines())


@attrs.frozen
class _Picture:
    """Draws events as a tree; attempts are indented under the attempt that they serve."""

    events: list[Event]

    def lines(self) -> list[str]:
        begin = self.events[0].time if self.events else 0.0
        depth: dict[int, int] = {0: 0}
        starts = {e.number: e for e in self.events if isinstance(e, AttemptStarted)}
        rows = []
        for event in self.events:
            if isinstance(event, AttemptStarted):
                depth[event.number] = depth.get(event.parent, 0) + 1
                level = depth[event.number]
            else:
                near = getattr(event, "number", None)
                level = depth.get(near, 0) if near else depth.get(getattr(event, "parent", 0), 0)
                level += 0 if isinstance(event, (CallStarted, CallEnded)) else 1
            text = _describe(event, starts)
            rows.append(f"{event.time - begin:9.3f} s  {'  ' * level}{text}")
        return rows


def _describe(event: Event, starts: dict[int, AttemptStarted]) -> str:
    if isinstance(event, CallStarted):
        return f"call of {event.target}"
    if isinstance(event, CallEnded):
        return f"ended: {event.error or 'ok'}{_tokens(event)}"
    if isinstance(event, AttemptStarted):
        return f"attempt {event.number} on {event.target} ({event.reason})"
    if isinstance(event, AttemptEnded):
        begun = starts.get(event.number)
        took = f" after {event.time - begun.time:.3f} s" if begun else ""
        note = f": {event.message}" if event.message else ""
        return f"{event.outcome}{took}{_tokens(event)}{note}"
    if isinstance(event, WaitStarted):
        return f"wait {event.until - event.time:.3f} s ({event.why})"
    shown = {
        AttemptSent: lambda e: "sent",
        AttemptFirst: lambda e: "first content",
        BudgetRefused: lambda e: f"no budget left for another attempt on {e.target}",
        LimitReached: lambda e: f"limit {e.limit} of {e.after:g} s ran out ({e.layer})",
        StreamRestarted: lambda e: f"the stream starts anew: {e.reason}",
    }.get(type(event))
    return shown(event) if shown else _any(event)


def _any(event: Event) -> str:
    fields: dict[str, Any] = attrs.asdict(event)
    del fields["time"]
    facts = ", ".join(f"{name}={field!r}" for name, field in fields.items())
    return f"{type(event).__name__}({facts})"


def _tokens(event: CallEnded | AttemptEnded) -> str:
    if event.output_tokens is None:
        return ""
    told = f"{event.input_tokens} in, " if event.input_tokens is not None else ""
    return f", {told}{event.output_tokens} out"
