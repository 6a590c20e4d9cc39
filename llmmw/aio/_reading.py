"""What an asyncio task reads from a work: streams and the items of a map; and what feeds one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from llmmw._bridge import Heard, Reading
from llmmw._call import Listener
from llmmw._deltas import Delta
from llmmw._feed import Feed
from llmmw._mailbox import Ended
from llmmw._map import Item, Progress
from llmmw._response import Generation
from llmmw._stream import TextPieces
from llmmw._tasks import unstopped
from llmmw.aio._queue import Queue, patiently

__all__ = ["Hearing", "Items", "Stream", "feeding"]

_CLEAN_UP = 2.0


class Hearing:
    """Has the caller's listener hear deltas, in the task that asked."""

    def __init__(self, queue: Queue, listener: Listener, post: Callable[..., object]) -> None:
        self._queue = queue
        self._listener = listener
        self._post = post
        self._heard: Heard | None = None
        self._limit: asyncio.Timeout | None = None
        queue.arrive = self._arrive

    def _arrive(self, message: Any) -> None:
        if not isinstance(message, Heard) or not message.void:
            self._queue.put_nowait(message)
        elif message is self._heard and self._limit is not None:
            self._limit.reschedule(0.0)

    async def __call__(self, heard: Heard) -> None:
        """Have a delta heard; cut it short when the work does not wait for that any more."""
        if heard.void:
            return
        error: Exception | None = None
        self._limit = limit = asyncio.timeout(None)
        try:
            async with limit:
                self._heard = heard
                try:
                    await self._listener(heard.delta)
                finally:
                    self._heard = None
        except Exception as raised:
            error = raised
        self._post(heard.set, error)


class Stream(Reading):
    """An answer as it is written: iterate for deltas, or `text` for text alone; afterwards
    `response` has the whole.

    Raises, from the iteration: whatever the call ended with.
    """

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._queue = queue

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        if self._deltas:
            await asyncio.sleep(0)
        while not self._deltas:
            if self._ended is not None:
                self._ended.result()
                raise StopAsyncIteration
            self._arrived(await self._queue.get())
        return self._deltas.popleft()

    @property
    def text(self) -> AsyncIterator[str]:
        """The pieces of text alone, without reasoning and refusals. A stream that was asked to
        restart can't take back what it has told here: use the deltas then."""
        return _Texts(self)

    async def wait_response(self) -> Generation:
        """Read to the end and give the whole answer.

        Raises:
            LLMError: what the call ended with.
        """
        async for _ in self:
            pass
        return self.response


class _Texts:
    """The pieces of text of a stream. No generator, since one that is left early needs closing."""

    def __init__(self, deltas: Stream) -> None:
        self._deltas = deltas
        self._piece = TextPieces()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        async for delta in self._deltas:
            if text := self._piece(delta):
                return text
        raise StopAsyncIteration


class Items:
    """The answers of a map: iterate asynchronously for its `Item`s."""

    def __init__(
        self,
        queue: Queue,
        feed: Feed,
        room: asyncio.Event,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._queue = queue
        self._feed = feed
        self._room = room
        self._progress = progress
        self._broken: Ended[None] | None = None
        queue.arrive = self._arrive

    def _arrive(self, message: Any) -> None:
        if not isinstance(message, Progress):
            self._queue.put_nowait(message)
            return
        self._room.set()
        if self._progress is not None:
            try:
                self._progress(message)
            except BaseException as error:  # whatever it is, it is for who reads the map
                self._broken = Ended(error=unstopped(error))
                self._queue.put_nowait(self._broken)

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        message = await self._queue.get()
        if self._broken is not None:
            self._broken.result()
        if isinstance(message, Ended):
            message.result()
            raise StopAsyncIteration
        self._feed.taken += 1
        self._room.set()
        assert isinstance(message, Item)
        return message


@asynccontextmanager
async def feeding(
    feed: Feed, room: asyncio.Event, requests: Iterable[object] | AsyncIterable[object]
) -> AsyncIterator[None]:
    """A task that reads the input of a map, ended when the block is left.

    `room` is set whenever more of it may be wanted.
    """
    reader = asyncio.create_task(_feed(feed, room, requests))
    try:
        yield
    finally:
        feed.end()
        reader.cancel()
        await patiently(reader.done, lambda: asyncio.wait([reader]))


async def _feed(
    feed: Feed, room: asyncio.Event, requests: Iterable[object] | AsyncIterable[object]
) -> None:
    try:
        step = _stepping(requests)
        try:
            while not feed.exhausted:
                while not feed.wanted:
                    room.clear()
                    await room.wait()
                feed.put(await step())
        finally:
            close = getattr(requests, "aclose", None)
            if close is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CLEAN_UP):
                        await close()
    except StopAsyncIteration:
        feed.end()
    except BaseException as error:  # a cancellation that is not ours, too
        feed.end(error)  # it comes back as the error of the map


def _stepping(
    requests: Iterable[object] | AsyncIterable[object],
) -> Callable[[], Awaitable[object]]:
    """What gives the next input, or raises `StopAsyncIteration`."""
    if isinstance(requests, AsyncIterable):
        return requests.__aiter__().__anext__
    plain = iter(requests)

    async def step() -> object:
        try:
            return next(plain)
        except StopIteration:
            raise StopAsyncIteration from None
        except StopAsyncIteration as error:
            raise unstopped(error) from error

    return step
