"""Batches, whose questions are a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw.errors import BadRequest
from llmmw.plugin import Batches, BatchInfo, BatchLimits, Page, Refusal
from llmmw.wire import Http, dumps
from llmmw_cohere._pages import page_of, place_of, thing_in
from llmmw_cohere._values import number, seconds, text

__all__ = ["CohereBatches"]

Json = Mapping[str, Any]

_PATH = "/v2/batches"
_ENDED = ("COMPLETED", "FAILED", "CANCELED")
_LIMITS = BatchLimits(lines=2**31, bytes=2**31)
"""The host does not say what they are."""
_WRITE = "upload a dataset of purpose 'batch', then batches.submit(file, {'model': …})"
_READ = "files.download the dataset raw['output_dataset_id'], which is Avro"


@attrs.frozen(kw_only=True)
class CohereBatches(Batches):
    """The verbs for batches; see `llmmw.plugin.Batches`. The questions are a dataset, in a form of
    their own, and so are the answers, as Avro: `create` and `results` are refused."""

    limits: BatchLimits = _LIMITS
    http: Http = attrs.field(repr=False)

    async def write(self, *args: Any) -> Any:
        """Refused; see above."""
        raise self.lacks("create", _WRITE)

    async def create(self, *args: Any) -> Any:
        """Refused; see above."""
        raise self.lacks("create", _WRITE)

    def results(self, batch: BatchInfo) -> Any:
        """Refused; see above."""
        raise self.lacks("results", _READ)

    async def submit(self, file: str, fields: Json) -> BatchInfo:
        """Have the questions of a dataset answered by `model`; `name` is that of the batch."""
        body = {"name": "llmmw", "input_dataset_id": file, **fields}
        if not body.get("model"):
            raise BadRequest("a batch needs a model: the name that the host knows")
        async with self.http.post(_PATH, dumps(body)) as reply:
            return self._info(await thing_in(reply, "batch"))

    async def get(self, id: str) -> BatchInfo:
        """How far a batch is."""
        async with self.http.get(place_of(_PATH, id)) as reply:
            return self._info(await thing_in(reply, "batch"))

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """Batches, a page of them."""
        return await page_of(self.http, _PATH, "batches", after, self._info)

    async def cancel(self, id: str) -> BatchInfo:
        """Let a batch end; the host tells how far it is when it is asked."""
        async with self.http.post(f"{place_of(_PATH, id)}:cancel", b"{}") as reply:
            await reply.drain()
        return await self.get(id)

    def _info(self, told: Json) -> BatchInfo:
        status = text(told.get("status")).removeprefix("BATCH_STATUS_")
        reason = text(told.get("status_reason"))
        return BatchInfo(
            id=text(told.get("id")),
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            total=number(told.get("num_records")),
            completed=number(told.get("num_successful_records")),
            failed=number(told.get("num_failed_records")),
            created=seconds(told.get("created_at")),
            refusals=(Refusal(reason),) if status == "FAILED" and reason else (),
            raw=dict(told),
        )
