"""Bounds of an exchange, in bytes and in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

import httpx
import trio

__all__ = ["MOST_HEAD", "READ", "TOGETHER", "Times", "within"]

MOST_HEAD = 100 * 1024
"""Bytes of status line and headers with all that comes before them, and later of what stands around
the body. httpcore's bound."""
READ = 64 * 1024
"""Bytes that are taken off the line at once."""
TOGETHER = 64 * 1024
"""A body that is no longer goes out with its head in one piece."""

Times: TypeAlias = Mapping[str, float | None]
"""Seconds that things may take, as httpx has them: `pool`, waiting for a connection; `connect`,
making one, with TLS; `write` and `read`, each piece. What is `None`, or not there, has no bound."""


def within(
    seconds: float | None, error: type[httpx.TimeoutException]
) -> AbstractContextManager[object]:
    """A block that may take so long.

    Raises:
        httpx.TimeoutException: the one given, if it takes longer.
    """
    return _UNBOUND if seconds is None else _bound(seconds, error)


_UNBOUND = nullcontext()


@contextmanager
def _bound(seconds: float, error: type[httpx.TimeoutException]) -> Iterator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error(f"it took longer than {seconds:g} s")
