"""Files that the host keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import attrs

from llmmw.plugin import FileInfo, Files, Hear, Page, Pieces, Source
from llmmw.wire import MOST_OF_A_FILE, Http, multipart
from llmmw_openai._reading import object_in, told_in

__all__ = ["OpenAIFiles", "page_of", "seconds_in"]

T = TypeVar("T")
_PAGE = "100"


@attrs.frozen(kw_only=True)
class OpenAIFiles(Files):
    """The verbs for files; see `llmmw.plugin.Files`."""

    http: Http = attrs.field(repr=False)

    async def upload(self, source: Source, purpose: str, hear: Hear) -> FileInfo:
        """Send a file."""
        form = multipart(source, {"purpose": purpose}, hear=hear)
        async with self.http.post("/files", form) as reply:
            return self._info(object_in(reply, await reply.read()))

    async def get(self, id: str) -> FileInfo:
        """What is known of a file."""
        async with self.http.get(f"/files/{quote(id, safe='')}") as reply:
            return self._info(object_in(reply, await reply.read()))

    async def list(self, after: str | None = None) -> Page[FileInfo]:
        """Files, a page of them."""
        return await page_of(self.http, "/files", after, self._info)

    @asynccontextmanager
    async def content(self, id: str) -> AsyncIterator[Pieces]:
        """The bytes of a file."""
        async with self.http.get(f"/files/{quote(id, safe='')}/content") as reply:
            reply.most_bytes = MOST_OF_A_FILE
            yield reply

    async def delete(self, id: str) -> None:
        """Have a file deleted."""
        async with self.http.delete(f"/files/{quote(id, safe='')}") as reply:
            await reply.drain()

    def _info(self, told: Mapping[str, Any]) -> FileInfo:
        return FileInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            name=str(told.get("filename") or ""),
            bytes=told["bytes"] if isinstance(told.get("bytes"), int) else None,
            purpose=str(told.get("purpose") or ""),
            status=str(told.get("status") or ""),
            created=seconds_in(told, "created_at"),
            raw=dict(told),
        )


async def page_of(
    http: Http,
    path: str,
    after: str | None,
    row: Callable[[Mapping[str, Any]], T],
    query: Mapping[str, str] | None = None,
) -> Page[T]:
    """A page of a list; the next begins after the last row of this."""
    asked = {"limit": _PAGE} if query is None else dict(query)
    async with http.get(path, asked if after is None else asked | {"after": after}) as reply:
        told = told_in(reply, await reply.read())
    if isinstance(told, list):  # Together's models
        told = {"data": told}
    data = told.get("data") if isinstance(told, dict) else None
    if data is not None and not isinstance(data, list):
        raise ProtocolError(f"the host sent a {type(data).__name__} where a list belongs")
    rows = [one for one in data or () if isinstance(one, Mapping)]
    last = rows[-1].get("id") if rows else None
    more = told.get("has_more") is True and isinstance(last, str) and bool(last)
    return Page([row(one) for one in rows], last if more else None)


def seconds_in(told: Mapping[str, Any], name: str) -> float | None:
    """A time since 1970."""
    found = told.get(name)
    return float(found) if isinstance(found, (int, float)) else None
