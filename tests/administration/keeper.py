"""A provider that has files and nothing else, over the kit, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from llmmw import Client
from llmmw.plugin import FileInfo, Files, Hear, Pieces, Provider, Source
from llmmw.testing import Answer, Received, Server, open_server
from llmmw.wire import MOST_OF_A_FILE, Http, Key, multipart

__all__ = ["CHUNK", "KEY", "Keeper", "keeper_at", "kept", "open_files"]

KEY = "sk-transfer-0123456789"
CHUNK = b"0123456789abcdef" * 4096


@attrs.frozen(kw_only=True)
class Kept(Files):
    """Its files."""

    http: Http

    async def upload(self, source: Source, purpose: str, hear: Hear) -> FileInfo:
        async with self.http.post("/files", multipart(source, {"a": purpose}, hear=hear)) as reply:
            return FileInfo(id=(await reply.read()).decode(), provider=self.name)

    async def get(self, id: str) -> FileInfo:
        async with self.http.get(f"/files/{id}") as reply:
            return FileInfo(id=(await reply.read()).decode(), provider=self.name)

    @asynccontextmanager
    async def content(self, id: str) -> AsyncIterator[Pieces]:
        async with self.http.get(f"/files/{id}") as reply:
            reply.most_bytes = MOST_OF_A_FILE
            yield reply


@attrs.define(eq=False)
class Keeper(Provider):
    http: Http = attrs.field(kw_only=True)

    @property
    def files(self) -> Kept:
        return Kept(name=self.name, http=self.http)

    @asynccontextmanager
    async def open(self, host: object) -> AsyncIterator[None]:
        async with self.http.open():
            yield


def keeper_at(url: str, key: Any = KEY, headers: Mapping[str, Any] | None = None) -> Keeper:
    """The provider, whose host is at an address."""
    return Keeper(name="keeper", http=Http(base_url=url, key=Key(key), headers=headers or {}))


@asynccontextmanager
async def kept(
    answer: Callable[[Received], Awaitable[Answer]],
    key: Any = KEY,
    headers: Mapping[str, Any] | None = None,
) -> AsyncIterator[tuple[Client, Server]]:
    async with open_server(answer) as server:
        given = [keeper_at(server.url, key, headers)]
        async with Client("keeper:m", stack=[], providers=given) as client:
            yield client, server


def open_files() -> list[str]:
    """The files that this process has open, where the system tells."""
    found = []
    for one in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            found.append(str(one.readlink()))
    return sorted(one for one in found if one.startswith("/") and "/proc/" not in one)
