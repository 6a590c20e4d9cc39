"""Where the caller's thread waits, and what it reads there: streams and the items of a map."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from llmmw._bridge import Inbox, Reading
from llmmw._deltas import Delta
from llmmw._feed import Feed
from llmmw._mailbox import Ended
from llmmw._map import Item, Progress
from llmmw._portal import PATIENCE, Work
from llmmw._response import Generation
from llmmw._stream import TextPieces
from llmmw._tasks import unstopped

__all__ = ["TURN", "Items", "Queue", "Stream", "running"]

T = TypeVar("T")

TURN = 0.5
"""Seconds that a thread waits in one go. The interpreter sees an interrupt that comes just before
a wait begins only when it ends."""


class Queue(Inbox):
    """Where the caller's thread waits for what a work tells."""

    __slots__ = ("_bell",)

    def __init__(self) -> None:
        super().__init__()
        self._bell: SimpleQueue[None] = SimpleQueue()

    def put(self, message: object) -> None:
        """Tell a message, from another thread."""
        # It is not put into what the caller waits on: there an interrupt could lose it.
        self._add(message)
        self._bell.put(None)

    def get(self, timeout: float | None = None) -> Any:
        """The next message; the last one, `Ended`, again and again.

        Raises:
            Empty: if none has come in `timeout` seconds.
        """
        while True:
            while self.is_empty:
                try:
                    self._bell.get(timeout=TURN if timeout is None else timeout)
                except Empty:
                    if timeout is not None:
                        raise
            try:
                message = self.get_nowait()
            except IndexError:
                continue  # another thread was faster
            if message is self.ended:
                self._bell.put(None)  # another thread may wait for it, too
            return message

    def begin(self, work: Work[Any]) -> None:
        """Start a work and wait until it has begun; interrupted, cancel it.

        Raises:
            Exception: what it ended with before that.
        """
        try:
            work.start()
            first = self.get()
        except BaseException:
            self.cancel(work, PATIENCE)
            raise
        if isinstance(first, Ended):
            first.result()

    def finish(self, work: Work[T], hear: Callable[[Any], object] | None = None) -> Ended[T]:
        """Start a work and wait for its end; interrupted, cancel it."""
        try:
            work.start()
            while not isinstance(message := self.get(), Ended):
                if hear is not None:
                    hear(message)
            return message
        except BaseException:
            self.cancel(work, PATIENCE)
            raise

    def cancel(self, work: Work[Any], patience: float | None = None) -> None:
        """Cancel a work and wait until it is over, or for so many seconds."""
        until = None if patience is None else time.monotonic() + patience
        try:
            work.cancel()
            while not work.ended:
                self.get(None if until is None else max(0.0, until - time.monotonic()))
        except Empty:
            pass
        except BaseException:
            if patience is None:
                self.cancel(work, PATIENCE)
            raise


@contextmanager
def running(work: Work[Any], queue: Queue) -> Iterator[None]:
    """A work that has begun, cancelled when the block is left."""
    try:
        queue.begin(work)
        yield
    except BaseException as error:
        queue.cancel(work, None if isinstance(error, Exception) else PATIENCE)
        raise
    queue.cancel(work)


class Stream(Reading):
    """An answer as it is written: iterate for deltas, or `text` for text alone; afterwards
    `response` has the whole.

    Raises, from the iteration: whatever the call ended with.
    """

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._queue = queue

    def __iter__(self) -> Iterator[Delta]:
        return self

    def __next__(self) -> Delta:
        while not self._deltas:
            if self._ended is not None:
                self._ended.result()
                raise StopIteration
            self._arrived(self._queue.get())
        return self._deltas.popleft()

    @property
    def text(self) -> Iterator[str]:
        """The pieces of text alone, without reasoning and refusals. A stream that was asked to
        restart can't take back what it has told here: use the deltas then."""
        return filter(None, map(TextPieces(), self))

    def wait_response(self) -> Generation:
        """Read to the end and give the whole answer.

        Raises:
            LLMError: what the call ended with.
        """
        for _ in self:
            pass
        return self.response


class Items:
    """The answers of a map: iterate for its `Item`s."""

    def __init__(
        self,
        queue: Queue,
        feed: Feed,
        requests: Iterator[object],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._queue = queue
        self._feed = feed
        self._requests = requests
        self._progress = progress

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        # One input is read for each message, so that as many calls stay alive; further ones only
        # while none has come.
        while True:
            none = self._queue.is_empty
            if self._feed.wanted and self._queue.ended is None:
                self._read()
                if none:
                    continue
            message = self._queue.get()
            if isinstance(message, Item):
                self._feed.taken += 1
                return message
            if isinstance(message, Ended):
                message.result()
                raise StopIteration
            self._tell(message)

    def _tell(self, progress: Progress) -> None:
        if self._progress is not None:
            try:
                self._progress(progress)
            except StopIteration as error:
                raise unstopped(error) from error

    def _read(self) -> None:
        try:
            item = next(self._requests)
        except StopIteration:
            self._feed.end()
        except Exception as error:
            self._feed.end(error)  # it comes back as the error of the map
        else:
            self._feed.put(item)
