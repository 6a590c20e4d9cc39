"""Batches: what is asked at nearly the same time is answered by one piece of work.

Who asks first opens a batch, a task in the host's nursery, and others of its key join. It closes
when two passes of the scheduler have added nothing, when it is full, or after its longest wait.
Each waits in its own task: whoever leaves takes nothing from the others, and the last to leave
cancels the batch and waits until it has ended. One who is left alone asks in its own task.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
import trio

from llmmw._tasks import Host, Task
from llmmw.errors import DeadlineExceeded

__all__ = ["Batches", "Limits", "Seat", "Split", "Work"]

I = TypeVar("I")  # noqa: E741 (an item)
O = TypeVar("O")  # noqa: E741 (its outcome)

_CLEANUP = 2.0
_QUIET = 2
"""Passes of the scheduler that add nothing, after which nothing more is expected."""


@attrs.frozen
class Limits:
    """What one batch may hold."""

    size: float
    tokens: float
    wait: float
    """Seconds that it may stay open."""

    def allow(self, size: int, tokens: int) -> bool:
        """Whether so much fits in one."""
        return size <= self.size and tokens <= self.tokens


@attrs.define(eq=False)
class Seat(Generic[I]):
    """Someone's place in a batch."""

    item: I
    size: int
    tokens: int
    deadline: float
    batch: _Batch[I, Any] | None = None
    """Where it is now; in none, it is to ask alone."""
    place: int = 0

    @property
    def taken(self) -> bool:
        """Whether somebody still waits there."""
        return self.batch is not None and self in self.batch.seats


class Split(Exception):
    """What work raises if one item may have spoiled all: they are asked again, in two halves."""


Work: TypeAlias = Callable[[int, Sequence[Seat[I]]], Awaitable[Sequence[O | Exception]]]
"""Answers a batch of that number: an outcome or an error for each seat. What it raises is the
error of all."""


@attrs.define(eq=False, repr=False)
class _Batch(Generic[I, O]):
    """One piece of work, and who waits for it."""

    key: Hashable
    number: int
    limits: Limits
    work: Work[I, O]
    owner: Batches[I, O]
    host: Host
    began: float
    task: Task[Sequence[O | Exception]] = attrs.field(init=False)
    seats: dict[Seat[I], None] = attrs.field(factory=dict, init=False)
    size: int = attrs.field(default=0, init=False)
    tokens: int = attrs.field(default=0, init=False)
    joined: int = attrs.field(default=0, init=False)

    def has_room(self, size: int, tokens: int) -> bool:
        """Not when its deadline has come, even if it has not noticed."""
        fits = self.limits.allow(self.size + size, self.tokens + tokens)
        return fits and not self.task.scope.cancel_called

    def add(self, seat: Seat[I]) -> None:
        """Let somebody wait. The batch lasts as long as the most patient of all."""
        before = self.task.scope.deadline if self.seats else -math.inf
        self.task.scope.deadline = max(before, seat.deadline)
        self.seats[seat] = None
        self.size += seat.size
        self.tokens += seat.tokens
        self.joined += 1
        seat.batch = self

    def close(self) -> None:
        """Nobody can join any more."""
        if self.owner.open.get(self.key) is self:
            del self.owner.open[self.key]

    async def collect(self) -> Sequence[O | Exception]:
        """Wait until nothing more is expected, then answer."""
        with trio.move_on_at(self.began + self.limits.wait):
            seen, quiet = self.joined, 0
            while quiet < _QUIET and self.owner.open.get(self.key) is self:
                await trio.lowlevel.checkpoint()
                quiet = quiet + 1 if self.joined == seen else 0
                seen = self.joined
        self.close()
        return await self.answer()

    async def answer(self) -> Sequence[O | Exception]:
        """The outcomes by place; whoever asks again, or alone, has gone elsewhere."""
        await trio.lowlevel.checkpoint_if_cancelled()  # there may be nobody left
        seats = tuple(self.seats)
        if len(seats) == 1:
            seats[0].batch = None
            return ()
        for place, seat in enumerate(seats):
            seat.place = place
        try:
            return await self.work(self.number, seats)
        except Split:
            self.owner.split(self)
            return ()

    def outcome(self, seat: Seat[I]) -> O:
        """What became of a seat."""
        if self.task.scope.cancelled_caught:  # somebody was given more time by somebody else
            after = trio.current_time() - self.began
            message = f"the last deadline known of those in the batch ran out after {after:g} s"
            raise DeadlineExceeded(message, limit="total", after=after, layer=self.owner.name)
        found = self.task.result_nowait()[seat.place]
        if isinstance(found, Exception):
            raise found
        return found

    async def leave(self, seat: Seat[I]) -> None:
        """The others go on; the last to leave sees the batch end."""
        del self.seats[seat]
        self.size -= seat.size
        self.tokens -= seat.tokens
        scope = self.task.scope
        if not self.seats:
            self.close()
            scope.cancel()
            with trio.move_on_after(_CLEANUP, shield=True):
                await self.task.ended.wait()
        elif all(other.deadline < seat.deadline for other in self.seats):
            scope.deadline = max(other.deadline for other in self.seats)


@attrs.define(eq=False)
class Batches(Generic[I, O]):
    """The batches of one policy."""

    name: str
    """Of the policy, for errors."""
    open: dict[Hashable, _Batch[I, O]] = attrs.field(factory=dict, init=False)
    """Those that can be joined."""
    started: int = attrs.field(default=0, init=False)

    async def ask(
        self,
        key: Hashable,
        seat: Seat[I],
        limits: Limits,
        work: Work[I, O],
        host: Host,
    ) -> O | None:
        """The outcome for a seat, of a batch with others of the key; `None` if it is to ask
        alone, as there are no others, or one of them may have spoiled the batch."""
        if seat.deadline == -math.inf:
            await trio.lowlevel.checkpoint_if_cancelled()
        batch = self.open.get(key)
        if batch is not None and not batch.has_room(seat.size, seat.tokens):
            batch.close()
            batch = None
        if batch is None:
            batch = self._start(key, limits, work, host)
            batch.task = host.start(batch.collect)
            self.open[key] = batch
        batch.add(seat)
        if not batch.has_room(1, 0):
            batch.close()
        try:
            while seat.batch is not None:
                batch = seat.batch
                await batch.task.ended.wait()
                if seat.batch is batch:
                    if batch.task.scope.cancelled_caught:  # as the seat's own limits may be
                        await trio.lowlevel.checkpoint_if_cancelled()
                    return batch.outcome(seat)
        finally:
            if seat.batch is not None and not seat.batch.task.ended.is_set():
                await seat.batch.leave(seat)
        return None

    def split(self, batch: _Batch[I, O]) -> None:
        """Ask again in halves, as far as somebody still waits."""
        seats = tuple(batch.seats)
        half = (len(seats) + 1) // 2
        for part in (seats[:half], seats[half:]):
            if len(part) == 1:
                part[0].batch = None
            elif part:
                again = self._start(None, batch.limits, batch.work, batch.host)
                again.task = batch.host.start(again.answer)
                for seat in part:
                    again.add(seat)

    def _start(self, key: Hashable, limits: Limits, work: Work[I, O], host: Host) -> _Batch[I, O]:
        self.started += 1
        now = trio.current_time()
        return _Batch(key, self.started, limits, work, self, host, now)
