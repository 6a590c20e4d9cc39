"""Listeners of a cache: what was told, and whether anything was."""

from __future__ import annotations

import attrs

from llmmw._call import Listener
from llmmw._deltas import Delta, Restarted

__all__ = ["Heard", "Recorder"]


@attrs.define(eq=False)
class Recorder:
    """Notes what is told, as far as it counts."""

    _listener: Listener
    told: list[Delta] = attrs.field(factory=list)

    async def __call__(self, delta: Delta) -> None:
        if isinstance(delta, Restarted):
            self.told.clear()
        else:
            self.told.append(delta)
        await self._listener(delta)


@attrs.define(eq=False)
class Heard:
    """Notes whether anything was told."""

    _listener: Listener | None
    anything: bool = False

    async def __call__(self, delta: Delta) -> None:
        self.anything = True
        assert self._listener is not None
        await self._listener(delta)
