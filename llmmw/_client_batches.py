"""What a client can do besides asking: the verbs of its providers for batches and for files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import attrs

from llmmw._administration import (
    Batches,
    BatchInfo,
    BatchItem,
    FileInfo,
    Files,
    Line,
    Outcome,
)
from llmmw._arguments import aimed
from llmmw._call import Call
from llmmw._map import check_many, request_of
from llmmw._provider import Provider
from llmmw._request import Embed, Generate, Request, conversation
from llmmw._router import Router
from llmmw.errors import BadRequest, LLMError, UnsupportedFeature

__all__ = ["Administered", "ClientBatches", "ClientFiles"]

T = TypeVar("T")


@attrs.frozen
class ClientBatches:
    """The batches at a client's providers: many questions together, answered within a day.

    `BatchApi` in a stack does all this by itself, and remembers it. `provider` is the part of a
    target before its colon; default: that of the client's first target.
    """

    _router: Router = attrs.field(repr=False)
    _targets: Sequence[str]

    async def create(
        self,
        requests: Mapping[str, object] | Iterable[object],
        *,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> BatchInfo:
        """Send a batch.

        Args:
            requests: by ids of 1 to 64 letters, digits, `-` and `_`; or without, and their ids
                are their numbers, from 0 on. Each has a form that `Client.map` takes.
            model: the target, where a row names none; default: the client's first.
            metadata: labels, for providers that keep some.
            parameters: for every row that does not say otherwise.

        Raises:
            BadRequest: if these can't be one batch.
            UnsupportedFeature: if the provider has no batches.
        """
        check_many(requests if not isinstance(requests, Mapping) else list(requests))
        rows = requests if isinstance(requests, Mapping) else _numbered(requests)
        asked: dict[str, Request] = {}
        for name, row in rows.items():
            one = request_of(row, parameters)[1]
            asked[str(name)] = aimed(one, None if one.model else model, self._targets)
        names = {one.provider_name for one in asked.values()}
        if len(names) != 1:
            raise BadRequest(f"a batch goes to one provider, and not to {sorted(names) or 'none'}")
        batches = await self._verbs(names.pop())
        lines = {name: await self._line(batches, one) for name, one in asked.items()}
        if len({line.group for line in lines.values()}) > 1:
            raise BadRequest("these questions can't be one batch: they differ in model or API")
        if len(lines) > batches.limits.lines:
            raise BadRequest(f"a batch holds {batches.limits.lines} questions, not {len(lines)}")
        return await batches.create(lines, metadata)

    async def get(self, id: str, *, provider: str | None = None) -> BatchInfo:
        """How far a batch is."""
        return await (await self._verbs(provider)).get(id)

    async def list(self, *, provider: str | None = None, limit: int = 20) -> tuple[BatchInfo, ...]:
        """The newest batches of the account, `limit` at most."""
        return await _first((await self._verbs(provider)).list(), limit)

    async def cancel(self, id: str, *, provider: str | None = None) -> BatchInfo:
        """Let a batch end. What it has answered by then is billed, and can be read."""
        return await (await self._verbs(provider)).cancel(id)

    async def results(self, id: str, *, provider: str | None = None) -> tuple[BatchItem, ...]:
        """What came of each question, in any order: all that there is by now."""
        async with aclosing(self.each_result(id, provider=provider)) as items:
            return tuple([item async for item in items])

    async def each_result(
        self, id: str, *, provider: str | None = None
    ) -> AsyncGenerator[BatchItem, None]:
        """What came of each question, one by one as it is read: for more than memory holds. Iterate
        within `contextlib.aclosing`."""
        batches = await self._verbs(provider)
        info = await batches.get(id)
        async with aclosing(batches.results(info)) as outcomes:
            async for outcome in outcomes:
                yield await self._item(batches, info, outcome)

    async def _verbs(self, provider: str | None) -> Batches:
        found = await _provider(self._router, self._targets, provider)
        batches: Batches | None = found.batches
        if batches is None:
            raise UnsupportedFeature(f"{found.name} has no batches", provider=found.name)
        return batches

    async def _line(self, batches: Batches, request: Request) -> Line:
        return await batches.write(self._router, Call(request, host=self._router.host))

    async def _item(self, batches: Batches, info: BatchInfo, outcome: Outcome) -> BatchItem:
        call = Call(_stand_in(info.provider, outcome), host=self._router.host)
        try:
            response = await batches.read(self._router, call, outcome)
        except LLMError as error:
            error.provider = error.provider or info.provider
            return BatchItem(id=outcome.id, error=error)
        return BatchItem(id=outcome.id, response=batches.limits.priced(response))


@attrs.frozen
class ClientFiles:
    """The files at a client's providers; `provider` as for `ClientBatches`."""

    _router: Router = attrs.field(repr=False)
    _targets: Sequence[str]

    async def upload(
        self, name: str, data: bytes, *, purpose: str = "batch", provider: str | None = None
    ) -> FileInfo:
        """Send a file."""
        return await (await self._verbs(provider)).upload(name, [data], purpose)

    async def get(self, id: str, *, provider: str | None = None) -> FileInfo:
        """What is known of a file."""
        return await (await self._verbs(provider)).get(id)

    async def list(self, *, provider: str | None = None, limit: int = 100) -> tuple[FileInfo, ...]:
        """Files of the account, `limit` at most."""
        return await _first((await self._verbs(provider)).list(), limit)

    async def content(self, id: str, *, provider: str | None = None) -> bytes:
        """The bytes of a file."""
        async with aclosing((await self._verbs(provider)).content(id)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def delete(self, id: str, *, provider: str | None = None) -> None:
        """Have a file deleted."""
        await (await self._verbs(provider)).delete(id)

    async def _verbs(self, provider: str | None) -> Files:
        found = await _provider(self._router, self._targets, provider)
        files: Files | None = found.files
        if files is None:
            raise UnsupportedFeature(f"{found.name} keeps no files", provider=found.name)
        return files


class Administered(ABC):
    """What a client has for it."""

    targets: tuple[str, ...]

    @abstractmethod
    def _open(self) -> tuple[Router, Any]:
        """The router, while the client is open."""

    @property
    def batches(self) -> ClientBatches:
        """The batches at its providers."""
        return ClientBatches(self._open()[0], self.targets)

    @property
    def files(self) -> ClientFiles:
        """The files at its providers."""
        return ClientFiles(self._open()[0], self.targets)


async def _provider(router: Router, targets: Sequence[str], name: str | None) -> Provider:
    if name is None and not targets:
        raise BadRequest("which provider is it? Name it, or give the client a target")
    return await router.provider(targets[0] if name is None else f"{name}:")


async def _first(rows: AsyncGenerator[T, None], most: int) -> tuple[T, ...]:
    """So many of them, at most."""
    found: list[T] = []
    async with aclosing(rows):
        while len(found) < most and (row := await anext(rows, None)) is not None:
            found.append(row)
    return tuple(found)


def _numbered(requests: Iterable[object]) -> dict[str, object]:
    """Requests by the ids of their rows, else by their numbers."""
    rows: dict[str, object] = {}
    for number, one in enumerate(requests):
        name = one.get("id") if isinstance(one, Mapping) else None
        rows[str(number if name is None else name)] = one
    return rows


def _stand_in(provider: str, outcome: Outcome) -> Request:
    """A request that the same code reads the answer of, where the real one is not known."""
    if outcome.body.startswith(b'{"object":"list"') or b'"embedding"' in outcome.body[:4096]:
        count = max(1, outcome.body.count(b'"embedding":[') + outcome.body.count(b'"embedding":"'))
        return Embed(model=f"{provider}:batch", inputs=["?"] * count)
    return Generate(model=f"{provider}:batch", messages=conversation("?"))
