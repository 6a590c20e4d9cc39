"""What goes between two threads: functions to be called there, and how a work ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

import attrs

__all__ = ["Ended", "Mailbox"]

T = TypeVar("T")


class Mailbox:
    """Functions to be called in another thread, which is woken once for many of them.

    Args:
        wake: makes the other thread call a function soon.
    """

    def __init__(self, wake: Callable[[Callable[[], None]], object]) -> None:
        self._wake = wake
        self._waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._emptied = 0
        self._woken = -1

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have `function` called; it must not raise. Safe in every thread."""
        self._waiting.append((function, arguments))
        emptied = self._emptied
        if self._woken != emptied:
            self._wake(self.empty)
            # Noted afterwards: an interrupt in between costs one more wake-up, not a lost one.
            self._woken = emptied

    def empty(self) -> None:
        """Call what is waiting; only in the other thread."""
        self._emptied += 1  # first, so that who posts from now on wakes anew
        try:
            for _ in range(len(self._waiting)):
                function, arguments = self._waiting.popleft()
                function(*arguments)
        except BaseException:  # an interrupt: the others still have their turn
            self._wake(self.empty)
            raise


@attrs.define(eq=False)  # not frozen: that costs thrice
class Ended(Generic[T]):
    """The last message of a work: its value, or the error that it ended with."""

    value: T | None = None
    error: BaseException | None = None
    _came_with: TracebackType | None = None

    def result(self) -> T:
        """The value.

        Raises:
            BaseException: the error, with the traceback that it came with.
        """
        if self.error is not None:
            # Raised again, it does not grow by the frames of the time before.
            self._came_with = self._came_with or self.error.__traceback__
            try:
                raise self.error.with_traceback(self._came_with)
            finally:
                del self  # the traceback holds this frame
        return self.value  # type: ignore[return-value]
