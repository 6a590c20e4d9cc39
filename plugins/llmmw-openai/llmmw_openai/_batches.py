"""Batches: questions as lines of a file, answered within a day, as lines of another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import BatchInfo, Line, Outcome, Page, Refusal, Source
from llmmw.wire import HttpBatches, dumps, packed
from llmmw_openai._files import OpenAIFiles, objects_in, page_of, seconds_in, whole_in
from llmmw_openai._reading import object_in

__all__ = ["OpenAIBatches"]

_WINDOW = "24h"
_ENDED = {"completed", "failed", "expired", "cancelled"}
_ENDINGS = {"batch_expired": "expired", "batch_cancelled": "cancelled"}


@attrs.frozen(kw_only=True)
class OpenAIBatches(HttpBatches):
    """The verbs for batches; see `llmmw.plugin.Batches`."""

    def group(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        """A batch has one API and one model."""
        return f"{path} {body.get('model')}"

    async def create(
        self, lines: Mapping[str, Line], metadata: Mapping[str, str] | None = None
    ) -> BatchInfo:
        """Send the file, then have it answered."""
        endpoint = "/v1" + next(iter(lines.values())).path
        rows = [
            dumps({"custom_id": name, "method": "POST", "url": endpoint, "body": line.body}) + b"\n"
            for name, line in lines.items()
        ]
        source = Source.of_pieces("llmmw.jsonl", rows)
        sent = await self._files.upload(source, "batch", lambda transfer: None)
        labels = {"metadata": dict(metadata)} if metadata else {}
        return await self.submit(sent.id, {"endpoint": endpoint, **labels})

    async def submit(self, file: str, fields: Mapping[str, Any]) -> BatchInfo:
        """Have an uploaded file answered; `endpoint` is the API that its lines are for."""
        default = {"endpoint": "/v1/chat/completions", "completion_window": _WINDOW}
        return await self._post("/batches", {"input_file_id": file, **default, **fields})

    async def get(self, id: str) -> BatchInfo:
        """How far a batch is."""
        async with self.http.get(f"/batches/{quote(id, safe='')}") as reply:
            return self._info(object_in(reply, await reply.read()))

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """Batches, the newest first."""
        return await page_of(self.http, "/batches", after, self._info)

    async def cancel(self, id: str) -> BatchInfo:
        """Let a batch end."""
        return await self._post(f"/batches/{quote(id, safe='')}/cancel", {})

    async def results(self, batch: BatchInfo) -> AsyncGenerator[Outcome, None]:
        """What came: of two files, for answers and for failures, either may be missing."""
        for name in ("output_file_id", "error_file_id"):
            file = batch.raw.get(name)
            if not isinstance(file, str) or not file:
                continue
            path = f"/files/{quote(file, safe='')}/content"
            async with self.http.get(path) as reply, aclosing(self.objects(reply)) as rows:
                async for row in rows:
                    if isinstance(row.get("custom_id"), str):
                        yield _outcome(row)

    @property
    def _files(self) -> OpenAIFiles:
        return OpenAIFiles(name=self.name, http=self.http)

    async def _post(self, path: str, body: Mapping[str, Any]) -> BatchInfo:
        async with self.http.post(path, dumps(body)) as reply:
            return self._info(object_in(reply, await reply.read()))

    def _info(self, told: Mapping[str, Any]) -> BatchInfo:
        status = str(told.get("status") or "")
        counts = _object(told.get("request_counts"))
        labels = _object(told.get("metadata"))
        return BatchInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            total=whole_in(counts, "total"),
            completed=whole_in(counts, "completed"),
            failed=whole_in(counts, "failed"),
            created=seconds_in(told, "created_at"),
            expires=seconds_in(told, "expires_at"),
            metadata={name: str(one) for name, one in labels.items()}
            if "metadata" in told
            else None,
            refusals=tuple(_refusals(told)) if status == "failed" else (),
            raw=dict(told),
        )


def _object(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}


def _refusals(told: Mapping[str, Any]) -> list[Refusal]:
    found = [
        Refusal(
            str(row.get("message") or "the batch was refused"),
            str(row["code"]) if row.get("code") else None,
            whole_in(row, "line"),
        )
        for row in objects_in(_object(told.get("errors")).get("data"))
    ]
    return found or [Refusal("the host refused the batch and did not say why")]


def _outcome(row: Mapping[str, Any]) -> Outcome:
    response, error = _object(row.get("response")), _object(row.get("error"))
    if not response:
        ending = _ENDINGS.get(str(error.get("code")), "answered")
        return Outcome(id=row["custom_id"], ending=ending, body=packed({"error": dict(error)}))
    status = response.get("status_code")
    request_id = response.get("request_id")
    return Outcome(
        id=row["custom_id"],
        status=status if isinstance(status, int) and 100 <= status < 600 else 200,
        body=packed(response.get("body")),
        request_id=request_id if isinstance(request_id, str) and request_id.isascii() else None,
    )
