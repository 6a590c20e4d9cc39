"""What can happen to a call: frozen events, whose names are API."""

from __future__ import annotations

import re
from decimal import Decimal

import attrs

__all__ = [
    "AnswerRejected",
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
    "LimitReached",
    "QueueEntered",
    "QueueLeft",
    "StreamRestarted",
    "StreamResumed",
    "TargetChosen",
    "TargetPassedOver",
    "WaitStarted",
]


@attrs.frozen
class Event:
    """Something that happened at `time` (seconds of trio's clock), in attempt `parent`, if it has
    one (0: the call). `str()` says it in words."""

    time: float

    def __str__(self) -> str:
        """The words of an event that has none of its own: its name and its fields."""
        own = [f.name for f in attrs.fields(type(self)) if f.name not in {"time", "parent"}]
        fields = ", ".join(f"{name} {getattr(self, name)}" for name in own)
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(self).__name__).lower()
        return f"{words}: {fields}" if fields else words


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
    """Attempt `number` of the call starts on `target`, inside attempt `parent` (0: the call). If
    `patched`, the target is asked something else than the one before: other fields differ."""

    number: int
    target: str
    reason: str
    parent: int = 0
    patched: bool = False

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
class AnswerRejected(Event):
    """A guard did not accept the answer of attempt `parent`, which has cost so much."""

    message: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    parent: int = 0

    def __str__(self) -> str:
        spent = _spent(self.input_tokens, self.output_tokens, self.cost)
        note = f": {self.message}" if self.message else ""
        return f"the answer was rejected{spent}{note}"


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
class TargetChosen(Event):
    """Attempt `parent` goes to `target`, since its `cost` is no more than that of the `other`;
    or, with `why`, since it is its turn (`share`), it was not used for long (`unused`), no other
    is fit (`only`), or none is at all (`excluded`)."""

    target: str
    why: str
    cost: float = 0.0
    other: str = ""
    other_cost: float = 0.0
    parent: int = 0

    def __str__(self) -> str:
        if not self.other:
            return f"goes to {self.target} ({self.why})"
        return f"goes to {self.target}: cost {self.cost:.3g}, {self.other} {self.other_cost:.3g}"


@attrs.frozen
class StreamRestarted(Event):
    """What had been told is void; another attempt tells anew."""

    reason: str
    parent: int = 0

    def __str__(self) -> str:
        return f"the stream starts anew: {self.reason}"


@attrs.frozen
class StreamResumed(Event):
    """After `characters` of text that the caller has heard, attempt `parent` on `target` goes on
    with them: the seam between two sources of one answer."""

    target: str
    characters: int
    parent: int = 0

    def __str__(self) -> str:
        return f"goes on after {self.characters} characters"


@attrs.frozen
class TargetPassedOver(Event):
    """A policy would have asked `target` and did not, because of `why`."""

    target: str
    why: str
    parent: int = 0

    def __str__(self) -> str:
        return f"{self.target} is passed over: {self.why}"


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
