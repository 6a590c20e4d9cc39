"""Running trio code in virtual time, the same way each time."""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
import trio

__all__ = ["run_fast"]

T = TypeVar("T")


@attrs.define(eq=False)
class _Clock(trio.abc.Clock):
    """Jumps to the next deadline as soon as no task can run. It knows of nothing that comes from
    outside: no threads, sockets or files. trio's own `MockClock` takes twice the steps."""

    now: float = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if deadline == math.inf:
            return math.inf
        self.now = max(self.now, deadline)
        return 0.0


def run_fast(main: Callable[[], Awaitable[T]], seed: int) -> T:
    """Run `main` from time 0 on a clock that never waits. What goes on at one instant goes on in
    an order that depends on `seed` alone, and so do draws from the module `random`."""
    with _repeatable(seed):
        return trio.run(main, clock=_Clock())


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    # trio shuffles tasks by a random source of its own; it has no public way to seed it, so that
    # what it offers to Hypothesis is used, where it is there.
    scheduler: Any = importlib.import_module("trio._core._run")
    switch, source = "_ALLOW_DETERMINISTIC_SCHEDULING", getattr(scheduler, "_r", random.Random())  # noqa: S311
    before, state, common = getattr(scheduler, switch, None), source.getstate(), random.getstate()
    setattr(scheduler, switch, True)
    source.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        setattr(scheduler, switch, before)
        source.setstate(state)
        random.setstate(common)
