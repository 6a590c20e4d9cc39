"""Where calls over HTTP can be written down, and played again: below the providers, so that none
of them knows.

A tape that is in force (`TAPE`, a context variable, so that it reaches tasks and bridges) stands
between `Http` and the line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Protocol, TypeAlias

import httpx

__all__ = ["TAPE", "Send", "Tape"]

Send: TypeAlias = Callable[[], Awaitable[httpx.Response]]


class Tape(Protocol):
    """What stands between `Http` and the line."""

    needs_key: bool
    """Whether requests really leave, so that a host without its key can't be asked."""

    async def send(
        self, request: httpx.Request, send: Send, scrub: Callable[[str], str]
    ) -> httpx.Response:
        """The answer of a request.

        Args:
            request: without the key; its body is in memory.
            send: sends it, signed.
            scrub: takes the secrets of this provider out of a text.
        """
        ...


TAPE: ContextVar[Tape | None] = ContextVar("llmmw_tape", default=None)
"""The tape in force, if any."""
