"""Datasets, which are this host's files, and batches, whose questions are one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.errors import BadRequest, NotFound
from llmmw.plugin import (
    Batches,
    BatchInfo,
    BatchLimits,
    FileInfo,
    Files,
    Hear,
    Page,
    Pieces,
    Refusal,
    Source,
)
from llmmw.wire import Http, dumps, multipart, open_link
from llmmw_cohere._fine_tunes import page_of
from llmmw_cohere._values import number, object_in, objects, own, seconds, text

__all__ = ["CohereBatches", "CohereFiles"]

Json = Mapping[str, Any]

_PAGE = 100
_PURPOSES = {"batch": "batch-chat-v2-input", "fine-tune": "chat-finetune-input"}
"""The host's words for what others call so; its own go as they are."""
_BATCHES = "/v2/batches"
_ENDED = ("COMPLETED", "FAILED", "CANCELED")
_LIMITS = BatchLimits(lines=2**31, bytes=2**31)
"""The host does not say what they are."""
_WRITE = "upload a dataset of purpose 'batch', then batches.submit(file, {'model': …})"
_READ = "files.download the dataset raw['output_dataset_id'], which is Avro"


@attrs.frozen(kw_only=True)
class CohereFiles(Files):
    """The verbs for files; see `llmmw.plugin.Files`. A file is a dataset here, and its purpose is
    the type of that."""

    http: Http = attrs.field(repr=False)

    async def upload(self, source: Source, purpose: str, hear: Hear) -> FileInfo:
        """Send a file as a dataset; the host looks through it afterwards, as `get` tells."""
        kind = _PURPOSES.get(purpose, purpose)
        query = {"name": source.name, "type": kind}
        if kind.startswith("batch-"):
            query["keep_fields"] = "custom_id"  # else no answer says what it answers
        form = multipart(source, {}, file="data", hear=hear)
        async with self.http.request("POST", "/v1/datasets", form, query=query) as reply:
            told = object_in(reply, await reply.read())
        return FileInfo(
            id=text(told.get("id")),
            provider=self.name,
            name=source.name,
            bytes=source.size,
            purpose=kind,
            raw=told,
        )

    async def get(self, id: str) -> FileInfo:
        """What is known of a dataset."""
        return self._info(await self._dataset(id))

    async def list(self, after: str | None = None) -> Page[FileInfo]:
        """Datasets, a page of them; `after` is how many to pass over."""
        query = {"limit": str(_PAGE), "offset": after or "0"}
        async with self.http.get("/v1/datasets", query) as reply:
            told = object_in(reply, await reply.read())
        rows = objects(told.get("datasets"))
        passed = int(query["offset"]) + len(rows)
        return Page(map(self._info, rows), str(passed) if len(rows) >= _PAGE else None)

    @asynccontextmanager
    async def content(self, id: str) -> AsyncIterator[Pieces]:
        """The bytes of a dataset; of one in several parts, `dataset/part` names one."""
        dataset, _, part = id.partition("/")
        found = objects((await self._dataset(dataset)).get("dataset_parts"))
        fitting = [one for one in found if part in {"", text(one.get("id"))}]
        if len(fitting) > 1:
            known = ", ".join(f"{dataset}/{text(one.get('id'))}" for one in fitting)
            raise BadRequest(f"the dataset has several parts: ask for one of {known}")
        link = text(fitting[0].get("url")) if fitting else ""
        if not link:
            raise NotFound(f"the dataset {id} has nothing to download", processed=False)
        async with open_link(link) as reply:
            yield reply

    async def delete(self, id: str) -> None:
        """Have a dataset deleted."""
        async with self.http.delete(f"/v1/datasets/{quote(id, safe='')}") as reply:
            await reply.drain()

    async def _dataset(self, id: str) -> Json:
        async with self.http.get(f"/v1/datasets/{quote(id, safe='')}") as reply:
            return own(object_in(reply, await reply.read()).get("dataset"))

    def _info(self, told: Json) -> FileInfo:
        parts = objects(told.get("dataset_parts"))
        sizes = [size for one in parts if (size := number(one.get("size_bytes"))) is not None]
        return FileInfo(
            id=text(told.get("id")),
            provider=self.name,
            name=text(told.get("name")),
            bytes=sum(sizes) if sizes else None,
            purpose=text(told.get("dataset_type")),
            status=text(told.get("validation_status")),
            created=seconds(told.get("created_at")),
            raw=dict(told),
        )


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
        async with self.http.post(_BATCHES, dumps(body)) as reply:
            return self._info(object_in(reply, await reply.read()).get("batch"))

    async def get(self, id: str) -> BatchInfo:
        """How far a batch is."""
        async with self.http.get(f"{_BATCHES}/{quote(id, safe='')}") as reply:
            return self._info(object_in(reply, await reply.read()).get("batch"))

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """Batches, a page of them."""
        return await page_of(self.http, _BATCHES, "batches", after, self._info)

    async def cancel(self, id: str) -> BatchInfo:
        """Let a batch end; the host tells how far it is when it is asked."""
        async with self.http.post(f"{_BATCHES}/{quote(id, safe='')}:cancel", b"{}") as reply:
            await reply.drain()
        return await self.get(id)

    def _info(self, told: Any) -> BatchInfo:
        found = own(told)
        status = text(found.get("status")).removeprefix("BATCH_STATUS_")
        reason = text(found.get("status_reason"))
        return BatchInfo(
            id=text(found.get("id")),
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            total=number(found.get("num_records")),
            completed=number(found.get("num_successful_records")),
            failed=number(found.get("num_failed_records")),
            created=seconds(found.get("created_at")),
            refusals=(Refusal(reason),) if status == "FAILED" and reason else (),
            raw=dict(found),
        )
