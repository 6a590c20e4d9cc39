"""Datasets, which are this host's files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from llmmw.errors import BadRequest, NotFound
from llmmw.plugin import FileInfo, Files, Hear, Page, Pieces, Source
from llmmw.wire import Http, multipart, open_link
from llmmw_cohere._pages import place_of, thing_in
from llmmw_cohere._values import listed, number, object_in, objects, seconds, text

__all__ = ["CohereFiles"]

Json = Mapping[str, Any]

_PAGE = 100
_PURPOSES = {"batch": "batch-chat-v2-input", "fine-tune": "chat-finetune-input"}
"""The host's words for what others call so; its own go as they are."""
_PATH = "/v1/datasets"


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
        async with self.http.request("POST", _PATH, form, query=query) as reply:
            told = await thing_in(reply)
        return FileInfo(
            id=text(told.get("id")),
            provider=self.name,
            name=source.name,
            bytes=source.size,
            purpose=kind,
            raw=dict(told),
        )

    async def get(self, id: str) -> FileInfo:
        """What is known of a dataset."""
        return self._info(await self._dataset(id))

    async def list(self, after: str | None = None) -> Page[FileInfo]:
        """Datasets, a page of them; `after` is how many to pass over."""
        query = {"limit": str(_PAGE), "offset": after or "0"}
        async with self.http.get(_PATH, query) as reply:
            rows = listed(object_in(reply, await reply.read()).get("datasets"))
        passed = int(query["offset"]) + len(rows)
        more = str(passed) if len(rows) >= _PAGE else None
        return Page(map(self._info, objects(rows)), more)

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
        async with self.http.delete(place_of(_PATH, id)) as reply:
            await reply.drain()

    async def _dataset(self, id: str) -> Json:
        async with self.http.get(place_of(_PATH, id)) as reply:
            return await thing_in(reply, "dataset")

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
