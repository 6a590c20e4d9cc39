"""What policies that make further attempts see and say, and the running of one attempt.

Policies are pure: each looks at the history and proposes the next start, or nothing; `_plan`
chooses. (gRPC proposal A6 treats retries and hedges as one in the same way.)
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias

import attrs
import trio

from llmmw._budget import Budget
from llmmw._call import Attempt, Call
from llmmw._chain import Handler
from llmmw._deltas import Restarted
from llmmw._ledger import (
    AttemptEnded,
    AttemptFirst,
    AttemptStarted,
    Ledger,
    StreamRestarted,
    WaitStarted,
)
from llmmw._listen import Gate, at_once
from llmmw._request import Request
from llmmw._response import Response
from llmmw.errors import CallShed, ListenerFailed, LLMError, StreamInterrupted

__all__ = [
    "FallbackTarget",
    "History",
    "Proposer",
    "Record",
    "Start",
    "aimed",
    "attempt",
    "begin",
    "restart",
    "verdict",
    "wait",
]

FallbackTarget: TypeAlias = str | Mapping[str, Any] | Callable[[Request], Request]
"""A target; or a dict of the request's fields to change, `model` among them; or a function of
the original request."""

Claim: TypeAlias = Callable[[bool], Awaitable[bool]]
"""Whether an attempt may tell what it has; asked with its first content (`False`), and with its
response (`True`), when it may wait for the answer."""


@attrs.define(eq=False)
class Record(Attempt):
    """One attempt of a call as policies see it."""

    opened: float = 0.0
    ended: float | None = None
    error: LLMError | None = None
    told: bool = False
    """The caller has heard some of it; there can be no other attempt."""
    chance: float = 0.0
    """A number from [0, 1) drawn when it ended, so that asking twice gives the same answer."""
    first: float | None = None
    """When its first content came, or its response if that came whole."""
    superseded: bool = False
    """Another has won, and this one is cancelled."""
    gate: Gate | None = attrs.field(default=None, repr=False)
    """Stands before the call's listener, if it has one."""
    outer: Attempt | None = attrs.field(default=None, repr=False)
    """The attempt of another plan that this one is a part of."""
    when_sent: Callable[[], None] | None = attrs.field(default=None, repr=False)
    """Called once it has left."""
    paid: tuple[tuple[Budget, str], ...] = attrs.field(default=(), repr=False)
    """The accounts that it took from."""

    @property
    def counts(self) -> bool:
        """Whether it takes a place in the bound: not when it was never sent."""
        return not isinstance(self.error, CallShed)

    def refund(self) -> None:
        """Give back what was taken for an attempt that was never sent."""
        for budget, account in self.paid:
            budget.give_back(account, trio.current_time())

    def mark_sent(self, ledger: Ledger) -> None:
        """As for any attempt; and with it those have left that it is a part of."""
        if self.sent is not None:
            return
        super().mark_sent(ledger)
        part: Attempt | None = self
        while isinstance(part, Record):
            part.sent = self.sent if part.sent is None else part.sent
            if part.when_sent is not None:
                part.when_sent()
            part = part.outer


@attrs.define(eq=False)
class History:
    """The attempts of one call, in order. `request` is the call's own, before any patch."""

    request: Request
    records: list[Record] = attrs.field(factory=list)
    requests: dict[str, Request] = attrs.field(factory=dict)
    """What each target was asked, in the order of their first use."""
    latest: float = math.inf
    """The deadline: a start that is not before it is of no use."""
    refused: set[str] = attrs.field(factory=set)
    """The targets that the budget has just refused to ask again."""
    failures: list[Record] = attrs.field(factory=list)
    """The attempts that failed, in the order of their ends."""
    elsewhere: tuple[FallbackTarget, ...] = ()
    """The targets that the policies of the plan name."""

    def on(self, target: str) -> list[Record]:
        """The attempts on one target."""
        return [record for record in self.records if record.target == target]

    @property
    def targets(self) -> list[str]:
        """The targets used, in the order of their first use."""
        return list(self.requests)

    @property
    def live(self) -> list[Record]:
        """The attempts that go on and may still win."""
        return [r for r in self.records if r.ended is None and not r.superseded]

    def forget(self, record: Record) -> None:
        """An attempt that was decided on is not made after all."""
        self.records.remove(record)
        if not self.on(record.target):
            del self.requests[record.target]
        record.refund()


@attrs.frozen
class Start:
    """A proposal: another attempt on `target` at time `at`; `request` is what it asks."""

    target: str
    at: float
    reason: str
    request: Request
    why: str = "backoff"
    """What it waits for, if it waits."""
    last_resort: bool = False
    """Only wanted if no other policy proposes anything."""
    budget: Budget | None = None
    """What it takes from besides, on the account of the call's own target."""
    paid: tuple[tuple[Budget, str], ...] = ()
    """The accounts that it has taken from."""


def aimed(target: FallbackTarget, original: Request) -> Request:
    """The request that a target is asked."""
    if isinstance(target, str):
        return original.replace(model=target)
    if isinstance(target, Mapping):
        return original.replace(**target)
    return target(original)


class Proposer(Protocol):
    """A policy that joins in one plan."""

    @property
    def extra(self) -> int:
        """How many attempts it may add to the first."""

    def propose(self, history: History, now: float) -> Start | None:
        """The next attempt it would make, or `None`. Pure; called after every event. While an
        attempt goes on, only those are asked that may start another beside it."""


async def restart(call: Call, last: Record | None) -> None:
    """Take back what an attempt has told, if it has."""
    gate = last.gate if last is not None else None
    if call.listener is not None and last is not None and gate is not None and gate.passed:
        reason = type(last.error).__name__
        call.ledger.write(StreamRestarted, trio.current_time(), reason, call.attempt.number)
        await call.listener(Restarted(reason))


async def wait(call: Call, start: Start, last: Record | None) -> None:
    """Take back what the last attempt has told, at once, since a listener may want no other;
    then wait for the time of the next."""
    await restart(call, last)
    now = trio.current_time()
    if start.at > now:
        call.ledger.write(WaitStarted, now, start.at, start.why, call.attempt.number)
        await trio.sleep_until(start.at)


def begin(call: Call, start: Start, history: History) -> Record:
    """The record of an attempt that is to start now."""
    now = trio.current_time()
    number = call.ledger.next_number()
    record = Record(number, start.reason, start.target, opened=now, paid=start.paid)
    record.silent = call.attempt.silent
    if call.attempt.number:
        record.outer = call.attempt
    history.records.append(record)
    history.requests.setdefault(start.target, start.request)
    return record


async def attempt(
    call: Call,
    next: Handler,
    request: Request,
    record: Record,
    history: History,
    claim: Claim = at_once,
) -> Response | None:
    """One attempt: its response, or `None` and an error in its record."""
    ledger, number = call.ledger, record.number
    parent = call.attempt.number
    ledger.write(AttemptStarted, record.opened, number, record.target, record.reason, parent)
    if call.listener is None:
        inner = call.replace(request=request, attempt=record)
    else:

        def first() -> None:
            record.first = trio.current_time()
            ledger.write(AttemptFirst, record.first, number)

        gate = record.gate = Gate.before(call, first, claim)
        inner = call.replace(request=request, attempt=record, listener=gate)
    outcome, message = "Cancelled", ""
    response: Response | None = None
    try:
        response = await next(inner)
        if record.gate is not None:
            record.first = trio.current_time() if record.first is None else record.first
            await record.gate.release()
        outcome = "ok"
        return response
    except Exception as error:
        outcome = type(error).__name__
        if record.superseded:  # the fault of one that has lost is nobody's business
            message = f"{outcome}: {error}"
        elif isinstance(error, LLMError):
            message = error.message
            _fail(call, record, error, history)
        elif _spare(record, error, history):
            record.superseded, message = True, f"{outcome}: {error}"
        else:
            raise
        return None
    finally:
        ended = record.ended = trio.current_time()
        outcome = "Superseded" if record.superseded else outcome
        spent = response.spent if response is not None else ()
        seconds = ended - record.opened
        ledger.write(AttemptEnded, ended, number, outcome, seconds, message, *spent)


def _spare(record: Record, error: Exception, history: History) -> bool:
    """Whether an error that is none of a call ends only this attempt: it was an extra one, of
    which nothing was told, and the one that it was to help goes on."""
    extra = record.reason == "hedge" and not isinstance(error, ListenerFailed)
    passed = record.gate is not None and record.gate.passed
    return extra and not passed and any(one is not record for one in history.live)


def _fail(call: Call, record: Record, error: LLMError, history: History) -> None:
    source = call.host.random if call.host is not None else random
    record.chance = source.random()
    record.error = error
    history.failures.append(record)
    if not record.counts:
        record.refund()
    if record.gate is not None:
        record.told = record.gate.told
        if error.partial is None and record.gate.fold.anything:
            error.partial = record.gate.fold.response()


def verdict(history: History) -> LLMError:
    """The error of the attempt that was told, else of the first target's last failure, else of
    the last failure; of those that were sent, if any was, for an open circuit hides nothing."""
    told = [record for record in history.records if record.told]
    own = [record for record in history.on(history.records[0].target) if record.error is not None]
    sent = [record for record in history.failures if record.counts]
    own_sent = [record for record in own if record.counts]
    chosen = (told or own_sent or sent or own or history.failures)[-1].error
    assert chosen is not None
    errors = [one for record in history.records for one in _all_of(record.error)]
    if told and not isinstance(chosen, StreamInterrupted):
        cut = StreamInterrupted(
            f"the answer broke off: {chosen.message}",
            provider=chosen.provider,
            model=chosen.model,
            status=chosen.status,
            code=chosen.code,
            request_id=chosen.request_id,
            partial=chosen.partial,
        )
        cut.__cause__ = chosen
        chosen = cut
    if len(errors) > 1:
        # A copy, since whoever raised the error may raise the same object again.
        one, chosen = chosen, copy.copy(chosen).with_traceback(chosen.__traceback__)
        chosen.__cause__ = one.__cause__
        chosen.attempts = tuple(errors)
    return chosen


def _all_of(error: LLMError | None) -> Iterator[LLMError]:
    if error is not None:
        yield from error.attempts or (error,)
