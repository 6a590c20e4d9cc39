"""The thread that runs trio for plain and asyncio programs: started by the first work, stopped
when the interpreter exits, and not carried over into a forked process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from llmmw._mailbox import Mailbox
from llmmw._portal import PATIENCE, Portal

__all__ = ["ThreadPortal", "current_portal"]

_EXITING = "the interpreter is exiting"
_FORKED = "it was opened before the process forked: open a new client in the child"


class ThreadPortal(Portal, trio.abc.Instrument):
    """A thread that runs trio until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self._token: trio.lowlevel.TrioToken | None = None
        self._later: list[Callable[[], object]] = []
        self._mailbox = Mailbox(self._wake)
        # A daemon, since others are joined before the exit handlers run, which stop this one.
        self.thread: threading.Thread = threading.Thread(
            target=self._run, name="llmmw portal", daemon=True
        )
        self._ident = 0  # of the thread while trio runs there: later another one may have the same

    def check_caller(self) -> None:
        """Refuse its own thread."""
        if self._ident == threading.get_ident():
            raise RuntimeError(
                "llmmw.sync was called in the thread that would answer it, by middleware, a "
                "provider or an instrument: await the trio client there, or use another thread"
            )

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have `function` called in the thread, soon; never if the portal is closed."""
        if not self.closed:
            self._mailbox.post(function, *arguments)

    def way_back(self, soon: Callable[[Callable[[], None]], object]) -> Callable[..., object]:
        """A mailbox, whose loop is woken after a pass of all tasks."""
        return Mailbox(lambda empty: self.after_pass(partial(soon, empty))).post

    def _wake(self, empty: Callable[[], None]) -> None:
        # Before there is a token, the thread has not yet looked into the mailbox.
        if self._token is not None:
            # If the run is over, `closed` is set, and who started the work looks at that.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(empty)

    def stop(self, why: str) -> None:
        """Cancel everything, and let the thread end."""
        self.closed = self.closed or why  # first, since whoever is ended by it is told why
        self._mailbox.post(self.cancel_all)

    def _run(self) -> None:
        self._ident = threading.get_ident()
        try:
            trio.run(self.live, instruments=[self])
        finally:
            self.closed = self.closed or "the thread of llmmw has crashed"
            try:
                self._mailbox.empty()  # nothing begins any more, and whoever waits is told so
            finally:
                self.end_all()
                self.before_io_wait(0.0)

    def end_all(self) -> None:
        """Tell everybody who still waits that nothing will come: the run is over."""
        self._ident = 0
        super().end_all()

    def after_pass(self, wake: Callable[[], object]) -> None:
        """Wake somebody, when all tasks that can run have run; in other threads at once.

        Who is woken before that takes the interpreter away after the first of many answers.
        """
        if self._ident == threading.get_ident():
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

    async def wait_stopped(self) -> None:
        """Take what has been posted by now, and wait until it is cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        self._mailbox.empty()
        await trio.sleep_forever()


_lock = threading.Lock()
_portal: ThreadPortal | None = None
_exiting = False


def current_portal() -> ThreadPortal:
    """The thread of this process, started if need be.

    Raises:
        RuntimeError: if the interpreter is exiting.
    """
    global _portal
    with _lock:
        if _portal is None or _portal.closed:
            if _exiting:
                raise RuntimeError(f"no client can be opened: {_EXITING}")
            portal = ThreadPortal()
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
