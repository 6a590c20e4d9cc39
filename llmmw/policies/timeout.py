"""Law: when a limit runs out, everything inside is cancelled and one error names the limit; a
response that is complete in the same instant is returned.

::

    ├────────────────────────── total ──────────────────────────┤
    ├──── first_token ────┤
    call ················ delta ··· delta ····· delta ··· response
                          ├─ idle ─┤├─ idle ─┤

On a call the limits count from its begin; on an attempt from its sending, so that the wait for a
place or a download is not blamed on the provider. All limits are one trio cancel scope whose
deadline moves. While the listener has a delta, only `total` runs: a slow consumer is no slow
provider.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable

import attrs
import trio

from llmmw._call import Call, Listener
from llmmw._chain import Handler
from llmmw._deltas import HEARD, Delta, PartDelta, PartEnd, Restarted
from llmmw._ledger import LimitReached
from llmmw._response import Response
from llmmw.errors import ConfigError, DeadlineExceeded
from llmmw.policies import _options

__all__ = ["Timeout"]

_limit = _options.seconds(0)


@attrs.frozen(kw_only=True)
class Timeout:
    """Limits on time; what they bound follows from where the policy stands. Outside of attempts
    it bounds a call with all its waits, inside it bounds each attempt.

    Args:
        total: seconds for everything inside.
        first_token: seconds to the first content.
        idle: seconds between two events after that.
        stream: make calls stream that nobody listens to, so that `first_token` and `idle` bind
            them too. Without it those bind only calls that somebody listens to, even where a
            hedge makes others stream.
    """

    total: float | None = attrs.field(default=None, validator=_limit)
    first_token: float | None = attrs.field(default=None, validator=_limit)
    idle: float | None = attrs.field(default=None, validator=_limit)
    stream: bool = False

    def __attrs_post_init__(self) -> None:
        if self.total is self.first_token is self.idle is None:
            raise ConfigError("Timeout() needs at least one of total, first_token and idle")

    async def __call__(self, call: Call, next: Handler) -> Response:
        watched = self.first_token is not None or self.idle is not None
        if watched and (self.stream or (call.listener is not None and not call.attempt.silent)):
            watch = _Watch(self, call.listener, _is_held(call, next))
            if call.attempt.number:
                call.attempt.limits += (watch,)
            with watch.scope:
                return await next(call.listening(watch))
            raise self._late(call, watch.limit())
        if self.total is None:
            return await next(call)
        if not call.attempt.number:
            with trio.CancelScope(deadline=trio.current_time() + self.total):
                return await next(call)
        else:
            total = _Total(self.total, _is_held(call, next))
            call.attempt.limits += (total,)
            with total.scope:
                return await next(call)
        raise self._late(call, "total")

    def _late(self, call: Call, limit: str) -> DeadlineExceeded:
        after: float = getattr(self, limit)
        layer = repr(self)
        now = trio.current_time()
        call.ledger.write(LimitReached, now, limit, after, layer, call.attempt.number)
        what = {
            "total": f"no answer within {after:g} s",
            "first_token": f"nothing came within {after:g} s",
            "idle": f"the stream was silent for {after:g} s",
        }[limit]
        message = f"{what} ({limit} of {layer})"
        return DeadlineExceeded(message, limit=limit, after=after, layer=layer)


def _is_held(call: Call, next: Handler) -> bool:
    """Whether what is asked next will say when the attempt leaves: a limit need not run before, and
    be moved then."""
    attempt = call.attempt
    return attempt.number > 0 and attempt.sent is None and getattr(next, "marks_sent", False)


class _Total:
    """The limit `total` on an attempt, which nothing but its sending moves."""

    __slots__ = ("_after", "scope")

    def __init__(self, after: float, held: bool) -> None:
        self._after = after
        due = math.inf if held else trio.current_time() + after
        self.scope = trio.CancelScope(deadline=due)

    def hold(self) -> None:
        if self.scope.deadline != math.inf:
            self.scope.deadline = math.inf

    def start(self, now: float) -> None:
        if self.scope.deadline == math.inf:
            self.scope.deadline = now + self._after


class _Watch:
    """A listener that moves the deadline of its scope with each delta."""

    __slots__ = ("_due", "_end", "_first", "_held", "_idle", "_listener", "_options", "scope")

    def __init__(self, options: Timeout, listener: Listener | None, held: bool) -> None:
        self._options = options
        self._listener = listener
        self._idle = math.inf if options.idle is None else options.idle
        self.scope = trio.CancelScope()
        self._end = self._first = self._due = math.inf
        self._held = True
        if not held:
            self.start(trio.current_time())

    def hold(self) -> None:
        self._held = True
        self._end = self._first = math.inf
        self._set(math.inf)

    def start(self, now: float) -> None:
        if not self._held:
            return
        self._held = False
        total = self._options.total
        self._end = math.inf if total is None else now + total
        self._first = self._first_deadline(now)
        self._set(min(self._end, self._first))

    def _first_deadline(self, now: float) -> float:
        limit = self._options.first_token
        return math.inf if limit is None else now + limit

    def limit(self) -> str:
        """The name of the limit that ran out."""
        if self._due >= self._end:
            return "total"
        return "idle" if math.isnan(self._first) else "first_token"

    def __call__(self, delta: Delta) -> Awaitable[None]:
        now = trio.current_time()
        if now >= self._due:  # a limit ran out while this delta was on its way
            return self._too_late(delta)
        if isinstance(delta, PartEnd) or (isinstance(delta, PartDelta) and delta.content):
            self._first = math.nan  # content has come: from now on, idle counts
        heard = HEARD if self._listener is None else self._listener(delta)
        if heard is not HEARD:
            return self._while_heard(delta, heard, now)
        self._go_on(delta, now)
        return HEARD

    async def _too_late(self, delta: Delta) -> None:
        self.scope.cancel()  # trio does not look at the clock before all tasks wait
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._listener is not None:  # sent from a shielded section, which may complete
            await self._listener(delta)

    async def _while_heard(self, delta: Delta, heard: Awaitable[None], came: float) -> None:
        self._set(self._end)
        await heard
        self._go_on(delta, came)

    def _go_on(self, delta: Delta, came: float) -> None:
        now = trio.current_time()  # anew, since the listener may have taken long
        self._first += now - came
        if isinstance(delta, Restarted):
            self._first = self._first_deadline(now)
        self._set(min(self._end, now + self._idle if math.isnan(self._first) else self._first))

    def _set(self, due: float) -> None:
        if due != self._due:  # a move takes longer than all else that is done here
            self._due = self.scope.deadline = due
