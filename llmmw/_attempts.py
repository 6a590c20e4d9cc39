"""The engine of retry and fallback: start another attempt of this call, on a target, at a time.

Policies are pure: each looks at the history and proposes the next start, or nothing. The engine
takes the earliest proposal that fits the deadline, the bound and the budget, and gives up when
there is none. (gRPC proposal A6 treats retries and hedges as one in the same way.)
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator, Sequence
from typing import Protocol

import attrs
import trio

from llmmw._call import Attempt, Call
from llmmw._chain import Handler
from llmmw._deltas import Restarted
from llmmw._ledger import (
    AttemptEnded,
    AttemptFirst,
    AttemptStarted,
    BudgetRefused,
    StreamRestarted,
    WaitStarted,
)
from llmmw._listen import Gate
from llmmw._request import Request
from llmmw._response import Response
from llmmw.errors import CallShed, ConfigError, LLMError, StreamInterrupted

__all__ = ["Budget", "History", "Plan", "Proposer", "Record", "Start"]


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
    gate: Gate | None = attrs.field(default=None, repr=False)
    """Stands before the call's listener, if it has one."""

    @property
    def counts(self) -> bool:
        """Whether it takes a place in the bound: not when it was never sent."""
        return not isinstance(self.error, CallShed)


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

    def on(self, target: str) -> list[Record]:
        """The attempts on one target."""
        return [record for record in self.records if record.target == target]

    @property
    def targets(self) -> list[str]:
        """The targets used, in the order of their first use."""
        return list(self.requests)


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


class Proposer(Protocol):
    """A policy that joins in one plan."""

    @property
    def extra(self) -> int:
        """How many attempts it may add to the first."""

    def propose(self, history: History, now: float) -> Start | None:
        """The next attempt it would make, or `None`. Pure; called after every event."""


def _from_zero(budget: object, field: attrs.Attribute[float], given: object) -> None:
    if type(given) not in {int, float} or not 0 <= given < math.inf:  # type: ignore[operator]
        raise ConfigError(f"Budget({field.name}={given!r}): expected a number from 0 on")


@attrs.define(eq=False)
class Budget:
    """A token bucket for extra attempts, one account a destination.

    Every call deposits `ratio` at the target it goes to first, whether it succeeds or not; every
    repeated attempt on a target takes 1 from that target's account before it waits. `floor`
    tokens a second come by themselves. It never delays a first attempt, and a fallback's first
    visit to another target is no repetition: it takes nothing.

    So on each destination, for every span of time: repetitions ≤ cap + ratio·calls + floor·t.
    """

    ratio: float = attrs.field(default=0.2, validator=_from_zero)
    cap: float = attrs.field(default=10.0, validator=_from_zero)
    floor: float = attrs.field(default=0.1, validator=_from_zero)
    _accounts: dict[str, tuple[float, float]] = attrs.field(factory=dict, init=False, repr=False)

    def balance(self, target: str, now: float) -> float:
        """What the account holds at `now`."""
        held, since = self._accounts.get(target, (self.cap, now))
        return min(self.cap, held + self.floor * max(0.0, now - since))

    def deposit(self, target: str, now: float) -> None:
        """A call begins at `target`."""
        if target in self._accounts:  # an account that was never drawn on is full anyway
            held = self.balance(target, now) + self.ratio
            if held >= self.cap:
                del self._accounts[target]
            else:
                self._accounts[target] = (held, now)

    def take(self, target: str, now: float) -> bool:
        """Take one token for a repeated attempt, or refuse at once and change nothing."""
        held = self.balance(target, now)
        if held < 1.0:
            return False
        self._accounts[target] = (held - 1.0, now)
        return True

    def statistics(self) -> dict[str, float]:
        """The balance of every account that is not full, as of its last change."""
        return {target: held for target, (held, _) in self._accounts.items()}


@attrs.frozen(eq=False)
class Plan:
    """Policies, a budget and a bound, as one middleware."""

    policies: Sequence[Proposer]
    budget: Budget
    max_attempts: int

    async def __call__(self, call: Call, next: Handler) -> Response:
        now = trio.current_time()
        target = call.request.model
        self.budget.deposit(target, now)
        history = History(call.request)
        number = call.ledger.next_number()
        record = Record(number, "first", target, opened=now)
        response = await _attempt(call, next, call.request, record, history)
        while response is None:
            start = self._following(call, history)
            if start is None:
                raise _verdict(history)
            await _wait(call, start, record)
            number = call.ledger.next_number()
            record = Record(number, start.reason, start.target, opened=trio.current_time())
            response = await _attempt(call, next, start.request, record, history)
        return response

    def _following(self, call: Call, history: History) -> Start | None:
        """The next attempt, paid for; or `None`, and there will be no other."""
        records = history.records
        if records[-1].told or sum(record.counts for record in records) >= self.max_attempts:
            return None
        now = trio.current_time()
        history.latest = trio.current_effective_deadline()
        history.refused.clear()
        while starts := list(self._proposals(history, now)):
            start = min(starts, key=lambda s: (s.last_resort, max(s.at, now)))
            if not any(record.counts for record in history.on(start.target)):
                return start
            if self.budget.take(start.target, now):
                return start
            call.ledger.write(BudgetRefused, now, start.target, call.attempt.number)
            history.refused.add(start.target)
        return None

    def _proposals(self, history: History, now: float) -> Iterator[Start]:
        for policy in self.policies:
            start = policy.propose(history, now)
            if start is None or start.target in history.refused:
                continue
            if max(start.at, now) < history.latest:
                yield start


async def _wait(call: Call, start: Start, last: Record) -> None:
    """Wait for the time of the next attempt; then take back what the last one has told."""
    now = trio.current_time()
    if start.at > now:
        call.ledger.write(WaitStarted, now, start.at, start.why, call.attempt.number)
        await trio.sleep_until(start.at)
    if call.listener is not None and last.gate is not None and last.gate.passed:
        reason = type(last.error).__name__
        call.ledger.write(StreamRestarted, trio.current_time(), reason, call.attempt.number)
        await call.listener(Restarted(reason))


async def _attempt(
    call: Call, next: Handler, request: Request, record: Record, history: History
) -> Response | None:
    """One attempt: its response, or `None` and an error in its record."""
    ledger = call.ledger
    number, opened, target = record.number, record.opened, record.target
    history.records.append(record)
    history.requests.setdefault(target, request)
    ledger.write(AttemptStarted, opened, number, target, record.reason, call.attempt.number)
    if call.listener is None:
        inner = call.replace(request=request, attempt=record)
    else:
        gate = Gate.before(call, lambda: ledger.write(AttemptFirst, trio.current_time(), number))
        record.gate = gate
        inner = call.replace(request=request, attempt=record, listener=gate)
    outcome, message = "Cancelled", ""
    response: Response | None = None
    try:
        response = await next(inner)
        if record.gate is not None:
            await record.gate.release()
        outcome = "ok"
        return response
    except LLMError as error:
        outcome, message = type(error).__name__, error.message
        _fail(call, record, error)
        return None
    except Exception as error:
        outcome = type(error).__name__
        raise
    finally:
        ended = record.ended = trio.current_time()
        spent = response.spent if response is not None else (None, None)
        ledger.write(AttemptEnded, ended, number, outcome, ended - opened, message, *spent)


def _fail(call: Call, record: Record, error: LLMError) -> None:
    source = call.host.random if call.host is not None else random
    record.chance = source.random()
    record.error = error
    if record.gate is not None:
        record.told = record.gate.told
        if error.partial is None and record.gate.fold.anything:
            error.partial = record.gate.fold.response()


def _verdict(history: History) -> LLMError:
    """The error of the attempt that was told, else of the first target's last attempt."""
    told = [record for record in history.records if record.told]
    chosen = (told or history.on(history.records[0].target))[-1].error
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
