"""Trio as a guest of the loop that its callers run in: no other thread between them.

    a task of the loop               the guest, between two steps of the loop
    work.start()  ── is called ──>   a task in the nursery of the work's home
                  <── is called ──   what it tells: futures of the loop are set

A guest run that is left open would forbid trio in its thread for ever, so it is finished even
where its loop was closed without leaving the block: by whoever throws the block away, or wants
the next guest.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

import trio

from llmmw._mailbox import Ended
from llmmw._portal import PATIENCE, Portal
from llmmw._portal_thread import current_portal
from llmmw.aio._queue import patiently

__all__ = ["Guest", "guest", "portal_here"]

_LINGER = 2
"""Turns of the loop that trio stays awake after an answer: who got it often asks again at once,
and to wake trio takes another thread."""


class _Here(threading.local):
    guest: Guest | None = None


_here = _Here()


class Guest(Portal):
    """Trio, run by an asyncio loop beside its own tasks."""

    hops = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.begun: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()
        self._error: BaseException | None = None
        self._thread = threading.get_ident()
        self._parked: trio.lowlevel.Task | None = None
        self._turns = 0
        # Not in the loop alone, which forgets them when it is closed. There is one at a time.
        self._ticks: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def begin(self) -> None:
        """Start the run; it goes on with the loop."""
        trio.lowlevel.start_guest_run(
            self.live,
            run_sync_soon_threadsafe=self._soon,
            run_sync_soon_not_threadsafe=self._soon_here,
            done_callback=self._done,
            # The loop's own: trio would take it away, and give back none.
            host_uses_signal_set_wakeup_fd=True,
        )
        _here.guest = self

    def check_caller(self) -> None:
        """Refuse all loops but this one."""
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError(
                "the client was opened in the guest of another loop, and works there alone: open "
                "one in this loop, or outside of aio.guest()"
            )

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call `function`; from another thread, where something is collected as garbage, soon."""
        if self.closed:
            return
        if threading.get_ident() == self._thread:
            function(*arguments)
        else:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self.post, function, *arguments)

    def way_back(self, soon: object) -> Callable[..., object]:
        """None is to be gone: it is the same loop."""
        return self._answer

    def _answer(self, function: Callable[..., object], *arguments: Any) -> None:
        function(*arguments)
        if isinstance(arguments[0], Ended):
            self._turns = _LINGER
            if self._parked is not None:
                task, self._parked = self._parked, None
                trio.lowlevel.reschedule(task)

    async def wait_stopped(self) -> None:
        """Stay awake for some turns after each answer, until it is cancelled."""

        def abort(raise_cancel: object) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        if not self.begun.done():
            self.begun.set_result(None)
        while not self.closed:
            self._parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)
            while self._turns:
                self._turns -= 1
                await trio.lowlevel.checkpoint()
        self.cancel_all()

    def stop(self, why: str) -> None:
        """Cancel everything, and let the run end; soon, if the block is thrown away elsewhere."""
        self.post(self._stop, why)

    def _stop(self, why: str) -> None:
        self.closed = why
        self.cancel_all()

    async def wait_over(self) -> None:
        """Wait for the end of the run, whatever cancels; a cancellation is raised after it.

        Raises:
            RuntimeError: if something in it does not let itself be cancelled in time.
            Exception: what the run has crashed with.
        """
        until = self.loop.time() + PATIENCE

        def left() -> float:
            return max(0.0, until - self.loop.time())

        await patiently(
            lambda: self._over.done() or not left(),
            lambda: asyncio.wait([self._over], timeout=left()),
        )
        if not self._over.done():
            raise RuntimeError(
                f"trio still runs in this thread {PATIENCE:g} s after the block of aio.guest() was "
                "left: a provider or middleware does not let itself be cancelled"
            )
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Run to the end without the loop, which is closed."""
        self.stop("its loop was closed")
        hooks = sys.get_asyncgen_hooks()  # the run sets them as they were when it began
        until = time.monotonic() + PATIENCE
        while _here.guest is self and (left := until - time.monotonic()) > 0:
            with suppress(Empty):
                self._ticks.get(timeout=left)()
        sys.set_asyncgen_hooks(*hooks)

    def _soon(self, tick: Callable[[], object]) -> None:
        self._ticks.put(tick)
        with suppress(RuntimeError):  # it is closed: see `finish`
            self.loop.call_soon_threadsafe(self._tick)

    def _soon_here(self, tick: Callable[[], object]) -> None:
        self._ticks.put(tick)
        with suppress(RuntimeError):
            self.loop.call_soon(self._tick)

    def _tick(self) -> None:
        with suppress(Empty):
            self._ticks.get_nowait()()

    def _done(self, outcome: Any) -> None:
        self.closed = self.closed or "the guest run of trio has crashed"
        _here.guest = None
        self.end_all()
        try:
            outcome.unwrap()
        except (KeyboardInterrupt, SystemExit):
            raise  # it leaves the loop, as if it had come there
        except BaseException as error:
            self._error = error
        finally:
            for future in (self.begun, self._over):
                if not future.done():
                    with suppress(RuntimeError):  # the loop is closed
                        future.set_result(None)


def portal_here() -> Portal:
    """The guest of the running loop; without one, the thread of the process."""
    guest = _here.guest
    if guest is not None and not guest.closed and guest.loop is asyncio.get_running_loop():
        return guest
    return current_portal()


@asynccontextmanager
async def guest() -> AsyncIterator[None]:
    """Have the calls of this loop made in this very loop, instead of the background thread.

    ::

        async with aio.guest(), aio.Client("local:smollm2") as client:
            response = await client.ask("hi")

    Every `aio.Client` that this loop opens within the block is its; those that were opened before
    go on in the background thread. They work in this loop alone. A call saves the switch to
    another thread, which is most where few are in flight; but whatever blocks in middleware or a
    provider blocks the loop.

    At its end all calls are cancelled, its clients are closed, and trio has left this thread.
    Leave the block before the loop is closed, as `asyncio.run` has all tasks do: after a crash of
    the program's own loop trio can be refused in this thread until the next guest is opened.

    Raises:
        RuntimeError: if no asyncio loop runs, or this thread runs trio already, as a guest or
            itself; at the end of the block, if after 5 seconds something in it has not let itself
            be cancelled.
    """
    portal = _opened()
    thrown_away = False
    try:
        await portal.begun
        yield
    except GeneratorExit:
        thrown_away = True
        raise
    finally:
        portal.stop("the block of its guest was left")
        if portal.loop.is_closed():
            portal.finish()
        elif not thrown_away:
            await portal.wait_over()


def _opened() -> Guest:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "aio.guest() needs a running asyncio loop, which trio is to be the guest of"
        ) from None
    left = _here.guest
    if left is not None and left.loop.is_closed():
        left.finish()
    if trio.lowlevel.in_trio_run():
        whose = "trio runs in this thread" if _here.guest is None else "aio.guest() is open here"
        raise RuntimeError(
            f"{whose} already, and a thread can have one run of trio: open the guest once, around "
            "all that uses it, or do without: the background thread is for all"
        )
    portal = Guest(loop)
    portal.begin()
    return portal
