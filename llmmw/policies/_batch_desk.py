"""Where calls wait for batches: it collects their questions, sends them, asks how far they are, and
wakes the calls when what came is in the journal.

::

    collect ─ wait or full ─▶ plan ─▶ create ─▶ sent ─▶ poll … poll ─▶ results ─▶ wake
                               │ journal          │ journal              │ journal

Each batch is one task of the host. A batch of an earlier run is followed when a call asks for what
is in it.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import TypeVar

import attrs
import trio

from llmmw._administration import Batches, BatchInfo, Line
from llmmw._call import Call
from llmmw._ledger import BatchFetched, BatchPolled, BatchSubmitted
from llmmw._tasks import Host
from llmmw.errors import ConfigError, LLMError, NotFound
from llmmw.policies._batch_far import chunks_of, sent_as
from llmmw.policies._batch_journal import Journal, JournalBatch, Question
from llmmw.policies._batch_piles import (
    Pile,
    Piles,
    ending_of,
    passes,
    poll_delay,
    refused,
)
from llmmw.policies._batch_seats import Seat, Seats

__all__ = ["Desk"]

T = TypeVar("T")

_SETTLE = 5.0
"""Seconds that a request of a killed program may still be on its way to the provider."""
_BACKOFF, _MOST_BACKOFF = 1.0, 60.0


@attrs.define(eq=False)
class Desk:
    """The waiting calls of one client.

    Args:
        host: keeps the batches alive.
        journal: what is known of questions.
        wait: seconds that the first question of a batch waits for others.
        poll: seconds between two looks at a batch, at most.
        retries: how often a batch that could not be sent is sent again.
        counts: how many were `sent`, and how many of an earlier run were `found`.
    """

    host: Host
    journal: Journal
    wait: float
    poll: float
    retries: int
    counts: dict[str, int]
    _seats: Seats = attrs.field(factory=Seats)
    _piles: Piles = attrs.field(factory=Piles)
    _full: dict[Pile, trio.Event] = attrs.field(factory=dict)
    _followed: set[str] = attrs.field(factory=set)
    _strangers: set[str] = attrs.field(factory=set)
    """Batches that are none of ours."""
    _turn: trio.Lock = attrs.field(factory=trio.Lock)

    async def write(self, work: Callable[..., T], *given: object) -> T:
        """Write into the journal; what has begun is done, whoever is cancelled meanwhile.

        Raises:
            ConfigError: if that can't be done.
        """
        await self._turn.acquire()
        try:
            return await self._in_thread(partial(work, *given))
        except sqlite3.Error as error:
            raise ConfigError(f"can't write to {self.journal.path}: {error}") from error
        finally:
            self._turn.release()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        done: T
        with trio.CancelScope(shield=True):
            done = await trio.to_thread.run_sync(work)
        return done

    async def live(self) -> None:
        """Be open as long as the host, then let others open the journal."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.write(self.journal.close)

    def collect(self, name: str, line: Line, batches: Batches, provider: str) -> Seat | None:
        """The seat of a question that goes in the next batch; `None`: it is too long for any."""
        seat = self._seats.get(name)
        if seat is not None:
            return seat
        placed = self._piles.place((provider, line.group), name, line, batches.limits)
        if placed is None:
            return None
        pile, full, is_new = placed
        if full is not None:
            self._full[full].set()
        if is_new:
            self._full[pile] = trio.Event()
            self.host.start(partial(self._carry, pile, batches, provider))
        if pile.closed:
            self._full[pile].set()
        return self._seats.add(Seat(name, pile=pile))

    def follow(self, name: str, tag: str, batches: Batches) -> Seat:
        """The seat of a question that is in a batch already."""
        seat = self._seats.get(name)
        if seat is None:
            seat = self._seats.add(Seat(name, tag=tag))
        if tag not in self._followed:
            self._followed.add(tag)
            self.host.start(partial(self._resume, tag, batches))
        return seat

    async def sit(self, seat: Seat, call: Call) -> Question | None:
        """Wait until the journal has what came of a question, or that it is to be asked again.

        Raises:
            Exception: why its batch could not be sent or followed.
        """
        await self._seats.wait(seat, call)
        return self.journal.look(seat.name)

    def give_up(self, seat: Seat, batches: Batches) -> None:
        """A call is answered elsewhere. A batch for which nobody waits any more is cancelled."""
        if seat.tag is not None and self._seats.are_empty(seat.tag):
            self.host.start(partial(self._cancel, seat.tag, batches))

    async def keep(self, name: str, record: bytes) -> None:
        """A live call has answered a question: those who still wait for it are told, too."""
        await self.write(self.journal.keep, name, record)
        self._seats.release(name)

    async def _cancel(self, tag: str, batches: Batches) -> None:
        if self._seats.are_empty(tag):  # nobody has come meanwhile
            await self.write(self.journal.give_up, tag)
            batch = self.journal.batch(tag)
            if batch is not None and batch.id is not None:
                await self._asked(partial(batches.cancel, batch.id), tag)

    def _is_given_up(self, tag: str) -> bool:
        batch = self.journal.batch(tag)
        return batch is not None and batch.state == "given up"

    async def _carry(self, pile: Pile, batches: Batches, provider: str) -> None:
        """The life of a batch."""
        with trio.move_on_after(self.wait):
            await self._full[pile].wait()
        pile.closed = True
        del self._full[pile]
        names = list(pile.lines)
        if not names:
            return
        tag = uuid.uuid4().hex
        self._followed.add(tag)
        self._seats.board(names, tag)
        await self._guarded(tag, names, partial(self._send, tag, pile.lines, batches, provider))

    async def _resume(self, tag: str, batches: Batches) -> None:
        """The rest of the life of a batch of an earlier run."""
        await self._guarded(tag, self.journal.names(tag), partial(self._find, tag, batches))

    async def _guarded(
        self, tag: str, names: list[str], work: Callable[[], Awaitable[None]]
    ) -> None:
        """Do the work of a batch, and wake those who wait for it, however it ends."""
        error: Exception | None = RuntimeError("the client closed while its batch was under way")
        try:
            await work()
            error = None
        except Exception as raised:
            error = raised
        finally:
            self._followed.discard(tag)
            self._seats.leave(names, tag, error)

    async def _send(
        self, tag: str, lines: dict[str, Line], batches: Batches, provider: str
    ) -> None:
        await self.write(self.journal.plan, tag, provider, list(lines))
        info = await self._created(tag, lines, batches)
        lines.clear()  # they may be many megabytes, and it may take a day
        await self._sent(tag, info, found=False)
        await self._fetched(tag, info, batches)

    async def _created(self, tag: str, lines: Mapping[str, Line], batches: Batches) -> BatchInfo:
        """Create a batch. Where nobody knows whether that was done, look before doing it again."""
        failures = 0
        while True:
            try:
                if failures and (found := await self._orphan(tag, batches)) is not None:
                    return found
                return await batches.create(lines, {"llmmw": tag})
            except LLMError as error:
                if not error.retryable and not failures:
                    await self.write(self.journal.unsent, tag)
                failures += 1
                if not error.retryable or failures > self.retries + 1:
                    raise  # where it may be there, whoever asks next looks for it
                await trio.sleep(self._pause(failures, error))

    def _pause(self, failures: int, error: LLMError) -> float:
        most = min(_MOST_BACKOFF, self.poll)
        drawn: float = min(most, _BACKOFF * 2**failures) * (0.5 + self.host.random.random() / 2)
        return max(drawn, error.retry_after or 0.0)

    async def _find(self, tag: str, batches: Batches, *, lost: bool = False) -> None:
        """Follow a batch that was sent; `lost`: not under the id that stands in the journal."""
        batch = self.journal.batch(tag)
        if batch is not None and batch.id is not None and not lost:
            found: BatchInfo | None = await self._asked(partial(batches.get, batch.id), tag)
        else:
            found = None if batch is None else await self._settled(batch, batches)
        if found is None:
            await self.write(self.journal.unsent, tag)
            return
        await self._sent(tag, found, found=True)
        await self._fetched(tag, found, batches)

    async def _settled(self, batch: JournalBatch, batches: Batches) -> BatchInfo | None:
        """The batch that a killed program may have sent, looked for until none can come."""
        look = partial(self._orphan, batch.tag, batches)
        found = await self._asked(look, batch.tag)
        rest = batch.made + _SETTLE - self.journal.now()
        if found is None and rest > 0:
            await trio.sleep(min(rest, _SETTLE))
            found = await self._asked(look, batch.tag)
        return found

    async def _orphan(self, tag: str, batches: Batches) -> BatchInfo | None:
        """The batch at the provider that was planned under this tag, or may have been."""
        batch = self.journal.batch(tag)
        if batch is None:
            return None
        return await sent_as(batch, batches, self.journal.ids(batch.provider) | self._strangers)

    async def _asked(self, ask: Callable[[], Awaitable[T]], tag: str) -> T:
        """What the provider says, asked again as long as its failures may pass."""
        failures = 0
        while True:
            try:
                return await ask()
            except NotFound as error:
                await self.write(self.journal.unsent, tag)
                error.message += "; its questions will be asked anew"
                raise
            except LLMError as error:
                if not error.retryable:
                    raise
                failures += 1
                await trio.sleep(self._pause(failures, error))

    async def _sent(self, tag: str, info: BatchInfo, *, found: bool) -> None:
        await self.write(self.journal.sent, tag, info.id)
        self.counts["found" if found else "sent"] += 1
        names = self.journal.names(tag)
        now = trio.current_time()
        for call in self._seats.calls(names):
            call.ledger.write(
                BatchSubmitted, now, info.provider, info.id, len(names), found, call.attempt.number
            )

    async def _fetched(self, tag: str, info: BatchInfo, batches: Batches) -> None:
        """Wait until a batch has ended, and have what came of it in the journal."""
        began = trio.current_time()
        if self._is_given_up(tag):  # while it was sent
            await self._cancel(tag, batches)
        while not info.ended:
            age = trio.current_time() - began
            await trio.sleep(poll_delay(age, self.poll))
            info = await self._asked(partial(batches.get, info.id), tag)
            done = (info.completed or 0) + (info.failed or 0)
            now = trio.current_time()
            self.host.emit(BatchPolled(now, info.provider, info.id, info.status, done, info.total))
        names = self.journal.names(tag)
        if info.refusals:
            await self.write(self.journal.came, tag, refused(info, names))
            await self.write(self.journal.unsent, tag)
            if passes(info.refusals):
                await trio.sleep(self.poll)
            return
        count, ours = await self._asked(partial(self._read, tag, info, batches), tag)
        if count and not ours:  # it only looked like the one that was sent
            self._strangers.add(info.id)
            await self._find(tag, batches, lost=True)
            return
        if self._is_given_up(tag):
            await self.write(self.journal.unsent, tag)
            return
        missing = await self.write(self.journal.fetched, tag, ending_of(info))
        now = trio.current_time()
        for call in self._seats.calls(names):
            number = call.attempt.number
            call.ledger.write(BatchFetched, now, info.provider, info.id, count, missing, number)

    async def _read(self, tag: str, info: BatchInfo, batches: Batches) -> tuple[int, int]:
        """Read the outcomes into the journal: how many there are, and how many are of this tag."""
        count = ours = 0
        async with aclosing(chunks_of(batches.results(info))) as chunks:
            async for chunk in chunks:
                count += len(chunk)
                ours += await self.write(self.journal.came, tag, chunk)
        return count, ours
