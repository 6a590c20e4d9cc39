"""Running trio code in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
import trio.testing

__all__ = ["run_virtual"]

T = TypeVar("T")

_LONG = 1e5


def run_virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main` on a clock that jumps to the next deadline whenever all tasks wait.

    A run that would wait for ever fails with `trio.TooSlowError` after 100,000 virtual seconds.
    Threads, sockets and SQLite have no place in it: to the clock they look idle.
    """

    async def bounded() -> T:
        with trio.fail_after(_LONG):
            return await main()

    return trio.run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))
