"""The three kinds of programs, behind one face for tests."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

import llmmw
from llmmw import aio, sync

from .far_end import options_for

__all__ = ["FACES", "Face", "open_face"]

FACES = ("trio", "sync", "aio")

Do = Callable[[Any], Any]


class Face(ABC):
    """A client, asked in the way of its kind of program."""

    @abstractmethod
    async def ask(self, do: Do) -> Any:
        """What a verb gives; `do` calls it."""

    @abstractmethod
    async def each(self, do: Do, see: Callable[[Any], None]) -> None:
        """Let each row of a list be seen; `do` gives it."""

    async def rows(self, do: Do) -> list[Any]:
        """All of a list."""
        found: list[Any] = []
        await self.each(do, found.append)
        return found

    async def count(self, do: Do) -> int:
        """How many rows a list has; none is kept."""
        seen = 0

        def see(row: Any) -> None:
            nonlocal seen
            seen += 1

        await self.each(do, see)
        return seen


@attrs.frozen
class _Trio(Face):
    client: Any

    async def ask(self, do: Do) -> Any:
        return await do(self.client)

    async def each(self, do: Do, see: Callable[[Any], None]) -> None:
        async for row in do(self.client):
            see(row)


@attrs.frozen
class _Plain(Face):
    client: Any
    thread: ThreadPoolExecutor

    async def ask(self, do: Do) -> Any:
        return await _in(self.thread, lambda: do(self.client))

    async def each(self, do: Do, see: Callable[[Any], None]) -> None:
        def work() -> None:
            for row in do(self.client):
                see(row)

        await _in(self.thread, work)


@attrs.frozen
class _Asyncio(Face):
    client: Any
    thread: ThreadPoolExecutor
    runner: asyncio.Runner

    async def ask(self, do: Do) -> Any:
        async def work() -> Any:
            return await do(self.client)

        return await _in(self.thread, lambda: self.runner.run(work()))

    async def each(self, do: Do, see: Callable[[Any], None]) -> None:
        async def work() -> None:
            async for row in do(self.client):
                see(row)

        await _in(self.thread, lambda: self.runner.run(work()))


async def _in(thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
    return await trio.to_thread.run_sync(lambda: thread.submit(work).result())


@asynccontextmanager
async def open_face(kind: str, target: str, url: str) -> AsyncIterator[Face]:
    """A client of that kind, open, that asks the server at `url`."""
    given: Any = {"stack": [], "options": options_for(url)}
    if kind == "trio":
        async with llmmw.Client(target, **given) as client:
            yield _Trio(client)
        return
    with ThreadPoolExecutor(1) as thread:
        if kind == "sync":
            plain = await _in(thread, sync.Client(target, **given).__enter__)
            try:
                yield _Plain(plain, thread)
            finally:
                await _in(thread, lambda: plain.__exit__(None, None, None))
            return
        runner = asyncio.Runner()
        face = _Asyncio(aio.Client(target, **given), thread, runner)
        await face.ask(lambda client: client.__aenter__())
        try:
            yield face
        finally:
            await face.ask(lambda client: client.__aexit__(None, None, None))
            await _in(thread, runner.close)
