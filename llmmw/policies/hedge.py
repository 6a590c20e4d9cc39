"""Law: when an attempt that was sent has given nothing for `delay` seconds, another is started
beside it, elsewhere if there is an elsewhere; the first with content wins, the others are cancelled
and awaited; and such attempts are never more than a share of all calls.

::

    sent ── delay ──┬──────────── ╳     cancelled when the other has content
                    └── sent ─── first content ── … ── response

Source: J. Dean and L. A. Barroso, "The Tail at Scale", CACM 56, 2013. To learn the delay from
first attempts alone, those cut short included, keeps the extra load at what was meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import attrs

from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._history import FallbackTarget, History, Record, Start, aimed
from llmmw._plan import Plan
from llmmw._request import Request
from llmmw._response import Response
from llmmw.errors import BadRequest, ConfigError
from llmmw.policies import _options
from llmmw.policies._estimate import input_estimate
from llmmw.policies._quantile import Quantile
from llmmw.policies._targets import checked

__all__ = ["Hedge"]

_COLD = 10.0
"""Seconds to wait while nothing is known of a target."""
_MANY = 1000
"""Targets and sizes that are remembered."""


def _share(delay: Any) -> float | None:
    """What part of the waits `"p95"` names; `None` for what is no percentile."""
    found = re.fullmatch(r"p(\d\d?(?:\.\d+)?)", delay) if isinstance(delay, str) else None
    share = float(found.group(1)) / 100 if found else 0.0
    return share if 0 < share < 1 else None


def _delay(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
    fixed = type(given) in {int, float} and 0 <= given < math.inf
    if not fixed and _share(given) is None:
        raise ConfigError(f'Hedge(delay={given!r}): expected seconds, or a percentile as "p95"')


def _from_targets(given: Any) -> tuple[FallbackTarget, ...]:
    return checked("Hedge", given)


def _extra_load() -> Budget:
    return Budget(ratio=0.05, cap=20.0, floor=0.0)


@attrs.frozen
class Hedge:
    """Ask again when nothing comes, without giving up what was asked.

    Inside `Attempts` it shares the bound with others; on its own it is a middleware, too. Calls
    stream upstream, so that their first content is seen.

    Args:
        delay: seconds to wait for the first content, from sending on; or a percentile such as
            `"p95"`, learned from the last 2000 or more attempts for each target and size of input,
            hedges left out. Until 1 / (1 - percentile) of them are known, it is 4 times their
            median; where nothing is known, 10 s.
        targets: where to ask, the first that was not asked yet, one of another provider before
            others; as for `Fallback`, whose targets are taken where none are given and both stand
            in one `Attempts`. When all were asked, the same target is asked once more.
        max_hedges: how many such attempts a call may have.
        budget: bounds them to `ratio` times the calls of each target and `cap` at once;
            default `Budget(ratio=0.05, cap=20, floor=0)`.
        cancel_after: how many deltas the winner must have passed before the others are
            cancelled; until then one of them takes over if the winner breaks off, unless the
            caller has heard some of it and will hear no other.
        warm: have a connection made to where the next such attempt would go, as soon as one is
            sent, if its provider keeps none idle. Nothing is sent over it before that.
    """

    delay: float | str = attrs.field(default="p95", validator=_delay)
    targets: tuple[FallbackTarget, ...] = attrs.field(
        default=(), converter=_from_targets, kw_only=True
    )
    max_hedges: int = attrs.field(default=1, validator=_options.whole(1), kw_only=True)
    budget: Budget = attrs.field(factory=_extra_load, kw_only=True, eq=False, repr=False)
    cancel_after: int = attrs.field(default=0, validator=_options.whole(0), kw_only=True)
    warm: bool = attrs.field(default=False, kw_only=True)
    _learned: dict[tuple[str, int], Quantile] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )
    _plan: Plan = attrs.field(init=False, eq=False, repr=False)

    @_plan.default
    def _make_plan(self) -> Plan:
        return Plan((self,), None, 1 + self.max_hedges)

    @property
    def extra(self) -> int:
        """At most this many attempts more."""
        return self.max_hedges

    def due(self, history: History) -> float:
        """When those that go on will have been silent for long enough; infinite is never."""
        if sum(r.reason == "hedge" and r.counts for r in history.records) >= self.max_hedges:
            return math.inf
        at = -math.inf
        for record in history.live:
            if record.sent is None or record.first is not None:
                return math.inf
            at = max(at, record.sent + self.wait(history.requests[record.target]))
        return at if at > -math.inf else math.inf

    def propose(self, history: History, now: float) -> Start | None:
        """Another attempt when those that go on have been silent for long enough."""
        at = self.due(history)
        request = self._next(history, history.live) if at < math.inf else None
        if request is None:
            return None
        return Start(request.model, at, "hedge", request, budget=self.budget)

    def _next(self, history: History, live: list[Record]) -> Request | None:
        """What to ask: a target not asked yet, another provider first, for what slows one model of
        a provider often slows all; else one that goes on and has not failed."""
        asked = list(_fitting(self.targets or history.elsewhere, history.request))
        new = [request for request in asked if history.new(request.model)]
        if new:
            slow = {_provider(record.target) for record in live}
            return min(new, key=lambda request: _provider(request.model) in slow)
        failed = {record.target for record in history.failures}
        failed |= history.passed_over
        again = [record.target for record in live if record.target not in failed]
        if not again:
            return None
        return history.requests[min(again, key=lambda target: len(history.on(target)))]

    def wait(self, request: Request) -> float:
        """Seconds to wait for the first content of a request."""
        if not isinstance(self.delay, str):
            return self.delay
        target, size = key = _key(request)
        known = self._learned.get(key)
        value = known.value() if known is not None else None
        if value is not None:
            return value
        near = sorted((abs(s - size), s) for t, s in self._learned if t == target)
        for _, other in near:
            value = self._learned[target, other].value()
            if value is not None:
                return value
        return _COLD

    def learn(self, record: Record, request: Request, now: float) -> None:
        """How long an attempt took to its first content; of one that ended without any, only
        that it would have taken longer. Hedges are not learned from: they are started when
        things are slow."""
        if not isinstance(self.delay, str) or record.sent is None or record.reason == "hedge":
            return
        key = _key(request)
        known = self._learned.get(key)
        if known is None:
            if len(self._learned) >= _MANY:
                del self._learned[next(iter(self._learned))]
            known = self._learned[key] = Quantile(_share(self.delay) or 0.0)
        until = record.ended if record.first is None else record.first
        seconds = (now if until is None else until) - record.sent
        known.add(seconds, now, cut_short=record.first is None)

    async def __call__(self, call: Call, next: Handler) -> Response:
        return await self._plan(call, next)

    def statistics(self) -> dict[str, Any]:
        """The delays learned, by target and size of input, and what the budget holds."""
        learned = {f"{t}, {2**s} tokens": one.value() for (t, s), one in self._learned.items()}
        return {"delays": learned, "budget": self.budget.statistics()}


def _fitting(targets: Iterable[FallbackTarget], request: Request) -> Iterator[Request]:
    """What each target would be asked, but for those whose fields this kind of request lacks."""
    for target in targets:
        with suppress(BadRequest):
            yield aimed(target, request)


def _provider(target: str) -> str:
    return target.partition(":")[0]


def _key(request: Request) -> tuple[str, int]:
    """The target, and the size of the input, rounded up to a power of two of tokens."""
    return request.model, input_estimate(request).bit_length()
