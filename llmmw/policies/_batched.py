"""Law: a function of many, asked for one at a time by many, is called with all that ask at the
same time; each gets its own result or error, and whoever leaves takes nothing from the others.

It is `Batch` for functions that are no call of a model: a reranker, a tokeniser, an embedding in
this process. What blocks runs in threads, so many at once.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio

from llmmw._tasks import Host, open_host
from llmmw.errors import ConfigError
from llmmw.policies._batches import Batches, Limits, Seat

__all__ = ["batched"]

I = TypeVar("I")  # noqa: E741 (an item)
O = TypeVar("O")  # noqa: E741 (its outcome)


@attrs.frozen(eq=False)
class _Batched:
    """Answers one item at a time."""

    function: Callable[[list[Any]], Any]
    limits: Limits
    group: Callable[[Any], Hashable]
    threads: trio.CapacityLimiter
    host: Host
    batches: Batches[Any, Any]
    waits: bool
    """The function is async."""

    left: trio.Event
    """The block was left."""

    async def __call__(self, item: Any) -> Any:
        if self.left.is_set():
            raise RuntimeError(f"{self.name}: call it inside of the block of `async with batched`")
        if self.limits.size == 1:
            return await self.one(item)
        seat = Seat(item, 1, 0, trio.current_effective_deadline())
        key = self.group(item)
        found = await self.batches.ask(key, seat, self.limits, self.work, self.host)
        return await self.one(item) if found is None else found[0]

    async def one(self, item: Any) -> Any:
        (result,) = await self.call([item])
        if isinstance(result, Exception):
            raise result
        return result

    async def work(self, number: int, seats: Sequence[Seat[Any]]) -> Sequence[Any]:
        rows = await self.call([seat.item for seat in seats])
        # In a tuple, so that a result of None is one.
        return [row if isinstance(row, Exception) else (row,) for row in rows]

    async def call(self, items: list[Any]) -> Sequence[Any]:
        """The results for these items.

        Raises:
            ValueError: if there are more or fewer.
        """
        if self.waits:
            found = await self.function(items)
        else:
            found = await trio.to_thread.run_sync(self.function, items, limiter=self.threads)
        if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
            raise ValueError(f"{self.name} gave a {type(found).__name__}, not a list of results")
        results = list(found)
        if len(results) != len(items):
            raise ValueError(f"{self.name} gave {len(results)} results for {len(items)} items")
        return results

    @property
    def name(self) -> str:
        """What to call the function."""
        return getattr(self.function, "__qualname__", "") or repr(self.function)


@asynccontextmanager
async def batched(
    function: Callable[[list[I]], Sequence[O | Exception] | Awaitable[Sequence[O | Exception]]],
    *,
    max_size: int,
    max_wait: float = 0.05,
    group: Callable[[I], Hashable] | None = None,
    threads: int = 4,
) -> AsyncIterator[Callable[[I], Awaitable[O]]]:
    """A function of one item out of a function of a list of items.

    ::

        async with batched(embed_texts, max_size=32) as embed:
            vector = await embed("a text")        # and many others at the same time

    Its batches run in the block and are cancelled when that is left. A thread is waited for.

    Args:
        function: takes a list of items and gives a result for each in their order, or an exception
            that is raised for that item alone; what it raises is raised for all. It may be async;
            if not, it is run in a thread.
        max_size: how many items a batch holds, at most; 1 switches batching off.
        max_wait: seconds that an item waits for others, at most, while more and more come.
        group: tells what may go in one batch: items for which it gives the same. Default: all.
        threads: how many threads run a function that blocks, at most.

    Raises:
        ConfigError: for options out of range.
        ValueError: where the function gave no list, or more or fewer results than it had items.
        RuntimeError: for an item that comes when the block was left.
    """
    for name, number in (("max_size", max_size), ("threads", threads)):
        if type(number) is not int or number < 1:
            raise ConfigError(f"batched({name}={number!r}): expected a whole number from 1 on")
    if not isinstance(max_wait, (int, float)) or not 0 <= max_wait < math.inf:
        raise ConfigError(f"batched(max_wait={max_wait!r}): expected seconds from 0 on")
    name = f"batched(max_size={max_size})"
    limits = Limits(max_size, 0, max_wait)
    limiter = trio.CapacityLimiter(threads)
    left, is_async = trio.Event(), _is_async(function)
    try:
        async with open_host() as host:
            yield _Batched(
                function, limits, group or _alike, limiter, host, Batches(name), is_async, left
            )
    finally:
        left.set()


def _alike(item: object) -> Hashable:
    return ""


def _is_async(function: object) -> bool:
    return any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))
