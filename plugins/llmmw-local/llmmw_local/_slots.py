"""Places at an engine, given in the order of asking, across threads and trio runs.

Not trio's limiter, since one engine serves every client of the process, and those may live in
several trio runs (the plain and asyncio faces have their own); and since a place is given back by
the engine's thread, when it really ends, even after the run that took it is over.
"""

from __future__ import annotations

import threading
from collections import deque

import attrs
import trio

__all__ = ["Slots"]


@attrs.define(eq=False)
class _Waiter:
    token: trio.lowlevel.TrioToken
    given: trio.Event


@attrs.define(eq=False)
class Slots:
    """`total` places; whoever finds none waits, and frees its turn when it is cancelled."""

    total: int
    _taken: int = 0
    _waiters: deque[_Waiter] = attrs.field(factory=deque, repr=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    @property
    def taken(self) -> int:
        """Places in use now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiters)

    async def wait_free(self) -> None:
        """Take a place, as soon as there is one. A checkpoint."""
        await trio.lowlevel.checkpoint_if_cancelled()
        waiter = None
        with self._lock:
            if self._taken < self.total:
                self._taken += 1
            else:
                waiter = _Waiter(trio.lowlevel.current_trio_token(), trio.Event())
                self._waiters.append(waiter)
        if waiter is None:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await self._wait(waiter)

    async def _wait(self, waiter: _Waiter) -> None:
        try:
            await waiter.given.wait()
        except BaseException:  # cancelled, or interrupted
            with self._lock:
                given = waiter not in self._waiters
                if not given:
                    self._waiters.remove(waiter)
            if given:  # the place was on its way: pass it on
                self.free_nowait()
            raise

    def free_nowait(self) -> None:
        """Give a place back, to the one who waits longest. From any thread."""
        while True:
            with self._lock:
                if not self._waiters:
                    self._taken -= 1
                    return
                waiter = self._waiters.popleft()
            try:
                waiter.token.run_sync_soon(waiter.given.set)
            except trio.RunFinishedError:
                continue  # its run is over, and it with it
            return
