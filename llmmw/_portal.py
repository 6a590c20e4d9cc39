"""Where trio runs for plain and asyncio programs, and the way into it and back.

There is one thread for it in a process; the first work starts it, and it is stopped when the
interpreter exits. Nothing waits in that thread for a caller, so callers can't hinder each other.
(A guest in an asyncio loop, `llmmw.aio.guest`, is another place; the way is the same there, but
that no thread is left.)

    the caller's thread                     the portal's thread
    work.start()  ───────  mailbox ───────>  a task in the nursery of the work's home
                  <─────────────── put ───  what it tells, in order
    work.cancel() ───────  mailbox ───────>  its scope
                  <─────────────── put ───  Ended, the last message
"""

from __future__ import annotations

import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import trio

from llmmw._mailbox import Ended
from llmmw._tasks import open_nursery, unstopped

__all__ = ["PATIENCE", "Lifetime", "Portal", "Work"]

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that an interrupted caller, or the interpreter's exit, waits for cancelled work; the
clean-up of a provider has 2."""

_CANCELLED = "it was cancelled by its caller"


class _Home(Protocol):
    """Where work is done: the portal, or a lifetime in it."""

    portal: Portal
    nursery: trio.Nursery | None


class Portal(ABC):
    """Where trio runs until it is stopped, and takes work."""

    hops: ClassVar[bool] = True
    """Whether what is posted is called in another thread, and later."""

    def __init__(self) -> None:
        self.portal: Portal = self
        self.nursery: trio.Nursery | None = None
        self.closed: str = ""
        """Why no more work is taken; empty while it is."""
        self.works: set[Work[Any]] = set()
        self.opening: threading.Lock = threading.Lock()
        """Held while it is noted that a client is open: two threads may try."""

    @abstractmethod
    def check_caller(self) -> None:
        """Look whether the caller can wait for work here.

        Raises:
            RuntimeError: if that would wait for itself.
        """

    @abstractmethod
    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have `function` called where trio runs, soon; never if the portal is closed."""

    @abstractmethod
    def way_back(self, soon: Callable[[Callable[[], None]], object]) -> Callable[..., object]:
        """What has a function called in an asyncio loop, with its arguments.

        Args:
            soon: has that loop call a function; safe in every thread.
        """

    async def live(self) -> None:
        """Take work until it is stopped: what trio runs."""
        async with open_nursery() as nursery:
            self.nursery = nursery
            try:
                await self.wait_stopped()
            finally:
                self.nursery = None

    async def wait_stopped(self) -> None:
        """Wait until it is cancelled."""
        await trio.sleep_forever()

    def cancel_all(self) -> None:
        """Cancel everything; only where trio runs."""
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    def end_all(self) -> None:
        """Tell everybody who still waits that nothing will come."""
        for work in list(self.works):
            work.end(Ended(error=self.error()))

    def error(self) -> RuntimeError:
        """What callers get when their work was not done."""
        return RuntimeError(f"the client is closed: {self.closed or 'its block was left'}")


class Work(Generic[T]):
    """An async function that runs in a portal, in a copy of the maker's context.

    Args:
        home: in whose nursery it runs.
        do: the function; it gets what tells messages to the caller.
        put: takes the messages, in the portal's thread. Raises `RuntimeError` if the caller is
            gone; the work is cancelled then.

    Raises:
        RuntimeError: where it could not be waited for.
    """

    __slots__ = ("_context", "_do", "_home", "_put", "_scope", "_started", "ended")

    def __init__(
        self,
        home: _Home,
        do: Callable[[Callable[[object], None]], Awaitable[T]],
        put: Callable[[object], object],
    ) -> None:
        home.portal.check_caller()
        self.ended: bool = False
        self._started = False
        self._home = home
        self._do = do
        self._put = put
        self._scope = trio.CancelScope()
        self._context = contextvars.copy_context() if home.portal.hops else None

    def start(self) -> None:
        """Begin soon, if it was not done before. `Ended` will be told in any case."""
        portal = self._home.portal
        if not self._started:
            self._started = True  # first: interrupted from here on, it may go on already
            portal.post(self._begin)
        if portal.closed:  # looked at after posting, so that one of both is seen
            self.end(Ended(error=portal.error()))

    def cancel(self) -> None:
        """Cancel it soon; `Ended` comes when it is over."""
        if not self._started:
            self.ended = True  # nothing begins, and nothing is to be waited for
        portal = self._home.portal
        portal.post(self._cancel)
        if portal.closed and self not in portal.works:  # its start was interrupted before that
            self.end(Ended(error=portal.error()))

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
            with suppress(RuntimeError):  # the caller is gone; the others are to be told, too
                self._put(ended)

    def _begin(self) -> None:
        nursery = self._home.nursery
        if self.ended:
            return
        if nursery is None:
            self.end(Ended(error=self._home.portal.error()))
        else:
            self._home.portal.works.add(self)
            start_soon = nursery.start_soon
            if self._context is None:  # it is the maker's own, of which the new task has a copy
                start_soon(self._run)
            else:
                self._context.run(start_soon, self._run)

    def _cancel(self) -> None:
        self._scope.cancel()
        if self not in self._home.portal.works:  # its start was interrupted, or it is over
            self.end(Ended(error=RuntimeError(_CANCELLED)))

    async def _run(self) -> None:
        ended: Ended[T] | None = None
        try:
            with self._scope:
                ended = Ended(await self._do(self.tell))
        except trio.Cancelled:
            ended = Ended(error=self._home.portal.error())
            raise
        except BaseException as error:  # whatever it is, it is the caller's
            ended = Ended(error=unstopped(error))
        finally:
            self.end(ended or Ended(error=RuntimeError(_CANCELLED)))
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
