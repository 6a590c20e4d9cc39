"""Lists of what a provider has, read page by page as they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

import trio

from llmmw._administration._verbs import Page

__all__ = ["Pages", "Pass"]

T = TypeVar("T")


class Pages(Generic[T]):
    """A list at a provider. `async for` reads them page by page, and holds one page at a time;
    `await` gives all as a tuple. Each loop begins anew.

    ::

        async for file in client.files.list(): ...
        newest = await client.batches.list(limit=20)
    """

    def __init__(
        self, page: Callable[[str | None], Awaitable[Page[T]]], limit: int | None = None
    ) -> None:
        self._page, self._limit = page, limit

    def __aiter__(self) -> Pass[T]:
        return _PageByPage(self._page, self._limit)

    def __await__(self) -> Generator[Any, None, tuple[T, ...]]:
        return self._all().__await__()

    async def _all(self) -> tuple[T, ...]:
        return tuple([row async for row in self])

    def __repr__(self) -> str:
        return "<Pages: iterate with `async for`, or await it>"


class Pass(ABC, AsyncIterator[T]):
    """One pass over a list. Tasks may share it: each row is given to one of them."""

    def __init__(self) -> None:
        self._here: deque[T] = deque()
        self._lock = trio.Lock()

    async def next_rows(self) -> Sequence[T]:
        """Some rows more; none at the end."""
        async with self._lock:
            return await self._read()

    @abstractmethod
    async def _read(self) -> Sequence[T]:
        """What `next_rows` gives, asked by one task at a time."""

    async def __anext__(self) -> T:
        if not self._here:
            self._here.extend(await self.next_rows())
        if not self._here:
            raise StopAsyncIteration
        return self._here.popleft()


class _PageByPage(Pass[T]):
    def __init__(self, page: Callable[[str | None], Awaitable[Page[T]]], limit: int | None) -> None:
        super().__init__()
        self._page, self._left = page, limit
        self._after: str | None = None
        self._seen: set[str] = set()
        self._ended = limit == 0

    async def _read(self) -> Sequence[T]:
        """The next page. A host that leads in circles is followed once around."""
        rows: Sequence[T] = ()
        while not rows and not self._ended:
            page = await self._page(self._after)
            rows = page.rows[: self._left]
            if self._left is not None:
                self._left -= len(rows)
            self._after = page.after
            self._ended = page.after is None or page.after in self._seen or self._left == 0
            self._seen.add(page.after or "")
        return rows
