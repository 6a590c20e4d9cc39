"""What happened to one call: what passed each place of the stack, and what engines may do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._deltas import Delta, PartDelta, PartEnd, Restarted
from llmmw._ledger import BudgetRefused, Event, WaitStarted
from llmmw._request import Request
from llmmw._response import Generation, Response
from llmmw.errors import CallShed, LLMError
from llmmw.policies import Attempts, Fallback, Retry

__all__ = ["CallTrace", "Engine", "Entry", "Group", "Option", "Told", "engine_of"]

Outcome: TypeAlias = Literal["ok", "error", "cancelled", "left"]


@attrs.define(eq=False)
class Told:
    """A delta told to a listener: when it began to hear, and when it had heard."""

    delta: Delta
    begun: float
    begun_order: int
    heard: float = math.inf
    """Infinite if the listener was cut off."""
    over: float = math.inf
    over_order: int = 1 << 60

    @property
    def content(self) -> bool:
        """Whether the answer has something of it."""
        whole = isinstance(self.delta, PartEnd)
        return whole or (isinstance(self.delta, PartDelta) and self.delta.content)


@attrs.define(eq=False)
class Entry:
    """A call that passes one place of the stack on its way down; 0 is the top."""

    depth: int
    call: Call
    opened: float
    opened_order: int
    deadline: float
    """The effective deadline when it came by."""
    parent: Entry | None = None
    children: list[Entry] = attrs.field(factory=list)
    told: list[Told] = attrs.field(factory=list)
    """What was told through this place, if anybody listened."""
    ended: float = math.inf
    ended_order: int = 1 << 60
    deadline_at_end: float = math.inf
    outcome: Literal["ok", "error", "cancelled", "alive"] = "alive"
    response: Response | None = None
    error: BaseException | None = None
    cause: BaseException | None = None
    """The cause of its error when that came by."""

    @property
    def target(self) -> str:
        """Where it goes."""
        return self.call.request.model

    @property
    def request(self) -> Request:
        """What it asks."""
        return self.call.request

    @property
    def counts(self) -> bool:
        """Whether it takes a place in the bound."""
        return not isinstance(self.error, CallShed)

    def below(self) -> Iterator[Entry]:
        """This entry and all inside it."""
        yield self
        for child in self.children:
            yield from child.below()


@attrs.frozen
class Engine:
    """What is known of a layer that makes attempts."""

    depth: int
    bound: int
    budget: Budget
    retry: Retry | None = None
    fallback: Fallback | None = None
    known: bool = True
    """Whether all its policies are ours, so that its choices can be foretold."""


def engine_of(depth: int, layer: object) -> Engine | None:
    """The engine in a layer, or `None`."""
    if isinstance(layer, Attempts):
        own: dict[str, Any] = {}
        for policy in layer.policies:
            name = {Retry: "retry", Fallback: "fallback"}.get(type(policy))
            if name is None or name in own:
                return Engine(depth, _bound(layer), layer.budget, known=False)
            own[name] = policy
        return Engine(depth, _bound(layer), layer.budget, **own)
    if isinstance(layer, Retry):
        return Engine(depth, 1 + layer.retries, layer.budget, retry=layer)
    if isinstance(layer, Fallback):
        return Engine(depth, 1 + layer.extra, layer.budget, fallback=layer)
    return None


def _bound(layer: Attempts) -> int:
    return layer.max_attempts or 1 + sum(policy.extra for policy in layer.policies)


@attrs.frozen
class Option:
    """Another attempt that an engine could make."""

    target: str
    at: float
    reason: Literal["retry", "fallback"]
    hinted: bool = False


@attrs.frozen(eq=False)
class Group:
    """The attempts that one engine made for one call that came to it."""

    engine: Engine
    entry: Entry
    call: CallTrace
    chance: float

    @property
    def attempts(self) -> list[Entry]:
        """In the order in which they were opened."""
        return self.entry.children

    @property
    def counted(self) -> int:
        """How many take a place in the bound."""
        return sum(a.counts for a in self.attempts)

    def told_before(self, order: int) -> bool:
        """Whether its caller had heard something by then, and will not hear it again. To a
        shared flight, its waiters are the caller, and the flight agrees for them."""
        return self.entry.call.on_interrupt == "error" and self.call.told_before(order)

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

    def patched(self) -> dict[str, Request]:
        """What each target is to be asked: the call's own request with its own patch only."""
        original = self.entry.request
        requests = {original.model: original}
        fallback = self.engine.fallback
        for target in fallback.targets if fallback else ():
            if isinstance(target, str):
                request = original.replace(model=target)
            elif callable(target):
                request = target(original)
            else:
                request = original.replace(**target)
            requests.setdefault(request.model, request)
        return requests

    def options(self, count: int) -> list[Option]:
        """What the engine may do after its first `count` attempts, whatever the time."""
        done = self.attempts[:count]
        return [*self._retries(done), *self._fallbacks(done)]

    def _retries(self, done: Sequence[Entry]) -> Iterator[Option]:
        retry = self.engine.retry
        used = sum(a.call.attempt.reason == "retry" and a.counts for a in done)
        if retry is None or used >= retry.retries:
            return
        for target in dict.fromkeys(a.target for a in done):
            here = [a for a in done if a.target == target]
            error = here[-1].error
            if not isinstance(error, LLMError) or not error.retryable:
                continue
            hint = error.retry_after
            if hint is None:
                failures = sum(a.counts for a in here)
                span = min(retry.cap, retry.base * 2.0 ** (failures - 1))
                yield Option(target, here[-1].ended + self.chance * span, "retry")
            elif hint <= retry.max_hint:
                yield Option(target, here[-1].ended + hint, "retry", hinted=True)

    def _fallbacks(self, done: Sequence[Entry]) -> Iterator[Option]:
        fallback = self.engine.fallback
        error = done[-1].error
        if fallback is None or fallback.on or not isinstance(error, LLMError):
            return
        if error.elsewhere:
            used = {a.target for a in done}
            for target in self.patched():
                if target not in used:
                    yield Option(target, done[-1].ended, "fallback")

    def possible(self, count: int) -> list[Option]:
        """The options after `count` attempts that time, bound and budget allow."""
        last = self.attempts[count - 1]
        counted = sum(a.counts for a in self.attempts[:count])
        if counted >= self.engine.bound or self.call.told_before(last.ended_order):
            return []
        refused = self.refused(last)
        return [
            option
            for option in self.options(count)
            if max(option.at, last.ended) < last.deadline_at_end
            and not (option.reason == "retry" and option.target in refused)
        ]


@attrs.define(eq=False)
class CallTrace:
    """One caller and what became of its call."""

    index: int
    caller: Any
    order: dict[int, int]
    """The place of each event (by identity) in the order of everything."""
    arrived: float = 0.0
    deadline: float = math.inf
    """When the caller's own scope ends, where it said so beforehand."""
    stopped: float = math.inf
    """When the caller was cancelled by hand, left, or raised."""
    stopped_order: int = 1 << 60
    tired: bool = False
    """It raised over a delta."""
    done: float = math.inf
    done_order: int = 1 << 60
    outcome: Outcome = "cancelled"
    response: Generation | None = None
    error: Exception | None = None
    heard: list[tuple[float, Delta]] = attrs.field(factory=list)
    """What the caller itself has heard or read."""
    entries: list[Entry] = attrs.field(factory=list)
    live_at_end: int = 0
    """How many of its attempts the provider still had when the call was over."""

    @property
    def top(self) -> Entry:
        """The call as it came to the stack."""
        return self.entries[0]

    @property
    def events(self) -> list[Event]:
        """What its ledger says."""
        return self.entries[0].call.ledger.events if self.entries else []

    @property
    def listens(self) -> bool:
        """Whether the caller hears deltas."""
        return bool(self.caller.mode != "ask")

    @property
    def told(self) -> list[Told]:
        """What the stack told its caller."""
        return self.top.told

    def told_before(self, order: int) -> bool:
        """Whether the caller had heard something of an answer and will not hear another."""
        firm = self.listens and self.caller.on_interrupt == "error"
        return firm and any(t.begun_order < order for t in self.told)

    def since_restart(self) -> list[Told]:
        """What counts of what was told: all after the last `Restarted`."""
        told = self.told
        starts = [i for i, t in enumerate(told) if isinstance(t.delta, Restarted)]
        return told[starts[-1] + 1 :] if starts else told
