"""Shared flights: work in the host's nursery whose waiters all get the same answer.

The call that starts a flight leads it, the others follow; after that they are alike. What the
flight tells is kept as long as it lasts, and each waiter reads it from the start at its own pace
in its own task: nobody waits for a slow one, and whoever leaves takes nothing from the others.
The last to leave cancels the flight and waits until it has ended.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import Delta, PartDelta, PartEnd, Restarted, deltas_of
from llmmw._ledger import FlightJoined, FlightLeft, FlightStarted
from llmmw._listen import Gate
from llmmw._parts import MediaPart
from llmmw._response import Generation, Response
from llmmw._tasks import Host, Task
from llmmw.errors import DeadlineExceeded, LLMError, ProtocolError, StreamInterrupted

__all__ = ["Flights"]

_CLEANUP = 2.0
_MOST_BYTES = 64 * 2**20


@attrs.define(eq=False)
class _Waiter:
    """A call that waits for a flight."""

    call: Call
    deadline: float
    gate: Gate | None
    cut: bool = False
    """The flight began anew after this one was told something, and it does not want that."""


@attrs.define(eq=False, repr=False)
class _Flight:
    """One piece of work, what it has told, and who waits for it."""

    number: int
    began: float
    streams: bool
    task: Task[Response] = attrs.field(init=False)
    waiters: dict[_Waiter, None] = attrs.field(factory=dict, init=False)
    _told: list[Delta] = attrs.field(factory=list, init=False)
    """What counts of what was told: all after the last of `_restarts`."""
    _restarts: list[Restarted] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    @property
    def joinable(self) -> bool:
        """Not when it has ended, nor when it was cancelled and unwinds, if only by its deadline."""
        return not (self.task.ended.is_set() or self.task.scope.cancel_called)

    def start(self, host: Host, call: Call, next: Handler) -> None:
        """Begin. An interruption upstream restarts it; what that means to a waiter who was told
        something already is said by the waiter's own `on_interrupt`."""
        listener = self._hear if self.streams else None
        shared = call.replace(listener=listener, on_interrupt="restart")

        async def work() -> Response:
            try:
                return await next(shared)
            finally:
                self._news.unpark_all()

        self.task = host.start(work)

    async def _hear(self, delta: Delta) -> None:
        if isinstance(delta, Restarted):
            self._restarts.append(delta)
            self._told = []
            self._size = 0
            for waiter in [w for w in self.waiters if w.gate is not None and w.gate.told]:
                waiter.cut = True
                self._remove(waiter)
        else:
            self._told.append(delta)
            self._size += _bytes_in(delta)
            if self._size > _MOST_BYTES:
                raise ProtocolError(f"the answer is larger than {_MOST_BYTES} bytes")
        self._news.unpark_all()
        await trio.lowlevel.checkpoint_if_cancelled()

    def add(self, call: Call) -> _Waiter:
        """Let a call wait. The flight lasts as long as the most patient of all."""
        gate = Gate.before(call) if call.listener is not None else None
        waiter = _Waiter(call, trio.current_effective_deadline(), gate)
        scope = self.task.scope
        latest = max(scope.deadline, waiter.deadline) if self.waiters else waiter.deadline
        scope.deadline = latest
        self.waiters[waiter] = None
        return waiter

    def _remove(self, waiter: _Waiter) -> None:
        self.waiters.pop(waiter, None)
        if not self.waiters:
            self.task.scope.cancel()
        elif all(other.deadline < waiter.deadline for other in self.waiters):
            self._set_deadline()

    def _set_deadline(self) -> None:
        self.task.scope.deadline = max(waiter.deadline for waiter in self.waiters)

    async def wait(self, waiter: _Waiter) -> Response:
        """The answer, told to the waiter's listener from its start on."""
        gate = waiter.gate
        try:
            if gate is None:
                await self.task.ended.wait()
                return self._result(None)
            if self.streams:
                await self._replay(waiter, gate)
            else:
                await self.task.ended.wait()
            response = self._result(gate)
            if not self.streams and isinstance(response, Generation):
                for delta in deltas_of(response):
                    await gate(delta)
            await gate.release()
            return response
        finally:
            if not self.task.ended.is_set():
                await self._leave(waiter)
            self.waiters.pop(waiter, None)

    async def _replay(self, waiter: _Waiter, gate: Gate) -> None:
        restarts = len(self._restarts)
        place = 0
        while not waiter.cut:
            if restarts != len(self._restarts):
                restarts, place = len(self._restarts), 0
                await gate(self._restarts[-1])
            elif place < len(self._told):
                place += 1
                await gate(self._told[place - 1])
            elif self.task.ended.is_set():
                return
            else:
                await self._news.park()
                continue
            self._look_at_deadline(waiter)
        reason = self._restarts[-1].reason
        partial = gate.fold.response(ledger=waiter.call.ledger)
        raise StreamInterrupted(f"the answer broke off: {reason}", partial=partial)

    def _look_at_deadline(self, waiter: _Waiter) -> None:
        """A limit around the waiter may have moved with what it was told."""
        deadline = trio.current_effective_deadline()
        if deadline not in {waiter.deadline, -math.inf} and waiter in self.waiters:
            waiter.deadline = deadline
            self._set_deadline()

    def _result(self, gate: Gate | None) -> Response:
        if self.task.scope.cancelled_caught:  # a waiter was given more time by somebody else
            after = trio.current_time() - self.began
            message = f"the last deadline known of those who waited ran out after {after:g} s"
            raise DeadlineExceeded(message, limit="total", after=after, layer="Coalesce()")
        try:
            return self.task.result_nowait()
        except LLMError as error:
            if gate is None or not gate.told:
                raise
            if isinstance(error, StreamInterrupted):
                error.partial = error.partial or gate.fold.response()
                raise
            raise StreamInterrupted(
                f"the answer broke off: {error.message}",
                provider=error.provider,
                model=error.model,
                status=error.status,
                code=error.code,
                request_id=error.request_id,
                partial=error.partial or gate.fold.response(),
            ) from error

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


def _bytes_in(delta: Delta) -> int:
    if isinstance(delta, PartDelta):
        return len(delta.text) + len(delta.arguments) + len(delta.data)
    if isinstance(delta, PartEnd) and isinstance(delta.part, MediaPart):
        return len(delta.part.data or b"")
    return 0


@attrs.define(eq=False)
class Flights:
    """The flights that are in the air, by what they are for."""

    started: int = attrs.field(default=0, init=False)
    joined: int = attrs.field(default=0, init=False)
    _flights: dict[Hashable, _Flight] = attrs.field(factory=dict, init=False)

    async def share(self, key: Hashable, call: Call, next: Handler, host: Host) -> Response:
        """The answer of the flight for `key`: of the one in the air, else of a new one, in which
        `next` answers the call."""
        await trio.lowlevel.checkpoint_if_cancelled()
        now, parent = trio.current_time(), call.attempt.number
        flight = self._flights.get(key)
        if leads := flight is None or not flight.joinable:
            self.started += 1
            flight = _Flight(self.started, now, call.listener is not None)
            call.ledger.write(FlightStarted, now, flight.number, parent)
            flight.start(host, call, next)
            self._flights[key] = flight
        else:
            self.joined += 1
            others = len(flight.waiters)
            call.ledger.write(FlightJoined, now, flight.number, flight.began, others, parent)
        try:
            response = await flight.wait(flight.add(call))
        finally:
            if not flight.waiters and self._flights.get(key) is flight:
                del self._flights[key]
        return response if leads else response.replace(joined=True, ledger=call.ledger)

    def __len__(self) -> int:
        return len(self._flights)
