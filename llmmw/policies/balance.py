"""Law: of the targets that are well, the cheaper of two is asked, by how long its first content
takes and by how many calls it has already; one that has just failed is asked only when there is no
other, and one that was not asked for long is tried now and then.

::

    two drawn at random    a  0.4 s × (3 + 1) = 1.6
                           b  0.6 s × (1 + 1) = 1.2    ← asked
    a fails                a  ╳─ 1 s ─│ ╳── 2 s ──│ ✓     the others are asked meanwhile
    a sheds the call       a  ·
                           b  └──────✓                    at once, within the same attempt

    estimate    0.4 s ──┐peak                      a slow answer raises it at once;
                        └╲_______ mean             it fades to the mean within `decay`

Source: two choices, M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing",
2001; the peak-sensitive average is that of Twitter's Finagle; turns by weight are those of nginx.
That a call which was cut short may raise an estimate and never lower it, and that a failure is no
quick answer, was learned from what established libraries do otherwise.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs
import trio

from llmmw._call import Call, Listener
from llmmw._chain import Handler
from llmmw._deltas import Delta, PartDelta, PartEnd, ResponseStart
from llmmw._history import aimed
from llmmw._ledger import TargetChosen, TargetPassedOver
from llmmw._request import Request
from llmmw._response import Response
from llmmw._resume import objection
from llmmw.errors import (
    AuthenticationFailed,
    CallShed,
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    LLMError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.policies import _options
from llmmw.policies._choice import Choice, Chooser, Visit
from llmmw.policies._targets import checked

__all__ = ["Balance"]

Target: TypeAlias = str | Mapping[str, Any]

_FAILED = (
    ConnectionFailed,
    DeadlineExceeded,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
_HELD = (AuthenticationFailed, NotFound, QuotaExhausted)


def _name(target: Target) -> str:
    return target if isinstance(target, str) else str(target["model"])


def _check_weights(weights: Mapping[str, float], names: list[str]) -> None:
    for name, weight in weights.items():
        if name not in names:
            raise ConfigError(f"Balance(weights=…): {name!r} is none of its targets")
        if type(weight) not in {int, float} or not 0 < weight < math.inf:
            raise ConfigError(f"Balance(weights={{{name!r}: {weight!r}}}): expected more than 0")


@attrs.frozen(init=False)
class Balance:
    """Spread calls over targets that can stand for each other, such as accounts of one model.

    Calls whose request names one of its targets are balanced, whichever it is; all others pass.
    Each attempt is chosen for anew, and goes where its call has not been while there is such a
    target. So put it inside of the attempts, and outside of limits that each target has for
    itself; and name the targets in the `Fallback`, too, so that a failure waits for nothing.

    A target that sheds a call before anything was told is left at once for another, and one that
    can't serve the request is passed over. One that failed
    is excluded for a time: the provider's, if it told one; a longer one after
    `AuthenticationFailed`, `NotFound` and `QuotaExhausted`. What is wrong with the request itself
    excludes nothing.

    Args:
        targets: two or more models by their names; or dicts of the request's fields to change,
            `model` among them.
        strategy: `peak-ewma` asks the cheaper of two drawn at random: seconds to the first
            content (to the response, of calls that don't stream), times the calls that it would
            have. `least-busy` asks the one with the fewest calls; `weighted` each in its turn.
        weights: of `weighted`, how often a target is asked; else how many calls it can have as
            lightly as another has one. Default: 1 each.
        decay: seconds in which a peak of an estimate fades to about a third.
        explore: of `peak-ewma`, seconds after which a target not asked gets a call all the same,
            as one in twenty calls at most. One never asked gets the next call.
        exclude_for: seconds that a target is excluded after a failure, twice as many after each
            further one.
        exclude_max: seconds; the longest such time.
        hold: seconds after an error that will not pass by itself soon.
    """

    targets: tuple[Target, ...]
    strategy: str = attrs.field(
        default="peak-ewma", validator=_options.one_of("peak-ewma", "least-busy", "weighted")
    )
    weights: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    decay: float = attrs.field(default=10.0, validator=_options.seconds(0.001))
    explore: float = attrs.field(default=30.0, validator=_options.seconds(0))
    exclude_for: float = attrs.field(default=1.0, validator=_options.seconds(0))
    exclude_max: float = attrs.field(default=60.0, validator=_options.seconds(0))
    hold: float = attrs.field(default=300.0, validator=_options.seconds(0))
    _asks: dict[str, Target] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    """Every target that it has or had, by its name."""
    _chooser: Chooser = attrs.field(init=False, eq=False, repr=False)

    @_chooser.default
    def _make_chooser(self) -> Chooser:
        return Chooser(
            strategy=self.strategy,
            decay=self.decay,
            explore=self.explore,
            exclude_for=self.exclude_for,
            exclude_max=self.exclude_max,
        )

    def __init__(
        self,
        *targets: Target,
        strategy: Literal["peak-ewma", "least-busy", "weighted"] = "peak-ewma",
        weights: Mapping[str, float] | None = None,
        decay: float = 10.0,
        explore: float = 30.0,
        exclude_for: float = 1.0,
        exclude_max: float = 60.0,
        hold: float = 300.0,
    ) -> None:
        times = (decay, explore, exclude_for, exclude_max, hold)
        self.__attrs_init__(targets, strategy, weights or {}, *times)
        if len(targets) < 2:
            raise ConfigError("Balance() needs two targets or more, to choose between them")
        for target in targets:
            self._join(target, 1.0)
        _check_weights(self.weights, list(self._asks))
        for name, weight in self.weights.items():
            self._chooser.members[name].weight = weight

    def _join(self, target: Target, weight: float) -> None:
        if callable(target):
            raise ConfigError(f"Balance({target!r}): expected a model, or a dict with its model")
        checked("Balance", (target,))
        name = _name(target)
        if name in self._chooser.members:
            raise ConfigError(f"Balance({target!r}): {name!r} is there already")
        self._asks[name] = target
        self._chooser.add(name, weight)

    def add(self, target: Target, weight: float = 1.0) -> None:
        """Choose this target, too, from now on."""
        _check_weights({_name(target): weight}, [_name(target)])
        self._join(target, weight)

    def remove(self, target: str) -> None:
        """Choose this target no longer. Calls that are there end as they would have, and those
        that name it are balanced over the others."""
        members = self._chooser.members
        if target not in members or len(members) == 1:
            what = "the only target left" if target in members else "none of the targets"
            raise ConfigError(f"Balance: {target!r} is {what}; there is {', '.join(members)}")
        del members[target]

    async def __call__(self, call: Call, next: Handler) -> Response:
        if call.request.model not in self._asks:
            return await next(call)
        used, shed = _used(call), dict[str, str]()
        heard = _Heard(call.listener)
        refusal: LLMError | None = None
        while True:
            found = self._choose(call, used, shed)
            if found is None:
                whys = "; ".join(f"{target}: {why}" for target, why in shed.items())
                raise refusal or UnsupportedFeature(f"no target can serve the request: {whys}")
            choice, request = found
            asked = call if request is call.request else call.replace(request=request)
            try:
                return await self._ask(asked, next, choice, heard)
            except CallShed as error:
                refusal = error
                shed[choice.member.name] = error.message
                begun = heard.anything or error.attempts
                late = trio.current_time() >= trio.current_effective_deadline()
                if begun or late or shed.keys() >= self._chooser.members.keys():
                    raise

    def _choose(
        self, call: Call, used: Mapping[str, int], shed: dict[str, str]
    ) -> tuple[Choice, Request] | None:
        """Where to go with what, but to none that shed the call or can't serve it."""
        source = call.host.random if call.host is not None else random
        now = trio.current_time()
        while True:
            found = self._chooser.choose(now, source.random, used, shed)
            target = found.member.name
            request = self._request(target, call.request)
            why = objection(call, request, first=target not in used)
            if not why:
                break
            call.ledger.write(TargetPassedOver, now, target, why, call.attempt.number)
            shed[target] = why
            if shed.keys() >= self._chooser.members.keys():
                return None
        other = found.other.name if found.other is not None else ""
        fields = (target, found.why, found.cost, other, found.other_cost)
        call.ledger.write(TargetChosen, now, *fields, call.attempt.number)
        return found, request

    def _request(self, name: str, original: Request) -> Request:
        target = self._asks[name]
        same = name == original.model and isinstance(target, str)
        return original if same else aimed(target, original)

    async def _ask(self, call: Call, next: Handler, choice: Choice, heard: _Heard) -> Response:
        chooser = self._chooser
        inner = call if call.listener is None else call.replace(listener=heard)
        visit = chooser.enter(choice, trio.current_time())
        try:
            response = await next(inner)
            heard.first = trio.current_time() if heard.first is None else heard.first
            chooser.answered(visit)
            return response
        except LLMError as error:
            self._judge(visit, error)
            raise
        finally:
            chooser.leave(visit)
            _learn(call, visit, heard.first)

    def _judge(self, visit: Visit, error: LLMError) -> None:
        """What an error says of the target."""
        now, told = trio.current_time(), error.retry_after
        hint = told if told is not None and 0 <= told < math.inf else None
        if isinstance(error, CallShed):
            self._chooser.exclude(visit, now, hint or self.exclude_for)
        elif isinstance(error, _HELD):
            self._chooser.exclude(visit, now, self.hold if hint is None else hint)
        elif isinstance(error, _FAILED) and hint is not None:
            self._chooser.exclude(visit, now, hint)
        elif isinstance(error, _FAILED):
            self._chooser.failed(visit, now)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Of each target: how many calls are `in_flight`, how often it was `chosen`, its
        `failures` in a row, `until` when it was excluded last (trio's time, or `None`), and the
        mean `seconds` to its first content; where none ever came, how long was waited for it."""
        return self._chooser.statistics()


@attrs.define(eq=False)
class _Heard:
    """The listener of a call, who notes when its first content came."""

    _listener: Listener | None
    first: float | None = None
    anything: bool = False

    async def __call__(self, delta: Delta) -> None:
        self.anything = self.anything or not isinstance(delta, ResponseStart)
        if self.first is None and (
            isinstance(delta, PartEnd) or (isinstance(delta, PartDelta) and delta.content)
        ):
            self.first = trio.current_time()
        assert self._listener is not None
        await self._listener(delta)


def _used(call: Call) -> Mapping[str, int]:
    """How often its earlier attempts sent this call where."""
    number = call.attempt.number
    if number <= 1:
        return {}
    chosen = (event for event in call.ledger.events if isinstance(event, TargetChosen))
    return Counter(event.target for event in chosen if event.parent != number)


def _learn(call: Call, visit: Visit, first: float | None) -> None:
    """How long the first content took from its sending; or that none came until now."""
    now, sent = trio.current_time(), call.attempt.sent
    if sent is None:
        return
    since = max(sent, visit.begun)
    if first is not None:
        visit.member.estimate.add(first - since, now)
    else:
        visit.member.estimate.add_longer(now - since, now)
