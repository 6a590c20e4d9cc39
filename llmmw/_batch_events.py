"""What can happen to a call that goes to its provider with others: frozen events."""

from __future__ import annotations

import attrs

from llmmw._events import Event

__all__ = ["BatchJoined", "BatchSplit"]


@attrs.frozen
class BatchJoined(Event):
    """The call goes down with others, `calls` in all, as one request: batch `number`. What
    happens to it there is in the ledger of the first of them."""

    number: int
    calls: int
    parent: int = 0

    def __str__(self) -> str:
        return f"goes in batch {self.number} of {self.calls} calls"


@attrs.frozen
class BatchSplit(Event):
    """Batch `number` was refused with `error`, which one of its calls may have caused: its calls
    go again, in two halves."""

    number: int
    error: str
    parent: int = 0

    def __str__(self) -> str:
        return f"batch {self.number} is split in two ({self.error})"
