"""The batches at a client's providers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

import attrs

from llmmw._administration import Batches, BatchInfo, BatchItem, Line, Outcome, Pages
from llmmw._arguments import aimed
from llmmw._call import Call
from llmmw._map import check_many, request_of
from llmmw._provider import Provider
from llmmw._request import Embed, Generate, Request, conversation
from llmmw._verbs._group import Group, named, quiet
from llmmw._verbs._patience import SHORT, ask_verb, wait_for
from llmmw.errors import BadRequest, LLMError

__all__ = ["ClientBatches"]


@attrs.frozen
class ClientBatches(Group[Batches]):
    """The batches at a client's providers: many questions together, answered within a day.

    `BatchApi` in a stack does all this by itself, and remembers it. `provider` and `timeout` are as
    for `ClientModels`.
    """

    what: ClassVar[str] = "batches"

    @staticmethod
    def _of(provider: Provider) -> Batches | None:
        return provider.batches

    async def create(
        self,
        /,
        requests: Mapping[str, object] | Iterable[object],
        *,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> BatchInfo:
        """Send a batch.

        Args:
            requests: by ids of 1 to 64 letters, digits, `-` and `_`; or without, and their ids
                are their numbers, from 0 on. Each has a form that `Client.map` takes.
            model: the target, where a row names none; default: the client's first.
            metadata: labels, for providers that keep some.
            timeout: seconds to send it; default: none.
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
        return await ask_verb(
            lambda: batches.create(lines, metadata), "batches.create", timeout, reads=False
        )

    async def submit(
        self,
        /,
        file: str,
        *,
        provider: str | None = None,
        timeout: float | None = SHORT,
        **fields: Any,
    ) -> BatchInfo:
        """Begin a batch whose questions are a file already.

        Args:
            file: where the host finds it: the id of an uploaded file, or an address.
            provider: see above.
            timeout: seconds.
            fields: the host's own, as the API that is asked, or where the answers go.
        """
        return await self._ask(
            "submit", lambda verbs: verbs.submit(file, fields), provider, timeout
        )

    async def get(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> BatchInfo:
        """How far a batch is."""
        return await self._ask(
            "get", lambda verbs: verbs.get(named(id)), provider, timeout, reads=True
        )

    def list(
        self,
        *,
        provider: str | None = None,
        limit: int | None = None,
        timeout: float | None = SHORT,
    ) -> Pages[BatchInfo]:
        """The batches of the account, the newest first, `limit` at most."""
        return self._list(lambda verbs, after: verbs.list(after), provider, limit, timeout)

    async def update(
        self,
        /,
        id: str,
        *,
        provider: str | None = None,
        timeout: float | None = SHORT,
        **fields: Any,
    ) -> BatchInfo:
        """Change a batch that goes on; `fields` are the host's own."""
        return await self._ask(
            "update", lambda verbs: verbs.update(named(id), fields), provider, timeout
        )

    async def cancel(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> BatchInfo:
        """Let a batch end. What it has answered by then is billed, and can be read."""
        return await self._ask("cancel", lambda verbs: verbs.cancel(named(id)), provider, timeout)

    async def delete(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> None:
        """Have a batch that has ended, and what came of it, deleted."""
        await self._ask("delete", lambda verbs: verbs.delete(named(id)), provider, timeout)

    async def wait(
        self,
        id: str,
        *,
        provider: str | None = None,
        timeout: float | None = None,
        progress: Callable[[BatchInfo], None] | None = None,
    ) -> BatchInfo:
        """Wait until a batch has ended. The host is asked ever more seldom, up to every 30 s.

        Raises:
            DeadlineExceeded: if the time ran out.
        """
        verbs = await self._verbs(provider)
        return await wait_for(
            lambda: verbs.get(named(id)),
            lambda info: info.ended,
            lambda info: info.status,
            quiet(progress),
            verb="batches.wait",
            timeout=timeout,
        )

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
        info = await batches.get(named(id))
        async with aclosing(batches.results(info)) as outcomes:
            async for outcome in outcomes:
                yield await self._item(batches, info, outcome)

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
