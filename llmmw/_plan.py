"""The engine of retry, fallback and hedge: start another attempt of this call, on a target, at a
time.

The plan takes the earliest proposal that fits the deadline, the bound and the budget, and gives up
when there is none. Where no policy hedges, attempts follow one another and no nursery is opened.
Otherwise they run in one: the first with content wins, and the others are cancelled and awaited.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeGuard

import attrs
import trio

from llmmw._attempts import attempt, begin, restart, verdict, wait
from llmmw._budget import Budget, pay
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import Delta, PartDelta, Restarted
from llmmw._history import FallbackTarget, Hedging, History, Proposer, Record, Start
from llmmw._ledger import BudgetRefused, HedgeFired, TargetPassedOver
from llmmw._request import Request
from llmmw._response import Response
from llmmw._resume import Told, objection
from llmmw._tasks import open_nursery

__all__ = ["Plan"]


def _hedges(policy: Proposer) -> TypeGuard[Hedging]:
    return hasattr(policy, "learn")


@attrs.frozen(eq=False)
class Plan:
    """Policies, a budget and a bound, as one middleware. Without a budget, only what a start
    brings itself is paid from. `max_resumes` bounds how often an answer is continued."""

    policies: Sequence[Proposer]
    budget: Budget | None
    max_attempts: int
    max_resumes: int = 1
    hold_back: int = 0
    hedges: Sequence[Hedging] = attrs.field(init=False)
    budgets: tuple[Budget, ...] = attrs.field(init=False)
    """Those in which every call deposits."""
    elsewhere: tuple[FallbackTarget, ...] = attrs.field(init=False)

    @hedges.default
    def _find_hedges(self) -> Sequence[Hedging]:
        return tuple(policy for policy in self.policies if _hedges(policy))

    @budgets.default
    def _find_budgets(self) -> tuple[Budget, ...]:
        several = (self.budget, *(hedge.budget for hedge in self.hedges))
        return tuple(budget for budget in several if budget is not None)

    @elsewhere.default
    def _find_targets(self) -> tuple[FallbackTarget, ...]:
        return tuple(t for policy in self.policies for t in getattr(policy, "targets", ()))

    async def __call__(self, call: Call, next: Handler) -> Response:
        now = trio.current_time()
        target = call.request.model
        history = History(call.request, elsewhere=self.elsewhere, hold_back=self.hold_back)
        if call.on_interrupt == "resume" and call.listener is not None:
            history.said = Told(call)
            call = call.replace(listener=history.said)
        for budget in self.budgets:
            budget.deposit(target, now)
        start: Start | None = Start(target, now, "first", call.request)
        response: Response | None = None
        if self.hedges:
            response = await _Race(self, call, next, history).run(start)
            start = None
        while start is not None:
            record = begin(call, start, history)
            response = await attempt(call, next, start.request, record, history)
            start = None if response is not None else self.following(call, history)
            if start is not None:
                await wait(call, start, record)
        if response is None:
            raise verdict(history)
        return response

    def following(self, call: Call, history: History) -> Start | None:
        """The next attempt after all have ended, paid for; or `None`: there will be no other."""
        now = trio.current_time()
        history.refused = frozenset()
        while starts := list(self._proposals(self.policies, history, now)):
            start = min(starts, key=lambda s: (s.last_resort, max(s.at, now)))
            if self._passes_over(call, start, history):
                continue
            paid = self.paid(call, start, history)
            if paid is not None:
                return paid
            history.refused |= {start.target}
        return None

    def beside(self, call: Call, history: History) -> Start | None:
        """The next attempt beside those that go on, not paid for yet; or `None`."""
        while starts := list(self._proposals(self.hedges, history, trio.current_time())):
            start = min(starts, key=lambda start: start.at)
            if not self._passes_over(call, start, history):
                return start
        return None

    def _passes_over(self, call: Call, start: Start, history: History) -> bool:
        """Whether the target can't serve what it would be asked; it is looked at once."""
        target, said = start.target, history.said
        looked = (target, said is not None and said.begun)
        if looked in history.fit:
            return False
        why = objection(call, start.request, said, first=history.new(target))
        if not why:
            history.fit |= {looked}
            return False
        history.passed_over |= {target}
        parent = call.attempt.number
        call.ledger.write(TargetPassedOver, trio.current_time(), target, why, parent)
        return True

    def due(self, history: History) -> float:
        """When the next attempt beside those that go on may be wanted; infinite is never."""
        return min(hedge.due(history) for hedge in self.hedges)

    def warm(self, call: Call, history: History) -> None:
        """Have a connection made to where the next attempt beside those that go on would be."""
        eager = [hedge for hedge in self.hedges if hedge.warm]
        if eager and call.host is not None:
            with suppress(Exception):  # what is wrong shows when it is asked
                for start in self._proposals(eager, history, trio.current_time()):
                    call.host.warm(start.target)

    def _proposals(
        self, policies: Sequence[Proposer], history: History, now: float
    ) -> Iterator[Start]:
        history.latest = trio.current_effective_deadline()
        records = history.records
        if any(record.told for record in records) and not self._resumable(history):
            return
        if sum(record.counts for record in records) >= self.max_attempts:
            return
        for policy in policies:
            start = policy.propose(history, now)
            if start is not None and history.open(start.target, max(start.at, now)):
                yield start

    def _resumable(self, history: History) -> bool:
        said, requests = history.said, history.requests.values()
        return said is not None and said.resumable(requests, self.max_resumes)

    def paid(self, call: Call, start: Start, history: History) -> Start | None:
        """The same start once its tokens are taken, or `None`: refused. A first visit to a target
        takes none of the plan's."""
        accounts = []
        if start.budget is not None:
            accounts.append((start.budget, history.request.model))
        again = any(record.counts for record in history.on(start.target))
        if self.budget is not None and again:
            accounts.append((self.budget, start.target))
        now = trio.current_time()
        if not accounts:
            return start
        if pay(accounts, now):
            return attrs.evolve(start, paid=tuple(accounts))
        call.ledger.write(BudgetRefused, now, start.target, call.attempt.number)
        return None


async def _unheard(delta: Delta) -> None:
    """Where nobody listens, attempts stream all the same, so that first content is seen."""


@attrs.define(eq=False)
class _Race:
    """The attempts of one call of which several may go on at once, each a task."""

    plan: Plan
    call: Call
    next: Handler
    history: History
    response: Response | None = None
    winner: Record | None = None
    cut: Record | None = None
    """The winner that broke off last, if nothing has won since."""
    hedging: bool = True
    """No budget has refused yet."""
    heard: Call = attrs.field(init=False)
    """The call as attempts get it, which has a listener."""
    keep: int = attrs.field(init=False)
    passed: int = 0
    """Deltas with content that the winner has told."""
    nursery: trio.Nursery = attrs.field(init=False)
    scopes: dict[Record, trio.CancelScope] = attrs.field(factory=dict)
    news: trio.Event | None = None
    timer: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Of the wait for news, which ends when another attempt is due."""
    free: trio.Event | None = None
    """Set when the winner has broken off, if an answer waits for that."""

    def __attrs_post_init__(self) -> None:
        call = self.call
        silent = call.listener is None
        self.heard = call.listening(_unheard) if silent else call
        # After something was told for good no other attempt helps, so none is kept.
        self.keep = 0 if self.heard.firm else max(hedge.cancel_after for hedge in self.plan.hedges)
        if self.keep:
            self.heard = call.listening(self._tell)

    async def run(self, start: Start | None) -> Response | None:
        """The response of the attempt that won, or `None`: all have failed."""
        async with open_nursery() as self.nursery:
            while self.response is None:
                if start is not None:
                    self._open(start)
                    start = None
                elif self.winner is not None:
                    await self._wait_news()
                elif self.history.live:
                    start = await self._wait_hedge()
                else:
                    start = self.plan.following(self.call, self.history)
                    if start is None:
                        break
                    await wait(self.call, start, self.cut)
                    self.cut = None
            if self.nursery.child_tasks:
                self._cancel_others()
                # What is complete is returned, whatever happens while the others unwind.
                self.nursery.cancel_scope.shield = self.response is not None
                self.nursery.cancel_scope.cancel()
        return self.response

    async def _wait_news(self, until: float = math.inf) -> None:
        self.news = trio.Event()
        with trio.CancelScope(deadline=until) as self.timer:
            await self.news.wait()

    async def _wait_hedge(self) -> Start | None:
        """The next attempt beside the others, paid for, once it is due; `None`: look again."""
        due = self.plan.due(self.history) if self.hedging else math.inf
        if due > trio.current_time():
            await self._wait_news(due)
            return None
        start = self.plan.beside(self.call, self.history)
        if start is None:
            await self._wait_news()
            return None
        paid = self.plan.paid(self.call, start, self.history)
        self.hedging = paid is not None
        return paid

    def _open(self, start: Start) -> None:
        record = begin(self.call, start, self.history)
        record.silent = record.silent or self.call.listener is None
        record.when_sent = self._sent
        self.scopes[record] = trio.CancelScope()
        self.nursery.start_soon(self._run, record, start.request)

    def _sent(self) -> None:
        """An attempt has left, so it is known when to look again."""
        if self.hedging and self.winner is None:
            self.timer.deadline = self.plan.due(self.history)
            self.plan.warm(self.call, self.history)

    def _wake(self) -> None:
        if self.news is not None:
            self.news.set()

    async def _run(self, record: Record, request: Request) -> None:
        async def claim(whole: bool) -> bool:
            return await self._claim(record, whole)

        try:
            with self.scopes[record]:
                await self._leave(record)
                response = await attempt(
                    self.heard, self.next, request, record, self.history, claim
                )
                if response is not None:
                    self.response = response
        finally:
            for hedge in self.plan.hedges:
                hedge.learn(record, request, trio.current_time())
        if self.winner is record and self.response is None:
            self.winner, self.cut = None, record
            free, self.free = self.free, None
            if free is not None:
                free.set()
        self._wake()

    async def _leave(self, record: Record) -> None:
        """The attempt starts, unless it has lost, or the call was cancelled, since it was decided
        on: then it was never made."""
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self.history.forget(record)
            raise
        if record.reason == "hedge":
            sent = [one.sent for one in self.history.live if one.sent is not None]
            if not sent:  # they have ended since it was decided on
                sent = [one.sent for one in self.history.records if one.sent is not None]
            fired = self.call.attempt.number
            self.call.ledger.write(HedgeFired, record.opened, record.opened - max(sent), fired)

    async def _claim(self, record: Record, whole: bool) -> bool:
        while self.winner is not record:
            if record.superseded:
                await trio.lowlevel.checkpoint()  # which raises, for its scope is cancelled
            elif self.winner is None:
                self._win(record)
                cut, self.cut = self.cut, None
                await restart(self.call, cut)
            elif whole:
                self.free = self.free or trio.Event()
                await self.free.wait()
            else:
                return False
        return True

    def _win(self, record: Record) -> None:
        self.winner = record
        self.passed = 0
        if not self.keep:
            self._cancel_others()

    def _cancel_others(self) -> None:
        for record in self.history.live:
            if record is not self.winner:
                record.superseded = True
                self.scopes[record].cancel()

    async def _tell(self, delta: Delta) -> None:
        """Count what the winner tells."""
        if isinstance(delta, Restarted):
            self.passed = 0
        elif isinstance(delta, PartDelta) and delta.content:
            self.passed += 1
            if self.passed == self.keep:
                self._cancel_others()
        if self.call.listener is not None:
            await self.call.listener(delta)
