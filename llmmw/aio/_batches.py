"""The verbs for batches and files, for asyncio programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import attrs

from llmmw._administration import BatchInfo, BatchItem, FileInfo
from llmmw._bridge import Tell
from llmmw._session import Client

__all__ = ["Batches", "Files"]

T = TypeVar("T")


class _Answer(Protocol):
    """Does work in the portal's thread."""

    async def __call__(self, do: Callable[[Tell], Awaitable[T]]) -> T: ...


@attrs.frozen
class Batches:
    """The batches at a client's providers; see `llmmw.Client.batches`."""

    _answer: _Answer = attrs.field(repr=False)
    _trio: Client = attrs.field(repr=False)

    async def create(
        self,
        requests: Mapping[str, object] | Iterable[object],
        *,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> BatchInfo:
        """Send a batch; arguments and errors as for `llmmw.Client.batches.create`."""
        return await self._answer(
            lambda tell: self._trio.batches.create(
                requests, model=model, metadata=metadata, **parameters
            )
        )

    async def get(self, id: str, *, provider: str | None = None) -> BatchInfo:
        """How far a batch is."""
        return await self._answer(lambda tell: self._trio.batches.get(id, provider=provider))

    async def list(self, *, provider: str | None = None, limit: int = 20) -> tuple[BatchInfo, ...]:
        """The newest batches of the account, `limit` at most."""
        return await self._answer(
            lambda tell: self._trio.batches.list(provider=provider, limit=limit)
        )

    async def cancel(self, id: str, *, provider: str | None = None) -> BatchInfo:
        """Let a batch end. What it has answered by then is billed, and can be read."""
        return await self._answer(lambda tell: self._trio.batches.cancel(id, provider=provider))

    async def results(self, id: str, *, provider: str | None = None) -> tuple[BatchItem, ...]:
        """What came of each question, in any order: all that there is by now."""
        return await self._answer(lambda tell: self._trio.batches.results(id, provider=provider))


@attrs.frozen
class Files:
    """The files at a client's providers; see `llmmw.Client.files`."""

    _answer: _Answer = attrs.field(repr=False)
    _trio: Client = attrs.field(repr=False)

    async def upload(
        self,
        name: str,
        data: bytes,
        *,
        purpose: str = "batch",
        provider: str | None = None,
    ) -> FileInfo:
        """Send a file."""
        return await self._answer(
            lambda tell: self._trio.files.upload(name, data, purpose=purpose, provider=provider)
        )

    async def get(self, id: str, *, provider: str | None = None) -> FileInfo:
        """What is known of a file."""
        return await self._answer(lambda tell: self._trio.files.get(id, provider=provider))

    async def list(self, *, provider: str | None = None, limit: int = 100) -> tuple[FileInfo, ...]:
        """Files of the account, `limit` at most."""
        return await self._answer(
            lambda tell: self._trio.files.list(provider=provider, limit=limit)
        )

    async def content(self, id: str, *, provider: str | None = None) -> bytes:
        """The bytes of a file."""
        return await self._answer(lambda tell: self._trio.files.content(id, provider=provider))

    async def delete(self, id: str, *, provider: str | None = None) -> None:
        """Have a file deleted."""
        return await self._answer(lambda tell: self._trio.files.delete(id, provider=provider))
