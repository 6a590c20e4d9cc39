"""Message batches: many messages in one request, answered within a day."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.errors import UnsupportedFeature
from llmmw.plugin import BatchInfo, BatchLimits, Line, Outcome, Page
from llmmw.wire import Http, HttpBatches, dumps, packed
from llmmw_anthropic._pages import object_in, page_of, seconds_in

__all__ = ["AnthropicBatches"]

_BETA = "anthropic-beta"
_HALF = BatchLimits(lines=100_000, bytes=240 * 2**20, price=Decimal("0.5"))
"""100,000 requests or 256 MB, for half the price; the last bytes are left free."""
_ENDINGS = {"canceled": "cancelled", "expired": "expired"}


@attrs.frozen(kw_only=True)
class AnthropicBatches(HttpBatches):
    """The verbs for batches; see `llmmw.plugin.Batches`. The host keeps no labels of them.

    Args:
        prefix: what goes before the paths, where the address does not have it.
    """

    prefix: str
    limits: BatchLimits = _HALF

    def group(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        """Betas are of a batch, and not of a request in it."""
        if not path.endswith("/messages"):
            raise UnsupportedFeature("only messages go in batches here")
        return headers.get(_BETA, "")

    async def create(
        self, lines: Mapping[str, Line], metadata: Mapping[str, str] | None = None
    ) -> BatchInfo:
        """Send all questions at once."""
        rows = [{"custom_id": name, "params": line.body} for name, line in lines.items()]
        betas = next(iter(lines.values())).group
        http = self.http
        if betas:
            others = {name: one for name, one in http.headers.items() if name.lower() != _BETA}
            http = attrs.evolve(http, headers=others | {_BETA: betas})
        return await self._post(http, "", {"requests": rows})

    async def get(self, id: str) -> BatchInfo:
        """How far a batch is."""
        async with self.http.get(self._path(id)) as reply:
            return self._info(object_in(reply, await reply.read()))

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """Batches, the newest first."""
        return await page_of(self.http, self._path(), after, self._info)

    async def cancel(self, id: str) -> BatchInfo:
        """Let a batch end."""
        return await self._post(self.http, f"/{quote(id, safe='')}/cancel", {})

    async def delete(self, id: str) -> None:
        """Have a batch deleted that has ended."""
        async with self.http.delete(self._path(id)) as reply:
            await reply.drain()

    async def results(self, batch: BatchInfo) -> AsyncGenerator[Outcome, None]:
        """What came. It is asked of the host itself, whatever address the host names for it: the
        key goes nowhere else."""
        path = f"{self._path(batch.id)}/results"
        async with self.http.get(path) as reply, aclosing(self.objects(reply)) as rows:
            async for row in rows:
                if isinstance(row.get("custom_id"), str):
                    yield _outcome(row)

    def _path(self, id: str = "") -> str:
        tail = f"/{quote(id, safe='')}" if id else ""
        return f"{self.prefix}/messages/batches{tail}"

    async def _post(self, http: Http, tail: str, body: object) -> BatchInfo:
        async with http.post(self._path() + tail, dumps(body)) as reply:
            return self._info(object_in(reply, await reply.read()))

    def _info(self, told: Mapping[str, Any]) -> BatchInfo:
        counts = told.get("request_counts")
        rows = counts.items() if isinstance(counts, Mapping) else ()
        numbers = {name: one for name, one in rows if type(one) is int}
        status = str(told.get("processing_status") or "")
        return BatchInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            status=status,
            ended=status == "ended",
            total=sum(numbers.values()) if numbers else None,
            completed=numbers.get("succeeded"),
            failed=numbers.get("errored"),
            created=seconds_in(told.get("created_at")),
            expires=seconds_in(told.get("expires_at")),
            raw=dict(told),
        )


def _outcome(row: Mapping[str, Any]) -> Outcome:
    told = row.get("result")
    result: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    kind = str(result.get("type"))
    body = result.get("message") if kind == "succeeded" else result.get("error")
    return Outcome(id=row["custom_id"], ending=_ENDINGS.get(kind, "answered"), body=packed(body))
