"""Shared flights: work in the host's nursery whose waiters all get the same answer.

The call that starts a flight leads it, the others follow; after that they are alike. What the
flight tells is kept as long as it lasts, and each waiter reads it from the start at its own pace
in its own task: nobody waits for a slow one, and whoever leaves takes nothing from the others.
The last to leave cancels the flight and waits until it has ended.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable

import attrs
import trio

from llmmw._call import Call, Listener
from llmmw._chain import Handler
from llmmw._deltas import Delta, Fold, PartDelta, PartEnd, Restarted, deltas_of
from llmmw._ledger import FlightJoined, FlightLeft, FlightStarted
from llmmw._listen import AnswerSize, broken_off
from llmmw._response import Generation, Response
from llmmw._tasks import Host, Task
from llmmw.errors import DeadlineExceeded, LLMError, StreamInterrupted

__all__ = ["Flights"]

_CLEANUP = 2.0


@attrs.define(eq=False)
class _Waiter:
    """A call that waits for a flight."""

    call: Call
    deadline: float
    row: list[Delta]
    """What it is being told, which is void once the flight tells another."""
    place: int = 0
    """How much of it was told."""
    cut: bool = False
    """The flight began anew after this one was told something, and it does not want that."""

    @property
    def firm(self) -> bool:
        """Whether it was told something and will not hear anything else."""
        return self.place > 0 and self.call.firm

    def partial(self) -> Generation:
        """What it was told."""
        fold = Fold()
        for delta in self.row[: self.place]:
            fold(delta)
        return fold.response(ledger=self.call.ledger)


@attrs.define(eq=False, repr=False)
class _Flight:
    """One piece of work, what it has told, and who waits for it."""

    key: Hashable
    number: int
    began: float
    streams: bool
    air: dict[Hashable, _Flight]
    """The flights that can be joined, this one among them until it ends or is cancelled."""
    task: Task[Response] = attrs.field(init=False)
    waiters: dict[_Waiter, None] = attrs.field(factory=dict, init=False)
    payer: _Waiter | None = attrs.field(default=None, init=False)
    """The one to whom the answer is booked: who had waited longest when it came."""
    _landed: bool = attrs.field(default=False, init=False)
    _told: list[Delta] = attrs.field(factory=list, init=False)
    """What counts of what was told: all since it began anew."""
    _content: bool = attrs.field(default=False, init=False)
    """There is content in it. What comes before content is held back: it may come to nothing."""
    _restarted: Restarted = attrs.field(default=Restarted(), init=False)
    _size: AnswerSize = attrs.field(factory=AnswerSize, init=False)
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    @property
    def joinable(self) -> bool:
        """Not when its deadline has come, even if it has not noticed."""
        return not self.task.scope.cancel_called

    def start(self, host: Host, call: Call, next: Handler) -> None:
        """Begin. An interruption upstream restarts it; what that means to a waiter who was told
        something already is said by the waiter's own `on_interrupt`."""
        if self.streams:
            call = call.replace(listener=self._hear, on_interrupt="restart")

        async def work() -> Response:
            try:
                return await next(call)
            finally:
                self.land()
                if self._news:
                    self._news.unpark_all()

        self.task = host.start(work)
        self.air[self.key] = self

    def land(self) -> None:
        """Nobody can join any more, and who has waited longest pays."""
        self.payer = next(iter(self.waiters), None)
        if not self._landed:
            self._landed = True
            del self.air[self.key]

    async def _hear(self, delta: Delta) -> None:
        self._size(delta)
        if isinstance(delta, Restarted):
            self._begin_anew(delta)
            await trio.lowlevel.checkpoint_if_cancelled()  # nobody may want to hear it
            return
        self._told.append(delta)
        if not self._content:
            self._content = isinstance(delta, PartEnd) or (
                isinstance(delta, PartDelta) and delta.content
            )
        if self._content and self._news:
            self._news.unpark_all()

    def _begin_anew(self, restarted: Restarted) -> None:
        self._restarted, self._told, self._content = restarted, [], False
        for waiter in [w for w in self.waiters if w.firm]:
            waiter.cut = True
            self._remove(waiter)
        self._news.unpark_all()

    def add(self, call: Call, deadline: float) -> _Waiter:
        """Let a call wait. The flight lasts as long as the most patient of all."""
        waiter = _Waiter(call, deadline, self._told)
        if self.waiters:
            self._move(-math.inf, deadline)
        elif deadline != math.inf:
            self.task.scope.deadline = deadline
        self.waiters[waiter] = None
        return waiter

    def _remove(self, waiter: _Waiter) -> None:
        self.waiters.pop(waiter, None)
        if self.waiters:
            self._move(waiter.deadline, -math.inf)
        else:
            self.land()
            self.task.scope.cancel()

    def _move(self, before: float, now: float) -> None:
        """Somebody's deadline has moved (-inf: there was, or is, none that counts)."""
        scope = self.task.scope
        if now > scope.deadline:
            scope.deadline = now
        elif before >= scope.deadline and all(w.deadline < before for w in self.waiters):
            scope.deadline = max(waiter.deadline for waiter in self.waiters)

    async def wait(self, waiter: _Waiter) -> Response:
        """The answer, told to the waiter's listener from its start on."""
        call, listener = waiter.call, waiter.call.listener
        try:
            if listener is not None and self.streams and call.on_interrupt != "buffer":
                await self._replay(waiter, listener)
            else:
                await self.task.ended.wait()
            if self.task.scope.cancelled_caught:  # as the waiter's own limits may be
                await trio.lowlevel.checkpoint_if_cancelled()
            response = self._result(waiter)
            if listener is not None:
                for delta in self._rest(waiter, response):
                    await listener(delta)
            return response
        finally:
            if not self.task.ended.is_set():
                await self._leave(waiter)

    async def _replay(self, waiter: _Waiter, listener: Listener) -> None:
        while not waiter.cut:
            if waiter.row is not self._told:
                told, waiter.row, waiter.place = waiter.place, self._told, 0
                if told:
                    await listener(self._restarted)
            elif self._content and waiter.place < len(waiter.row):
                waiter.place += 1
                await listener(waiter.row[waiter.place - 1])
            elif self.task.ended.is_set():
                return
            else:
                await self._news.park()
                continue
            self._look_at_deadline(waiter)
        partial = waiter.partial()
        raise StreamInterrupted(
            f"the answer broke off: {self._restarted.reason}",
            provider=partial.provider or None,
            model=partial.model or None,
            partial=partial,
        )

    def _rest(self, waiter: _Waiter, response: Response) -> Iterable[Delta]:
        """What is to be told with the response."""
        if self.streams:
            return self._told[waiter.place :]
        return deltas_of(response) if isinstance(response, Generation) else ()

    def _look_at_deadline(self, waiter: _Waiter) -> None:
        """A limit around the waiter may have moved with what it was told."""
        before, now = waiter.deadline, trio.current_effective_deadline()
        if now != before and now != -math.inf and waiter in self.waiters:
            waiter.deadline = now
            self._move(before, now)

    def _result(self, waiter: _Waiter) -> Response:
        try:
            if self.task.scope.cancelled_caught:  # a waiter was given more time by somebody else
                after = trio.current_time() - self.began
                message = f"the last deadline known of those who waited ran out after {after:g} s"
                raise DeadlineExceeded(message, limit="total", after=after, layer="Coalesce()")
            return self.task.result_nowait()
        except LLMError as error:
            if not waiter.firm:
                raise
            raised = broken_off(error, waiter.partial())
        raise raised

    async def _leave(self, waiter: _Waiter) -> None:
        """The others go on; the last to leave sees the flight end."""
        self._remove(waiter)
        call, others = waiter.call, len(self.waiters)
        if others:
            parent = call.attempt.number
            call.ledger.write(FlightLeft, trio.current_time(), self.number, others, parent)
        else:
            with trio.move_on_after(_CLEANUP, shield=True):
                await self.task.ended.wait()


@attrs.define(eq=False)
class Flights:
    """The flights that are in the air, by what they are for."""

    started: int = attrs.field(default=0, init=False)
    joined: int = attrs.field(default=0, init=False)
    _air: dict[Hashable, _Flight] = attrs.field(factory=dict, init=False)

    async def share(self, key: Hashable, call: Call, next: Handler, host: Host) -> Response:
        """The answer of the flight for `key`: of the one in the air, else of a new one, in which
        `next` answers the call."""
        deadline = trio.current_effective_deadline()
        if deadline == -math.inf:
            await trio.lowlevel.checkpoint_if_cancelled()
        now, parent = trio.current_time(), call.attempt.number
        flight = self._air.get(key)
        if flight is not None and not flight.joinable:
            flight.land()
            flight = None
        if leads := flight is None:
            self.started += 1
            flight = _Flight(key, self.started, now, call.listener is not None, self._air)
            call.ledger.write(FlightStarted, now, flight.number, parent)
            flight.start(host, call, next)
        else:
            self.joined += 1
            others = len(flight.waiters)
            call.ledger.write(FlightJoined, now, flight.number, flight.began, others, parent)
        waiter = flight.add(call, deadline)
        response = await flight.wait(waiter)
        if leads:
            return response
        joined = response.joined or flight.payer is not waiter
        return response.replace(joined=joined, ledger=call.ledger)

    def __len__(self) -> int:
        return len(self._air)
