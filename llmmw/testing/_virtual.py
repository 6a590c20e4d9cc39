"""Running trio code in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
import trio.testing

__all__ = ["StopAt", "run_virtual", "seed_schedule"]

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


def seed_schedule(seed: int) -> None:
    """Make the order in which trio runs tasks that are ready at once the same for the same seed,
    so that what went wrong once can be seen again."""
    from trio._core import _run

    inner = vars(_run)  # trio has no other door to it
    inner["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    inner["_r"].seed(seed)


class StopAt(trio.abc.Instrument):
    """Counts the steps of the scheduler, and calls `stop` before one of them."""

    def __init__(self, step: int, stop: Callable[[], None]) -> None:
        self.step = step
        self.steps = 0
        self._stop = stop

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self.step:
            self._stop()
