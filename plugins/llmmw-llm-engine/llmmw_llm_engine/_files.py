"""Files that the engine keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from llmmw.errors import ServerError
from llmmw.plugin import FileInfo, Files, Hear, Page, Pieces, Source
from llmmw.wire import MOST_OF_A_FILE, Http, multipart
from llmmw_llm_engine._address import in_path
from llmmw_llm_engine._content import Content
from llmmw_llm_engine._told import id_in, rows_in, text_of, told_in

__all__ = ["EngineFiles"]

_PATH = "/v1/files"


@attrs.frozen(kw_only=True)
class EngineFiles(Files):
    """The verbs for files; see `llmmw.plugin.Files`. The host asks for no purpose.

    Args:
        http: the way to the host.
    """

    http: Http = attrs.field(repr=False)

    async def upload(self, source: Source, purpose: str, hear: Hear) -> FileInfo:
        """Send a file. The host gives it back as text: what is none does not come back as it
        was."""
        async with self.http.post(_PATH, multipart(source, {}, hear=hear)) as reply:
            told = await told_in(reply)
        info = self._info(told)
        return attrs.evolve(info, name=info.name or source.name, bytes=info.bytes or source.size)

    async def get(self, id: str) -> FileInfo:
        """What is known of a file; its size is that of its text, in characters."""
        async with self.http.get(f"{_PATH}/{in_path(id)}") as reply:
            return self._info(await told_in(reply))

    async def list(self, after: str | None = None) -> Page[FileInfo]:
        """All files: the host has one page."""
        async with self.http.get(_PATH) as reply:
            told = await told_in(reply)
        return Page([self._info(row) for row in rows_in(told, "files")])

    @asynccontextmanager
    async def content(self, id: str) -> AsyncIterator[Pieces]:
        """The text of a file, in UTF-8."""
        async with self.http.get(f"{_PATH}/{in_path(id)}/content") as reply:
            reply.most_bytes = MOST_OF_A_FILE
            yield Content(reply.next_piece)

    async def delete(self, id: str) -> None:
        """Have a file deleted."""
        async with self.http.delete(f"{_PATH}/{in_path(id)}") as reply:
            told = await told_in(reply)
        if told.get("deleted") is False:
            raise ServerError(f"the host did not delete the file {id}")

    def _info(self, told: Mapping[str, Any]) -> FileInfo:
        size = told.get("size")
        return FileInfo(
            id=id_in(told, "id"),
            provider=self.name,
            name=text_of(told.get("filename")),
            bytes=size if type(size) is int else None,
            raw=dict(told),
        )
