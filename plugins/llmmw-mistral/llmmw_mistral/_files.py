"""Files that the host keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import FileInfo, Files, Hear, Page, Pieces, Source
from llmmw.wire import MOST_OF_A_FILE, Http, multipart
from llmmw_mistral._lists import ask, page_of, remove
from llmmw_mistral._values import number_of, object_in, seconds_of, text_of

__all__ = ["MistralFiles"]


@attrs.frozen(kw_only=True)
class MistralFiles(Files):
    """The verbs for files; see `llmmw.plugin.Files`.

    Args:
        http: the way to the host.
    """

    http: Http = attrs.field(repr=False)

    async def upload(self, source: Source, purpose: str, hear: Hear) -> FileInfo:
        """Send a file; it is for `fine-tune`, `batch` or `ocr`."""
        form = multipart(source, {"purpose": purpose}, hear=hear)
        async with self.http.post("/files", form) as reply:
            return self._info(object_in(reply, await reply.read()))

    async def get(self, id: str) -> FileInfo:
        """What is known of a file."""
        return self._info(await ask(self.http, "GET", f"/files/{quote(id, safe='')}"))

    async def list(self, after: str | None = None) -> Page[FileInfo]:
        """One page of the account's files."""
        return await page_of(self.http, "/files", after, self._info)

    @asynccontextmanager
    async def content(self, id: str) -> AsyncIterator[Pieces]:
        """The bytes of a file."""
        async with self.http.get(f"/files/{quote(id, safe='')}/content") as reply:
            reply.most_bytes = MOST_OF_A_FILE
            yield reply

    async def delete(self, id: str) -> None:
        """Have a file deleted."""
        await remove(self.http, f"/files/{quote(id, safe='')}")

    def _info(self, told: Mapping[str, Any]) -> FileInfo:
        return FileInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            name=text_of(told.get("filename")),
            bytes=number_of(told.get("bytes")),
            purpose=text_of(told.get("purpose")),
            created=seconds_of(told.get("created_at")),
            raw=dict(told),
        )
