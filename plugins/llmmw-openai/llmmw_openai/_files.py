"""Files that the host keeps."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import FileInfo
from llmmw.wire import Http
from llmmw_openai._reading import object_in

__all__ = ["OpenAIFiles"]

_PAGE = 100
_MOST_BYTES = 4 * 2**30


@attrs.frozen(kw_only=True)
class OpenAIFiles:
    """The verbs for files; see `llmmw.plugin.Files`."""

    name: str
    http: Http = attrs.field(repr=False)

    async def upload(self, name: str, pieces: Sequence[bytes], purpose: str) -> FileInfo:
        """Send a file."""
        body, kind = multipart(name, pieces, {"purpose": purpose})
        async with self.http.post("/files", body, content_type=kind) as reply:
            return self._info(object_in(reply, await reply.read()))

    async def get(self, id: str) -> FileInfo:
        """What is known of a file."""
        async with self.http.get(f"/files/{quote(id, safe='')}") as reply:
            return self._info(object_in(reply, await reply.read()))

    async def list(self) -> AsyncGenerator[FileInfo, None]:
        """All files, page by page."""
        async with aclosing(rows_of(self.http, "/files", {"limit": str(_PAGE)})) as rows:
            async for row in rows:
                yield self._info(row)

    async def content(self, id: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file."""
        async with self.http.get(f"/files/{quote(id, safe='')}/content") as reply:
            reply.most_bytes = _MOST_BYTES
            piece = await reply.next_piece()
            while piece:
                yield piece
                piece = await reply.next_piece()

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
            created=seconds_in(told, "created_at"),
            raw=dict(told),
        )


def multipart(name: str, pieces: Sequence[bytes], fields: Mapping[str, str]) -> tuple[bytes, str]:
    """A form with a file in it, and its content type. The same form has the same bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    mark = f"llmmw-{digest.hexdigest()}".encode()
    begin = b"--" + mark + b"\r\nContent-Disposition: form-data; name="
    form = [
        b'%b"%b"\r\n\r\n%b\r\n' % (begin, key.encode(), told.encode())
        for key, told in fields.items()
    ]
    named = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode()
    form.append(
        b'%b"file"; filename="%b"\r\nContent-Type: application/octet-stream\r\n\r\n'
        % (begin, named)
    )
    whole = b"".join([*form, *pieces, b"\r\n--", mark, b"--\r\n"])
    return whole, f"multipart/form-data; boundary={mark.decode()}"


async def rows_of(
    http: Http, path: str, query: Mapping[str, str]
) -> AsyncGenerator[Mapping[str, Any], None]:
    """The rows of a list that comes in pages."""
    after: dict[str, str] = {}
    while True:
        async with http.get(path, {**query, **after}) as reply:
            told = object_in(reply, await reply.read())
        rows = [row for row in told.get("data") or () if isinstance(row, Mapping)]
        for row in rows:
            yield row
        last = rows[-1].get("id") if rows else None
        if not told.get("has_more") or not last or after.get("after") == last:
            return
        after = {"after": str(last)}


def seconds_in(told: Mapping[str, Any], name: str) -> float | None:
    """A time since 1970."""
    found = told.get(name)
    return float(found) if isinstance(found, (int, float)) else None
