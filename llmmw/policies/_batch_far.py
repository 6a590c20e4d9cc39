"""What is read of a provider's batches: which one is ours, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from llmmw._administration import Batches, BatchInfo, Outcome, Pages
from llmmw.policies._batch_journal import JournalBatch
from llmmw.policies._batch_piles import SKEW, may_be_ours

__all__ = ["chunks_of", "sent_as"]

_CHUNK, _CHUNK_BYTES = 500, 8 * 2**20
"""So many outcomes, and so many bytes of them, are written at once."""


async def sent_as(
    batch: JournalBatch, batches: Batches, others: Collection[str]
) -> BatchInfo | None:
    """The batch at the provider that is the one of the journal, or that may be it, if the provider
    keeps no labels: then the one that was made at most the same time.

    Args:
        batch: what was planned.
        batches: the provider's.
        others: ids of those that are known to be others.
    """
    likely: list[BatchInfo] = []
    async for info in Pages(batches.list):
        if info.created is not None and info.created < batch.made - SKEW:
            break
        ours = may_be_ours(info, batch.tag, batch.lines, batch.made)
        if ours and info.id not in others:
            return info
        if ours is None and info.id not in others:
            likely.append(info)
    made = batch.made
    return min(likely, key=lambda info: abs((info.created or 0) - made), default=None)


async def chunks_of(
    outcomes: AsyncGenerator[Outcome, None],
) -> AsyncGenerator[list[Outcome], None]:
    """Outcomes, many at once."""
    chunk: list[Outcome] = []
    size = 0
    async with aclosing(outcomes):
        async for outcome in outcomes:
            chunk.append(outcome)
            size += len(outcome.body)
            if len(chunk) >= _CHUNK or size >= _CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    yield chunk
