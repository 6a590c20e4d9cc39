"""The files at a client's providers."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, ClassVar

import attrs

from llmmw._administration import FileInfo, Files, Hear, Pages, Pieces, source_of
from llmmw._provider import Provider
from llmmw._verbs._download import Writable, save
from llmmw._verbs._group import Group, named, quiet
from llmmw._verbs._patience import SHORT, ask_verb

__all__ = ["ClientFiles"]


@attrs.frozen
class ClientFiles(Group[Files]):
    """The files at a client's providers; `provider` and `timeout` as for `ClientModels`."""

    what: ClassVar[str] = "files"

    @staticmethod
    def _of(provider: Provider) -> Files | None:
        return provider.files

    async def upload(
        self,
        file: str | Path | bytes | IO[bytes],
        *,
        name: str | None = None,
        purpose: str = "batch",
        progress: Hear | None = None,
        provider: str | None = None,
        timeout: float | None = None,
    ) -> FileInfo:
        """Send a file, piece by piece: it may be larger than memory.

        Args:
            file: a path; bytes; or an open binary file, read from where it stands.
            name: what the host is told; default: the file's own name, else `data`.
            purpose: what it is for, in the host's words; hosts that ask for none are told none.
            progress: hears how far it is, often.
            provider: see above.
            timeout: seconds; default: none.

        Raises:
            BadRequest: if the file can't be read.
        """
        source, hear = source_of(file, name), quiet(progress)
        return await self._ask(
            "upload", lambda verbs: verbs.upload(source, purpose, hear), provider, timeout
        )

    async def get(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> FileInfo:
        """What is known of a file."""
        return await self._ask(
            "get", lambda verbs: verbs.get(named(id)), provider, timeout, reads=True
        )

    def list(
        self,
        *,
        provider: str | None = None,
        limit: int | None = None,
        timeout: float | None = SHORT,
    ) -> Pages[FileInfo]:
        """The files of the account, `limit` at most."""
        return self._list(lambda verbs, after: verbs.list(after), provider, limit, timeout)

    async def download(
        self,
        id: str,
        to: str | Path | Writable,
        *,
        progress: Hear | None = None,
        provider: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Save a file, piece by piece, and tell how many bytes it had.

        Args:
            id: the file.
            to: a path, where nothing stands before all has come, and what stood there is
                replaced; or an open binary file, into which nothing is written twice.
            progress: hears how far it is; from 0 on again where it is fetched again.
            provider: see above.
            timeout: seconds; default: none.

        Raises:
            BadRequest: if it can't be written there.
            StreamInterrupted: if the line breaks.
        """

        async def fetch() -> int:
            async with self.open(id, provider=provider) as pieces:
                return await save(pieces, to, quiet(progress))

        reads = isinstance(to, (str, os.PathLike))
        return await ask_verb(fetch, "files.download", timeout, reads=reads)

    @asynccontextmanager
    async def open(self, id: str, *, provider: str | None = None) -> AsyncIterator[Pieces]:
        """The bytes of a file, as they come: call `next_piece` until it gives none. Asked once."""
        verbs = await self._verbs(provider)
        async with verbs.content(named(id)) as pieces:
            yield pieces

    async def content(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> bytes:
        """The bytes of a file, for one that memory holds."""
        held = io.BytesIO()

        async def fetch() -> None:
            held.truncate(held.seek(0))
            async with self.open(id, provider=provider) as pieces:
                while piece := await pieces.next_piece():
                    held.write(piece)

        await ask_verb(fetch, "files.content", timeout, reads=True)
        return held.getvalue()

    async def delete(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> None:
        """Have a file deleted."""
        await self._ask("delete", lambda verbs: verbs.delete(named(id)), provider, timeout)
