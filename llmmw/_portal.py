"""The thread that runs trio for plain and asyncio programs, and the way into it and back.

There is one in a process; the first work starts it, and it is stopped when the interpreter exits.
Nothing waits in that thread for a caller, so callers can't hinder each other.

    the caller's thread                     the portal's thread
    work.start()  ───────  mailbox ───────>  a task in the nursery of the work's home
                  <─────────────── put ───  what it tells, in order
    work.cancel() ───────  mailbox ───────>  its scope
                  <─────────────── put ───  Ended, the last message
"""

from __future__ import annotations

import atexit
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, Protocol, TypeVar

import trio

from llmmw._mailbox import Ended, Mailbox
from llmmw._tasks import open_nursery, unstopped

__all__ = ["PATIENCE", "Lifetime", "Portal", "Work", "current_portal"]

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that an interrupted caller, or the interpreter's exit, waits for cancelled work; the
clean-up of a provider has 2."""

_EXITING = "the interpreter is exiting"
_FORKED = "it was opened before the process forked: open a new client in the child"


class _Home(Protocol):
    """Where work is done: the portal, or a lifetime in it."""

    portal: Portal
    nursery: trio.Nursery | None


class Portal(trio.abc.Instrument):
    """A thread that runs trio until it is stopped."""

    def __init__(self) -> None:
        self.portal: Portal = self
        self.nursery: trio.Nursery | None = None
        self.closed: str = ""
        """Why no more work is taken; empty while it is."""
        self.works: set[Work[Any]] = set()
        self.opening: threading.Lock = threading.Lock()
        """Held while it is noted that a client is open: two threads may try."""
        self._token: trio.lowlevel.TrioToken | None = None
        self._later: list[Callable[[], object]] = []
        self._mailbox = Mailbox(self._wake)
        # A daemon, since others are joined before the exit handlers run, which stop this one.
        self.thread: threading.Thread = threading.Thread(
            target=self._run, name="llmmw portal", daemon=True
        )

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have `function` called in the thread, soon; never if the portal is closed."""
        if not self.closed:
            self._mailbox.post(function, *arguments)

    def _wake(self, empty: Callable[[], None]) -> None:
        # Before there is a token, the thread has not yet looked into the mailbox.
        if self._token is not None:
            # If the run is over, `closed` is set, and who started the work looks at that.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(empty)

    def stop(self, why: str) -> None:
        """Cancel everything, and let the thread end."""
        self.closed = self.closed or why  # first, since whoever is ended by it is told why
        self._mailbox.post(self._stop)

    def _stop(self) -> None:
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    def _run(self) -> None:
        try:
            trio.run(self._live, instruments=[self])
        finally:
            self.closed = self.closed or "the thread of llmmw has crashed"
            try:
                self._mailbox.empty()  # nothing begins any more, and whoever waits is told so
            finally:
                self.end_all()
                self.before_io_wait(0.0)

    def after_pass(self, wake: Callable[[], object]) -> None:
        """Wake somebody, when all tasks that can run have run; in other threads at once.

        Who is woken before that takes the interpreter away after the first of many answers.
        """
        if self.thread is threading.current_thread():
            self._later.append(wake)
        else:
            wake()

    def before_io_wait(self, timeout: float) -> None:
        """Part of trio's instruments: all tasks have run."""
        if self._later:
            later, self._later = self._later, []
            for wake in later:
                with suppress(RuntimeError):  # a loop has closed: nobody waits there
                    wake()

    async def _live(self) -> None:
        async with open_nursery() as nursery:
            self.nursery = nursery
            try:
                self._token = trio.lowlevel.current_trio_token()
                self._mailbox.empty()
                await trio.sleep_forever()
            finally:
                self.nursery = None

    def end_all(self) -> None:
        """Tell everybody who still waits that nothing will come."""
        for work in list(self.works):
            work.end(Ended(error=self.error()))

    def error(self) -> RuntimeError:
        """What callers get when their work was not done."""
        return RuntimeError(f"the client is closed: {self.closed or 'its block was left'}")


class Work(Generic[T]):
    """An async function that runs in the portal's thread, in a copy of the maker's context.

    Args:
        home: in whose nursery it runs.
        do: the function; it gets what tells messages to the caller.
        put: takes the messages, in the portal's thread. Raises `RuntimeError` if the caller is
            gone; the work is cancelled then.

    Raises:
        RuntimeError: in the portal's own thread, which would wait for itself.
    """

    __slots__ = ("_context", "_do", "_home", "_put", "_scope", "_started", "ended")

    def __init__(
        self,
        home: _Home,
        do: Callable[[Callable[[object], None]], Awaitable[T]],
        put: Callable[[object], object],
    ) -> None:
        if home.portal.thread is threading.current_thread():
            raise RuntimeError(
                "llmmw.sync was called in the thread that would answer it, by middleware, a "
                "provider or an instrument: await the trio client there, or use another thread"
            )
        self.ended: bool = False
        self._started = False
        self._home = home
        self._do = do
        self._put = put
        self._scope = trio.CancelScope()
        self._context = contextvars.copy_context()

    def start(self) -> None:
        """Begin soon, if it was not done before. `Ended` will be told in any case."""
        portal = self._home.portal
        if not self._started:
            portal.post(self._begin)
            self._started = True
        if portal.closed:  # looked at after posting, so that one of both is seen
            self.end(Ended(error=portal.error()))

    def cancel(self) -> None:
        """Cancel it soon; `Ended` comes when it is over."""
        if not self._started:
            self.ended = True  # nothing begins, and nothing is to be waited for
        self._home.portal.post(self._scope.cancel)

    def tell(self, message: object) -> None:
        """Tell the caller something; only in the portal's thread."""
        try:
            self._put(message)
        except RuntimeError:
            self._scope.cancel()

    def end(self, ended: Ended[T]) -> None:
        """Tell the end, if it was not told yet."""
        self._home.portal.works.discard(self)
        if not self.ended:
            self.ended = True
            self.tell(ended)

    def _begin(self) -> None:
        nursery = self._home.nursery
        if self.ended:
            return
        if nursery is None:
            self.end(Ended(error=self._home.portal.error()))
        else:
            self._home.portal.works.add(self)
            self._context.run(nursery.start_soon, self._run)

    async def _run(self) -> None:
        ended: Ended[T] = Ended(error=RuntimeError("it was cancelled by its caller"))
        try:
            with self._scope:
                ended = Ended(await self._do(self.tell))
        except trio.Cancelled:
            ended = Ended(error=self._home.portal.error())
            raise
        except BaseException as error:  # whatever it is, it is the caller's
            ended = Ended(error=unstopped(error))
        finally:
            self.end(ended)
            del ended  # a traceback in it holds this frame


class Lifetime:
    """A context manager that is open in the portal's thread, and the work done within."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.nursery: trio.Nursery | None = None
        self._closing = trio.Event()
        self._left = trio.Event()

    async def live(
        self, manager: AbstractAsyncContextManager[object], tell: Callable[[object], None]
    ) -> None:
        """Enter the context manager, tell so, and leave it when `close` was called."""
        try:
            async with manager, open_nursery() as nursery:
                self.nursery = nursery
                try:
                    tell(None)
                    await self._closing.wait()
                finally:
                    self.nursery = None
                    nursery.cancel_scope.cancel()
        finally:
            self._left.set()

    def begin_closing(self) -> None:
        """Cancel the work within, and leave the context manager, soon."""
        self._closing.set()

    async def close(self) -> None:
        """Cancel the work within, leave the context manager, and wait for that."""
        self.begin_closing()
        with trio.CancelScope(shield=True):  # it ends in any case, and soon
            await self._left.wait()


_lock = threading.Lock()
_portal: Portal | None = None
_exiting = False


def current_portal() -> Portal:
    """The portal of this process, started if need be.

    Raises:
        RuntimeError: if the interpreter is exiting.
    """
    global _portal
    with _lock:
        if _portal is None or _portal.closed:
            if _exiting:
                raise RuntimeError(f"no client can be opened: {_EXITING}")
            portal = Portal()
            try:
                atexit.register(_exit)
                portal.thread.start()
                _portal = portal
            except BaseException:  # interrupted: nobody would know of the thread
                portal.stop("its start was interrupted")
                raise
        return _portal


def _exit() -> None:
    global _exiting
    _exiting = True
    if _portal is not None:
        _portal.stop(_EXITING)
        _portal.thread.join(PATIENCE)


def _after_fork_in_child() -> None:
    # The thread stayed in the parent, which goes on with what the portal held.
    global _portal, _lock
    _lock = threading.Lock()
    portal, _portal = _portal, None
    if portal is not None:
        portal.closed = _FORKED
        portal.end_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
