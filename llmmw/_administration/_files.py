"""Files that a provider keeps."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import attrs

from llmmw._administration._source import Pieces, Source
from llmmw._administration._verbs import Hear, Page, Verbs

__all__ = ["FileInfo", "Files"]


@attrs.frozen(kw_only=True)
class FileInfo:
    """A file that a provider keeps."""

    id: str
    provider: str
    name: str = ""
    bytes: int | None = None
    purpose: str = ""
    status: str = ""
    """The provider's own word, where files are looked through after they came."""
    created: float | None = None
    """Seconds since 1970."""
    raw: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Files(Verbs):
    """The verbs for files. All may raise `LLMError`."""

    what: ClassVar[str] = "files"

    async def upload(self, source: Source, purpose: str, hear: Hear) -> FileInfo:
        """Send a file.

        Args:
            source: what it is; never held in memory whole.
            purpose: what it is for, in the host's words.
            hear: told how far it is.
        """
        raise self.lacks("upload")

    async def get(self, id: str) -> FileInfo:
        """What is known of a file."""
        raise self.lacks("get")

    async def list(self, after: str | None = None) -> Page[FileInfo]:
        """One page of the account's files; `after` is from the page before."""
        raise self.lacks("list")

    def content(self, id: str) -> AbstractAsyncContextManager[Pieces]:
        """The bytes of a file, as they come: read within the block."""
        raise self.lacks("download")

    async def delete(self, id: str) -> None:
        """Have a file deleted."""
        raise self.lacks("delete")
