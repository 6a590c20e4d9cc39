"""Files that the host keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import attrs

from llmmw.errors import ProtocolError
from llmmw.plugin import FileInfo, Files, Hear, Page, Pieces, Source
from llmmw.wire import MOST_OF_A_FILE, Http, multipart
from llmmw_openai._reading import object_in, told_in

__all__ = ["OpenAIFiles", "objects_in", "page_of", "seconds_in", "whole_in"]

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
            bytes=whole_in(told, "bytes"),
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
    facts = told if isinstance(told, dict) else {}
    data = facts.get("data") or [] if isinstance(told, dict) else told  # Together's models
    if not isinstance(data, list):
        raise ProtocolError(f"the host sent a {type(data).__name__} where a list belongs")
    rows = objects_in(data)
    last = rows[-1].get("id") if rows else None
    if last is not None and last == after:  # it knows no `after`, and has begun anew
        return Page(())
    more = facts.get("has_more") is True and isinstance(last, str) and bool(last)
    return Page([row(one) for one in rows], last if more else None)


def seconds_in(told: Mapping[str, Any], name: str) -> float | None:
    """A time since 1970."""
    found = told.get(name)
    return float(found) if type(found) is int or type(found) is float else None


def whole_in(told: Mapping[str, Any], name: str) -> int | None:
    """A whole number."""
    found = told.get(name)
    return found if type(found) is int else None


def objects_in(told: Any) -> Sequence[Mapping[str, Any]]:
    """The objects of a list; nothing of what is none."""
    return [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
