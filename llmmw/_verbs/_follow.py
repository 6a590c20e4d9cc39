"""What a host says while it works, followed until the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from llmmw._administration import FineTuneEvent, Pages, Pass
from llmmw._verbs._patience import sleep_before_poll

__all__ = ["Following"]

_EVERY = 5.0
"""Seconds between two looks."""


class Following(Pages[FineTuneEvent]):
    """The events of something that may go on: each is told once, in the order of their times;
    those that come later are waited for, until it has ended."""

    def __init__(
        self, listed: Callable[[], Pages[FineTuneEvent]], ended: Callable[[], Awaitable[bool]]
    ) -> None:
        self._listed, self._has_ended = listed, ended

    def __aiter__(self) -> Pass[FineTuneEvent]:
        return _Looks(self._listed, self._has_ended)


class _Looks(Pass[FineTuneEvent]):
    def __init__(
        self, listed: Callable[[], Pages[FineTuneEvent]], ended: Callable[[], Awaitable[bool]]
    ) -> None:
        super().__init__()
        self._listed, self._has_ended = listed, ended
        self._told: Counter[object] = Counter()
        self._ended = self._began = False

    async def next_rows(self) -> Sequence[FineTuneEvent]:
        """What is new, once there is something."""
        fresh: list[FineTuneEvent] = []
        while not fresh and not self._ended:
            if self._began:
                await sleep_before_poll(_EVERY)
            self._began = True
            # Asked first: what is said between the two is read below.
            self._ended = await self._has_ended()
            fresh = await self._look()
        return fresh

    async def _look(self) -> list[FineTuneEvent]:
        found: Counter[object] = Counter()
        fresh: list[FineTuneEvent] = []
        async for event in self._listed():
            key = event.id or (event.at, event.level, event.message)
            found[key] += 1
            if found[key] > self._told[key]:
                fresh.append(event)
        self._told |= found
        if all(event.at is not None for event in fresh):
            fresh.sort(key=lambda event: event.at or 0.0)
        return fresh
