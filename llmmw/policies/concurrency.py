"""Law: never more calls at once than there are places; who has no place waits in the order of
coming, and a place is held to the end of a stream, whatever end that is.

::

    Concurrency(2)    a ├──────────┤
                      b ├────────────────┤
                      c   ·· queue ··├──────────┤
                      d     ······· queue ······├────┤     (queue full: shed at once)

Adaptive, the number of places grows by one a round and shrinks by a tenth when the destination
has too much; until it first does, by one an answer.

Source: additive increase and multiplicative decrease, D.-M. Chiu and R. Jain, "Analysis of the
Increase and Decrease Algorithms for Congestion Avoidance", 1989; slow start, and one decrease for
all that was under way, V. Jacobson, "Congestion Avoidance and Control", 1988.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._ledger import QueueEntered, QueueLeft
from llmmw._response import Response
from llmmw.errors import ConfigError, DeadlineExceeded, RateLimited, ServerError
from llmmw.policies import _options
from llmmw.policies._destinations import Destinations, shed

__all__ = ["Concurrency"]

Sign: TypeAlias = Literal["ok", "dropped", "ignored"]
"""What a call says of the limit."""


@attrs.define(eq=False)
class Places:
    """The places at one destination, and who waits for one. Pure."""

    least: int
    most: int
    factor: float
    exact: float
    """The limit, of which the whole part counts."""
    in_flight: int = attrs.field(default=0, init=False)
    drops: int = attrs.field(default=0, init=False)
    """How often the limit was lowered. A place is taken under that number; what a call says that
    began under an earlier one changes nothing."""
    limit: int = attrs.field(init=False)
    _waiting: OrderedDict[object, Callable[[], object]] = attrs.field(
        factory=OrderedDict, init=False
    )

    def __attrs_post_init__(self) -> None:
        self.limit = int(self.exact)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a place if there is one; then nobody waits."""
        if self.in_flight >= self.limit:
            return False
        self.in_flight += 1
        return True

    def queue(self, who: object, wake: Callable[[], object]) -> None:
        """Wait behind all others; `wake` is called once a place was taken for `who`."""
        self._waiting[who] = wake

    def forget(self, who: object) -> None:
        """Wait no longer."""
        del self._waiting[who]

    def leave(self, drops: int, sign: Sign) -> None:
        """Give back a place that was taken under this number of drops."""
        if sign != "ignored" and drops == self.drops:
            self._adapt(sign)
        self.in_flight -= 1
        while self._waiting and self.in_flight < self.limit:
            self.in_flight += 1
            self._waiting.popitem(last=False)[1]()

    def _adapt(self, sign: Sign) -> None:
        exact = self.exact
        if sign == "dropped":
            self.drops += 1
            exact *= self.factor
        elif 2 * self.in_flight >= self.limit:
            exact += 1 / exact if self.drops else 1
        self.exact = min(self.most, max(self.least, exact))
        self.limit = int(self.exact)

    def at_rest(self, now: float) -> bool:
        """Whether nothing would be lost by making it anew."""
        return self.in_flight == 0

    def statistics(self) -> dict[str, Any]:
        """The limit, and who is there."""
        return {"limit": self.limit, "in_flight": self.in_flight, "waiting": self.waiting}


@attrs.frozen
class Concurrency:
    """Bound how many calls are at a destination at once; further ones wait.

    Without `limit` it adapts: answers raise it while it is needed; `RateLimited`, `ServerError`
    and `DeadlineExceeded` lower it, once for all calls that were under way.

    Put it inside of the attempts and of the breaker, so that no place is held by who only waits.
    Limits of an attempt (`Timeout`) count from its sending, not while it queues.

    Args:
        limit: places. Default: adapt.
        initial: of an adaptive limit, places to begin with; default 20, or what is next to it
            from `least` to `most`.
        least: of an adaptive limit, its lower bound.
        most: of an adaptive limit, its upper bound.
        factor: of an adaptive limit, what a drop multiplies it with, above 0 up to 1.
        queue: how many may wait; one more is shed.
        scope: what has places of its own: each `model`, each `provider`, or `all` together.
    """

    limit: int | None = attrs.field(default=None, validator=_options.whole(1))
    initial: int | None = attrs.field(default=None, validator=_options.whole(1), kw_only=True)
    least: int = attrs.field(default=1, validator=_options.whole(1), kw_only=True)
    most: int = attrs.field(default=200, validator=_options.whole(1), kw_only=True)
    factor: float = attrs.field(default=0.9, validator=_options.share, kw_only=True)
    queue: int = attrs.field(default=10_000, validator=_options.whole(0), kw_only=True)
    scope: Literal["model", "provider", "all"] = attrs.field(
        default="model", validator=_options.one_of("model", "provider", "all"), kw_only=True
    )
    _places: Destinations[Places] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        fields = attrs.fields(Concurrency)
        for field in (fields.initial, fields.least, fields.most, fields.factor):
            if self.limit is not None and getattr(self, field.name) != field.default:
                raise ConfigError(
                    f"Concurrency({self.limit}) is fixed: {field.name} belongs to an adaptive one"
                )
        if not self.least <= self._begin() <= self.most:
            raise ConfigError(
                f"Concurrency(least={self.least}, initial={self._begin()}, most={self.most}): "
                "expected least <= initial <= most"
            )

    def _begin(self) -> int:
        return self.initial or min(self.most, max(self.least, 20))

    @_places.default
    def _make_places(self) -> Destinations[Places]:
        def make() -> Places:
            if self.limit is not None:
                return Places(self.limit, self.limit, 1.0, self.limit)
            return Places(self.least, self.most, self.factor, self._begin())

        return Destinations(self.scope, make)

    async def __call__(self, call: Call, next: Handler) -> Response:
        name = self._places.name(call)
        places = self._places.of(name, trio.current_time())
        if not places.take():
            await self._wait(call, name, places)
        drops = places.drops
        sign: Sign = "ignored"
        try:
            response = await next(call)
            sign = "ok"
            return response
        except (DeadlineExceeded, RateLimited, ServerError):
            sign = "dropped"
            raise
        finally:
            places.leave(drops, sign)

    async def _wait(self, call: Call, name: str, places: Places) -> None:
        """Wait for a place. Whoever wakes us has taken it for us already."""
        if places.waiting >= self.queue:
            many = f"{places.in_flight} calls are at {name!r} and {places.waiting} wait"
            most = f"which is all that Concurrency(queue={self.queue}) lets"
            raise shed(call, f"{many}, {most}; ask another target, or let more wait")
        call.attempt.hold_limits()
        task, begun = trio.lowlevel.current_task(), trio.current_time()
        number = call.attempt.number
        call.ledger.write(QueueEntered, begun, name, places.waiting, number)

        def leave(raise_cancel: Any) -> trio.lowlevel.Abort:
            places.forget(task)
            return trio.lowlevel.Abort.SUCCEEDED

        places.queue(task, lambda: trio.lowlevel.reschedule(task))
        try:
            await trio.lowlevel.wait_task_rescheduled(leave)
        finally:
            now = trio.current_time()
            call.ledger.write(QueueLeft, now, name, now - begun, number)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Of each destination: its `limit`, how many calls are `in_flight` and `waiting`."""
        return self._places.statistics()
