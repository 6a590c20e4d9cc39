"""A lifetime that runs in a task of its own, until the host closes."""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

__all__ = ["live"]


async def live(
    lifetime: AbstractAsyncContextManager[Any], ready: trio.Event, clean_up: float
) -> None:
    """Enter a lifetime, set `ready`, and leave it when the task is cancelled, for which it has
    `clean_up` seconds."""
    await lifetime.__aenter__()
    try:
        ready.set()
        await trio.sleep_forever()
    finally:
        with trio.move_on_after(clean_up, shield=True):
            await lifetime.__aexit__(*sys.exc_info())
