"""What can happen to a call that waits for a batch at its provider: frozen events."""

from __future__ import annotations

import attrs

from llmmw._events import Event

__all__ = ["BatchFetched", "BatchPolled", "BatchSubmitted", "WentLive"]


@attrs.frozen
class BatchSubmitted(Event):
    """The call is one of `lines` in the provider's batch `batch`. `found`: an earlier run has
    sent it."""

    provider: str
    batch: str
    lines: int
    found: bool = False
    parent: int = 0

    def __str__(self) -> str:
        how = "found in" if self.found else "sent in"
        return f"{how} batch {self.batch} of {self.lines} at {self.provider}"


@attrs.frozen
class BatchPolled(Event):
    """The provider was asked how far a batch is. Told to instruments, and in no ledger."""

    provider: str
    batch: str
    status: str
    done: int | None = None
    total: int | None = None

    def __str__(self) -> str:
        far = "" if self.total is None else f", {self.done} of {self.total}"
        return f"batch {self.batch} at {self.provider} is {self.status}{far}"


@attrs.frozen
class BatchFetched(Event):
    """What came of batch `batch` was read: `outcomes` of them, and nothing for `missing`."""

    provider: str
    batch: str
    outcomes: int
    missing: int = 0
    parent: int = 0

    def __str__(self) -> str:
        lost = f", {self.missing} without any" if self.missing else ""
        return f"batch {self.batch} came with {self.outcomes} outcomes{lost}"


@attrs.frozen
class WentLive(Event):
    """The call goes to its target at once, as if there were no batches: the target has none
    (`unsupported`), its deadline is near (`deadline`), or it has waited long enough (`late`)."""

    why: str
    parent: int = 0

    def __str__(self) -> str:
        return f"goes live ({self.why})"
