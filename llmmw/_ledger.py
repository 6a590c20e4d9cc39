"""What was decided for a call: frozen events in the order of time, and their picture.

The names of the events are API: instruments hear exactly what is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ParamSpec, TypeAlias

import attrs

__all__ = [
    "AttemptEnded",
    "AttemptFirst",
    "AttemptSent",
    "AttemptStarted",
    "BudgetRefused",
    "CallEnded",
    "CallStarted",
    "CircuitChanged",
    "DownloadProgress",
    "Event",
    "FlightJoined",
    "FlightLeft",
    "FlightStarted",
    "HedgeFired",
    "Ledger",
    "LimitReached",
    "QueueEntered",
    "QueueLeft",
    "StreamRestarted",
    "WaitStarted",
]


@attrs.frozen
class Event:
    """Something that happened at `time` (seconds of trio's clock). `str()` says it in words."""

    time: float


@attrs.frozen
class CallStarted(Event):
    """A client took a call for `target`."""

    target: str

    def __str__(self) -> str:
        return f"call of {self.target}"


@attrs.frozen
class CallEnded(Event):
    """The call is over; `error` is the name of its error, or `None`."""

    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None

    def __str__(self) -> str:
        spent = _spent(self.input_tokens, self.output_tokens, self.cost)
        return f"ended: {self.error or 'ok'}{spent}"


@attrs.frozen
class AttemptStarted(Event):
    """Attempt `number` of the call starts on `target`, inside attempt `parent` (0: the call)."""

    number: int
    target: str
    reason: str
    parent: int = 0

    def __str__(self) -> str:
        return f"attempt {self.number} on {self.target} ({self.reason})"


@attrs.frozen
class AttemptSent(Event):
    """The attempt left for its provider."""

    number: int

    def __str__(self) -> str:
        return "sent"


@attrs.frozen
class AttemptFirst(Event):
    """The first content of the attempt came."""

    number: int

    def __str__(self) -> str:
        return "first content"


@attrs.frozen
class AttemptEnded(Event):
    """The attempt ended: `outcome` is `ok`, `Cancelled`, `Superseded` (another has won, and this
    one was cancelled), or the name of its error."""

    number: int
    outcome: str
    seconds: float
    message: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None

    def __str__(self) -> str:
        spent = _spent(self.input_tokens, self.output_tokens, self.cost)
        note = f": {self.message}" if self.message else ""
        return f"{self.outcome} after {self.seconds:.3f} s{spent}{note}"


@attrs.frozen
class WaitStarted(Event):
    """Nothing is done until `until`, because of `why` (`backoff`, `hint`)."""

    until: float
    why: str
    parent: int = 0

    def __str__(self) -> str:
        return f"wait {self.until - self.time:.3f} s ({self.why})"


@attrs.frozen
class HedgeFired(Event):
    """Nothing came for `after` seconds, so another attempt starts beside those that go on."""

    after: float
    parent: int = 0

    def __str__(self) -> str:
        return f"nothing came for {self.after:.3f} s: hedge"


@attrs.frozen
class BudgetRefused(Event):
    """Another attempt on `target` was wanted and the budget has nothing left."""

    target: str
    parent: int = 0

    def __str__(self) -> str:
        return f"no budget left for another attempt on {self.target}"


@attrs.frozen
class LimitReached(Event):
    """A limit of time ran out: `limit` of `after` seconds, set by `layer`, in attempt `parent`."""

    limit: str
    after: float
    layer: str
    parent: int = 0

    def __str__(self) -> str:
        return f"limit {self.limit} of {self.after:g} s ran out ({self.layer})"


@attrs.frozen
class CircuitChanged(Event):
    """A breaker's circuit of `destination` is now `closed`, `half-open`, or `open` until a time,
    because of `why`, the name of an error, in attempt `parent`."""

    destination: str
    state: str
    until: float | None = None
    why: str = ""
    parent: int = 0

    def __str__(self) -> str:
        wait = "" if self.until is None else f" for {self.until - self.time:.3f} s"
        because = f" ({self.why})" if self.why else ""
        return f"circuit of {self.destination} {self.state}{wait}{because}"


@attrs.frozen
class QueueEntered(Event):
    """Attempt `parent` waits for a place at `destination`, behind `ahead` others."""

    destination: str
    ahead: int
    parent: int = 0

    def __str__(self) -> str:
        return f"waits for a place at {self.destination}, {self.ahead} ahead"


@attrs.frozen
class QueueLeft(Event):
    """After `seconds` attempt `parent` has its place at `destination`, or was cancelled."""

    destination: str
    seconds: float
    parent: int = 0

    def __str__(self) -> str:
        return f"waited {self.seconds:.3f} s for a place at {self.destination}"


@attrs.frozen
class StreamRestarted(Event):
    """What had been told is void; another attempt tells anew."""

    reason: str
    parent: int = 0

    def __str__(self) -> str:
        return f"the stream starts anew: {self.reason}"


@attrs.frozen
class FlightStarted(Event):
    """The call leads shared flight `number`; identical calls may join it."""

    number: int
    parent: int = 0

    def __str__(self) -> str:
        return f"leads flight {self.number}"


@attrs.frozen
class FlightJoined(Event):
    """The call waits with `others` for flight `number`, whose leader called at `began`."""

    number: int
    began: float
    others: int
    parent: int = 0

    def __str__(self) -> str:
        age = self.time - self.began
        return f"joined flight {self.number}, {age:.3f} s old, with {self.others} waiting"


@attrs.frozen
class FlightLeft(Event):
    """The call waits no longer; flight `number` goes on for `others`. If the call led it, its
    ledger goes on too."""

    number: int
    others: int
    parent: int = 0

    def __str__(self) -> str:
        return f"left flight {self.number}, which goes on for {self.others}"


@attrs.frozen
class DownloadProgress(Event):
    """`done` of `total` bytes (`None`: unknown) of `name` have come."""

    name: str
    done: int
    total: int | None = None

    def __str__(self) -> str:
        of = f" of {self.total}" if self.total is not None else ""
        return f"{self.name}: {self.done}{of} bytes"


def _spent(given: int | None, made: int | None, cost: Decimal | None) -> str:
    tokens = ""
    if made is not None:
        tokens = f", {made} tokens out" if given is None else f", {given} tokens in, {made} out"
    return tokens if cost is None else f"{tokens}, ${cost.normalize():f}"


P = ParamSpec("P")
Heard: TypeAlias = Callable[[Event], None]


@attrs.define(eq=False, repr=False)
class Ledger:
    """The events of one call. `hear` is called with each as it is written."""

    hear: Heard | None = None
    # Where nobody hears them, events are made when they are read: most never are.
    _rows: list[Any] = attrs.field(factory=list, init=False)
    _numbers: int = attrs.field(default=0, init=False)

    def write(self, kind: Callable[P, Event], *args: P.args, **fields: P.kwargs) -> None:
        """Record an event of this kind with these fields, and tell it to the instruments."""
        if self.hear is None:
            self._rows.append((kind, args, fields))
        else:
            self.add(kind(*args, **fields))

    def add(self, event: Event) -> None:
        """Record an event that is made already, and tell it to the instruments."""
        self._rows.append(event)
        if self.hear is not None:
            self.hear(event)

    @property
    def events(self) -> list[Event]:
        """What was written, in its order."""
        rows = self._rows
        for place, row in enumerate(rows):
            if type(row) is tuple:
                kind, args, fields = row
                rows[place] = kind(*args, **fields)
        return list(rows)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._rows)} events>"

    def next_number(self) -> int:
        """A number for an attempt, one for the whole call."""
        self._numbers += 1
        return self._numbers

    @property
    def seconds(self) -> float | None:
        """From the first event to the last."""
        events = self.events
        return events[-1].time - events[0].time if events else None

    def explain(self) -> str:
        """The tree of attempts, waits, times and tokens as text, times from the call's start."""
        events = self.events
        begin = events[0].time if events else 0.0
        levels = {0: 0}
        rows = []
        for event in events:
            level = levels.get(getattr(event, "parent", 0), 0) + 1
            if isinstance(event, AttemptStarted):
                levels[event.number] = level
            elif isinstance(event, (AttemptSent, AttemptFirst, AttemptEnded)):
                level = levels.get(event.number, 0) + 1
            elif isinstance(event, (CallStarted, CallEnded)):
                level = 0
            rows.append(f"{event.time - begin:9.3f} s  {'  ' * level}{event}")
        return "\n".join(rows)
