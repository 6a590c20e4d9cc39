"""Where an asyncio task waits for what a work tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from llmmw._bridge import Inbox
from llmmw._mailbox import Ended
from llmmw._portal import Work

__all__ = ["Queue", "patiently", "running"]

T = TypeVar("T")


class Queue(Inbox):
    """Where a task waits for what a work tells."""

    __slots__ = ("_loop", "_post", "_waiters", "arrive")

    def __init__(self, loop: asyncio.AbstractEventLoop, post: Callable[..., object]) -> None:
        super().__init__()
        self._loop = loop
        self._post = post
        self._waiters: tuple[asyncio.Future[None], ...] = ()
        # Its own method is not kept in it, since what was told last would then stay until the
        # garbage is collected.
        self.arrive: Callable[[Any], object] | None = None
        """Called in the loop with each message as it comes; default: it is put."""

    def put(self, message: object) -> None:
        """Tell a message, from where the work runs.

        Raises:
            RuntimeError: if the loop is closed.
        """
        if self._loop.is_closed():
            raise RuntimeError("the event loop is closed")
        self._post(self.arrive or self.put_nowait, message)

    def put_nowait(self, message: object) -> None:
        """Put a message that has arrived."""
        self._add(message)
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _arrival(self) -> asyncio.Future[None]:
        """Something to wait on until a message comes."""
        waiter = self._loop.create_future()
        if self._waiters:  # several tasks wait, or some were cancelled
            self._waiters = (*(one for one in self._waiters if not one.done()), waiter)
        else:
            self._waiters = (waiter,)
        return waiter

    async def get(self) -> Any:
        """The next message; the last one, `Ended`, again and again.

        Others have their turn in any case: who reads what waits could not be cancelled else.
        """
        if not self.is_empty:
            await asyncio.sleep(0)
        while self.is_empty:
            await self._arrival()
        return self.get_nowait()

    async def begin(self, work: Work[Any]) -> None:
        """Start a work and wait until it has begun; cancelled, cancel it.

        Raises:
            Exception: what it ended with before that.
        """
        try:
            work.start()
            first = await self.get()
        except BaseException as error:
            await self._abandon(work, error)
            raise
        if isinstance(first, Ended):
            first.result()

    async def finish(
        self, work: Work[T], hear: Callable[[Any], Awaitable[None]] | None = None
    ) -> T:
        """Start a work and wait for what it gives; cancelled, cancel it.

        Raises:
            Exception: what it ended with.
        """
        try:
            work.start()
            if hear is None:  # `get` without its frame: most works tell their end alone
                if self.ended is not None:
                    await asyncio.sleep(0)
                while (ended := self.ended) is None:
                    await self._arrival()
            else:
                while not isinstance(message := await self.get(), Ended):
                    await hear(message)
                ended = message
        except BaseException as error:
            await self._abandon(work, error)
            raise
        try:
            given: T = ended.result()
            return given
        finally:
            del self, ended  # a traceback holds this frame

    async def _abandon(self, work: Work[Any], error: BaseException) -> None:
        work.cancel()
        if not isinstance(error, GeneratorExit):  # else it is thrown away, and may not wait
            with suppress(asyncio.CancelledError):
                await self.over(work)

    async def over(self, work: Work[Any]) -> None:
        """Wait until cancelled work is over; a cancellation meanwhile is raised after that."""
        await patiently(lambda: work.ended, self.get)


async def patiently(over: Callable[[], bool], wait: Callable[[], Awaitable[object]]) -> None:
    """Wait until `over`, whatever cancels; raise the cancellation after that."""
    cancelled: asyncio.CancelledError | None = None
    while not over():
        try:
            await wait()
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


@asynccontextmanager
async def running(work: Work[Any], queue: Queue) -> AsyncIterator[None]:
    """A work that has begun, cancelled when the block is left."""
    try:
        await queue.begin(work)
        yield
    finally:
        work.cancel()
        await queue.over(work)
