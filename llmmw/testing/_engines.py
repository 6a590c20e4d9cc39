"""The attempts that an engine made for one call, and what it might have done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import attrs

from llmmw._budget import Budget
from llmmw._deltas import PartDelta, PartEnd, PartStart
from llmmw._history import aimed
from llmmw._ledger import BudgetRefused, Event, TargetPassedOver, WaitStarted
from llmmw._messages import Message
from llmmw._parts import TextPart
from llmmw._request import Generate, Request
from llmmw.errors import CallShed, LLMError
from llmmw.policies import Attempts, Fallback, Hedge, Retry
from llmmw.testing._calls import CallTrace, Entry

__all__ = ["Engine", "Group", "Option", "engine_of", "may_pass"]


@attrs.frozen
class Engine:
    """What is known of a layer that makes attempts."""

    depth: int
    bound: int
    budget: Budget | None
    retry: Retry | None = None
    fallback: Fallback | None = None
    hedge: Hedge | None = None
    max_resumes: int = 1
    hold_back: int = 0
    known: bool = True
    """Whether all its policies are ours, so that its choices can be foretold."""

    @property
    def free(self) -> int:
        """How many attempts there may be by its policies alone, whatever the bound."""
        return 1 + sum(one.extra for one in (self.retry, self.fallback, self.hedge) if one)


def engine_of(depth: int, layer: object) -> Engine | None:
    """The engine in a layer, or `None`."""
    if isinstance(layer, Attempts):
        own: dict[str, Any] = {"max_resumes": layer.max_resumes, "hold_back": layer.hold_back}
        for policy in layer.policies:
            name = {Retry: "retry", Fallback: "fallback", Hedge: "hedge"}.get(type(policy))
            if name is None or name in own:
                return Engine(depth, _bound(layer), layer.budget, known=False)
            own[name] = policy
        return Engine(depth, _bound(layer), layer.budget, **own)
    if isinstance(layer, Retry):
        return Engine(depth, 1 + layer.retries, layer.budget, retry=layer)
    if isinstance(layer, Fallback):
        return Engine(depth, 1 + layer.extra, layer.budget, fallback=layer)
    if isinstance(layer, Hedge):
        return Engine(depth, 1 + layer.extra, None, hedge=layer)
    return None


def _bound(layer: Attempts) -> int:
    return layer.max_attempts or 1 + sum(policy.extra for policy in layer.policies)


def may_pass(error: LLMError) -> bool:
    """Whether a retry may follow an error: also one that was never sent, if it says when."""
    return error.retryable or (isinstance(error, CallShed) and bool(error.retry_after))


@attrs.frozen
class Option:
    """Another attempt that an engine could make."""

    target: str
    at: float
    reason: Literal["retry", "fallback"]
    hinted: bool = False


@attrs.frozen(eq=False, slots=False)
class Group:
    """The attempts that one engine made for one call that came to it."""

    engine: Engine
    entry: Entry
    call: CallTrace
    world: Any
    callers: Sequence[CallTrace]
    """Those whose leaving may end it: of a flight, all who may wait for it."""
    held: bool = False
    """An engine outside holds back the beginning of what it tells."""

    @property
    def attempts(self) -> list[Entry]:
        """In the order in which they were opened."""
        return self.entry.children

    def error(self, attempt: Entry) -> LLMError | None:
        """What an attempt failed with; nothing if it lost to another."""
        if self.lost(attempt) or not isinstance(attempt.error, LLMError):
            return None
        return attempt.error

    def lost(self, attempt: Entry) -> bool:
        """Whether it lost to another of them; all of them may be a part of one that lost."""
        return attempt.call.attempt.number in self.call.superseded

    def counts(self, attempts: Iterable[Entry]) -> int:
        """How many of these take a place in the bound."""
        return sum(a.counts or self.lost(a) for a in attempts)

    def opened(self, order: int) -> list[Entry]:
        """The attempts opened before."""
        return [a for a in self.attempts if a.opened_order < order]

    def on(self, target: str, order: int) -> list[Entry]:
        """The attempts on a target that were opened before, as they ended."""
        here = [a for a in self.opened(order) if a.target == target]
        return sorted(here, key=lambda a: (a.ended, a.opened_order))

    def failed(self, order: int) -> list[Entry]:
        """The attempts that had failed before, as they ended."""
        ended = [a for a in self.attempts if a.ended_order < order and self.error(a)]
        return sorted(ended, key=lambda a: a.ended_order)

    def alive(self, order: int) -> list[Entry]:
        """The attempts that still went on then and could win."""
        failed = self.failed(order)
        return [a for a in self.opened(order) if a not in failed and not self.lost(a)]

    def moments(self) -> Iterator[tuple[int, Entry, Entry | None]]:
        """Each time when all attempts so far had failed: the order of what followed, the last
        failure, and the attempt that followed, if one did."""
        after = [a for a in self.attempts[1:] if a.call.attempt.reason != "hedge"]
        for then in (*after, None):
            order = then.opened_order if then else self.entry.ended_order
            failed = self.failed(order)
            if failed and not self.alive(order):
                yield order, failed[-1], then

    def told_before(self, order: int) -> bool:
        """Whether its caller had heard something by then, and will not hear it again. To a
        shared flight, its waiters are the caller, and the flight agrees for them; to a part of
        an attempt that lost, the attempt beside it is nobody."""
        if self.call.lost(self.entry) or not self.entry.call.firm:
            return False
        continues = self.entry.call.attempt.continues
        if continues or self.held:
            own = any(t.content and t.begun_order < order for t in self.entry.told)
            return own or (not continues and self.call.told_before(order))
        return self.call.told_before(order)

    @property
    def _apart(self) -> bool:
        """Whether it may go on in another task than its caller's."""
        shares = len(self.callers) > 1
        return shares or self.entry.beside or self.engine.hedge is not None

    def events(self, kind: type[Event]) -> list[Event]:
        """The engine's own events of a kind."""
        parent = self.entry.call.attempt.number
        return [e for e in self.call.events if type(e) is kind and e.parent == parent]  # type: ignore[attr-defined]

    @property
    def waits(self) -> list[WaitStarted]:
        """The waits between its attempts."""
        return [e for e in self.events(WaitStarted) if isinstance(e, WaitStarted)]

    def refused(self, after: Entry) -> set[str]:
        """The targets that the budget refused after an attempt and before the next one."""
        order = self.call.order
        last = min(
            (a.opened_order for a in self.attempts if a.opened_order > after.ended_order),
            default=1 << 60,
        )
        return {
            e.target
            for e in self.events(BudgetRefused)
            if isinstance(e, BudgetRefused) and after.ended_order < order[id(e)] < last
        }

    def patched(self) -> Mapping[str, Request]:
        """What each target is to be asked: the call's own request with its own patch only."""
        return self._patched

    @cached_property
    def _patched(self) -> Mapping[str, Request]:
        original = self.entry.request
        requests = {original.model: original}
        layers = (self.engine.fallback, self.engine.hedge)
        for target in (t for layer in layers if layer for t in layer.targets):
            request = aimed(target, original)
            requests.setdefault(request.model, request)
        return requests

    def asked(self, attempt: Entry) -> Request:
        """What an attempt was asked; of one that goes on, without the beginning of its answer."""
        request, own = attempt.request, not self.entry.call.attempt.continues
        if not (own and attempt.call.attempt.continues and isinstance(request, Generate)):
            return request
        told = [t.delta for t in self.entry.told if t.begun_order < attempt.opened_order]
        begun = "".join(delta.text for delta in told if isinstance(delta, PartDelta)).rstrip()
        has_it = begun and request.messages[-1] == Message("assistant", begun)
        return request.replace(messages=request.messages[:-1]) if has_it else request

    def named(self, hedge: Hedge) -> list[str]:
        """The targets that a hedge may go to, beside those that were asked already."""
        fallback = self.engine.fallback
        targets = hedge.targets or (fallback.targets if fallback else ())
        named = [aimed(target, self.entry.request).model for target in targets]
        return [target for target in named if target not in self.world.unable]

    @property
    def passed_over(self) -> set[str]:
        """The targets that the engine passed over."""
        events = self.events(TargetPassedOver)
        return {event.target for event in events if isinstance(event, TargetPassedOver)}

    def resumable(self, order: int) -> bool:
        """Whether what its caller has heard by then may be continued: it is the beginning of one
        text, and was heard to its last piece."""
        seams = [one for one in self.call.seams if self.call.order[id(one)] < order]
        if self.entry.call.on_interrupt != "resume" or len(seams) >= self.engine.max_resumes:
            return False
        told = [one for one in self.entry.told if one.begun_order < order]
        begun = [one.delta.part for one in told if isinstance(one.delta, PartStart)]
        ended = any(isinstance(one.delta, PartEnd) for one in told)
        whole = all(one.heard < math.inf for one in told)
        return whole and not ended and len(begun) == 1 and isinstance(begun[0], TextPart)

    def options(self, order: int) -> list[Option]:
        """What the engine may do when all attempts so far have failed, whatever the time."""
        return [*self._retries(order), *self._fallbacks(order)]

    def _retries(self, order: int) -> Iterator[Option]:
        retry = self.engine.retry
        opened = self.opened(order)
        made = [a for a in opened if a.call.attempt.reason == "retry"]
        if retry is None or self.counts(made) >= retry.retries or len(made) >= 2 * retry.retries:
            return
        errors = [self.error(a) for a in opened if a.counts]
        final = any(e and not (e.retryable or e.elsewhere) for e in errors)
        for target in dict.fromkeys(a.target for a in opened):
            here = self.on(target, order)
            error = self.error(here[-1])
            if error is None or not may_pass(error):
                continue
            if final and not here[-1].counts:
                continue  # what is wrong with the request is known, whatever that target says
            hint = error.retry_after
            if hint is None:
                failures = sum(a.counts for a in here if self.error(a))
                span = min(retry.cap, retry.base * 2.0 ** (failures - 1))
                yield Option(target, here[-1].ended + self.world.chance * span, "retry")
            elif hint <= retry.max_hint:
                yield Option(target, here[-1].ended + hint, "retry", hinted=True)

    def _fallbacks(self, order: int) -> Iterator[Option]:
        fallback, last = self.engine.fallback, self.failed(order)[-1]
        error = self.error(last)
        if fallback is None or fallback.on or error is None:
            return
        if error.elsewhere:
            used = {a.target for a in self.opened(order)}
            for target in self.patched():
                if target not in used:
                    yield Option(target, last.ended, "fallback")

    def possible(self, order: int, *, unable: bool = False) -> list[Option]:
        """The options that time, bound and budget allow, when all attempts so far have failed;
        if `unable`, those too that can't serve the call."""
        last = self.failed(order)[-1]
        told = self.told_before(last.ended_order)
        if not self.call.lost(self.entry) and not self.entry.call.attempt.continues:
            told = told or self.call.told_before(last.ended_order)
        full = self.counts(self.opened(order)) >= self.engine.bound
        if full or (told and not self.resumable(last.ended_order)):
            return []
        stops = [one for one in self.callers if one.stopped_order < order]
        if self.engine.hedge and any(last.ended_order < one.stopped_order for one in stops):
            return []  # the task that goes on has heard of it by then
        if self._apart and any(one.stopped == last.ended for one in stops):
            return []  # in the same instant, in another task
        refused = self.refused(last)
        return [
            option
            for option in self.options(order)
            if max(option.at, last.ended) < last.deadline_at_end
            and not (option.reason == "retry" and option.target in refused)
            and (unable or self._fit(option, told))
        ]

    def _fit(self, option: Option, told: bool) -> bool:
        new = option.reason == "fallback"
        can = option.target not in self.world.unable or not new
        return can and (not told or option.target in self.world.prefill)
