"""The input of a map on its way into trio."""

from __future__ import annotations

import math
from collections.abc import Sized

import attrs
import trio

from llmmw._map import Progress, check_many
from llmmw._portal import Portal
from llmmw._tasks import unstopped

__all__ = ["Feed"]


class Feed:
    """The input of a map on its way into trio, read where the map is used.

    An input is wanted whenever trio's own map would take one: as long as a worker is free and the
    answers that were not taken yet are few.
    """

    def __init__(self, portal: Portal, requests: object, concurrency: int) -> None:
        check_many(requests)
        self._portal = portal
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._concurrency = concurrency
        self._fed = self._done = 0
        self.taken: int = 0
        """How many answers the user has taken."""
        self.exhausted: bool = False
        self._send, self._receive = trio.open_memory_channel[object](math.inf)
        self._error: BaseException | None = None

    @property
    def wanted(self) -> bool:
        """Whether another input may be read now."""
        return (
            not self.exhausted
            and self._fed - self._done < self._concurrency
            and self._fed - self.taken < 4 * self._concurrency
        )

    # Posted first, then noted: an interrupt in between must not leave the map waiting for it.

    def put(self, item: object) -> None:
        """Another input."""
        self._portal.post(self._send.send_nowait, item)
        self._fed += 1

    def end(self, error: BaseException | None = None) -> None:
        """There are no more, or reading them failed."""
        if not self.exhausted:
            self._portal.post(self._end, None if error is None else unstopped(error))
            self.exhausted = True

    def count(self, progress: Progress) -> Progress:
        """Note how many have been answered; the same, with the length of the input. In the
        portal's thread, so that none goes uncounted when the reader is interrupted."""
        self._done = progress.done
        return attrs.evolve(progress, total=self._total)

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self._send.close()

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> object:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self._error is None:
                raise StopAsyncIteration from None
        raise self._error
