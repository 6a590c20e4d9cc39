"""What a host says while it works, followed until the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from llmmw._administration import FineTuneEvent, Pages, Pass
from llmmw._verbs._patience import STUMBLES, sleep_before_poll
from llmmw.errors import LLMError

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
        self._stumbles = 0

    async def _read(self) -> Sequence[FineTuneEvent]:
        """What is new, once there is something."""
        fresh: list[FineTuneEvent] = []
        while not fresh and not self._ended:
            if self._began:
                await sleep_before_poll(_EVERY)
            self._began = True
            try:
                # Asked first: what is said between the two is read below.
                ended = await self._has_ended()
                fresh = await self._look()
            except LLMError as error:
                self._stumbles += 1
                if not error.retryable or self._stumbles == STUMBLES:
                    raise
            else:
                self._ended, self._stumbles = ended, 0
        return fresh

    async def _look(self) -> list[FineTuneEvent]:
        rows = [event async for event in self._listed()]
        times = [event.at for event in rows if event.at is not None]
        if times and times[0] > times[-1]:  # the newest first; many come within a second
            rows.reverse()
        if len(times) == len(rows):
            rows.sort(key=lambda event: event.at or 0.0)
        found: Counter[object] = Counter()
        fresh: list[FineTuneEvent] = []
        for event in rows:
            key = event.id or (event.at, event.level, event.message)
            found[key] += 1
            if event.id and found[key] > 1:
                continue  # pages shift where more comes while they are read
            if found[key] > self._told[key]:
                fresh.append(event)
        self._told |= found
        return fresh
