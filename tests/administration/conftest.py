"""What the tests of several wires share."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

__all__ = ["JUNK", "peak_of"]

JUNK: tuple[Any, ...] = (None, 7, -1.5, True, "x", [], [[]], {}, {"a": [None]})


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first looks come at once; how long the pauses are is tested in virtual time."""
    monkeypatch.setattr("llmmw._verbs._follow._EVERY", 0.01)
    monkeypatch.setattr("llmmw._verbs._patience._FIRST", 0.01)


async def peak_of(count: Callable[[], Awaitable[int]]) -> tuple[int, int]:
    """How many rows there are, and how many bytes they took at most while they were read."""
    tracemalloc.start()
    try:
        found = await count()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
