"""Batches: questions as lines of a file, answered within a day, as lines of another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import BatchInfo, BatchLimits, Line, Outcome, Page, Refusal, Source
from llmmw.wire import HttpBatches, dumps, packed
from llmmw_mistral._files import MistralFiles
from llmmw_mistral._lists import ask, page_of, remove
from llmmw_mistral._values import number_of, object_of, objects_of, seconds_of, text_of

__all__ = ["MistralBatches"]

_JOBS = "/batch/jobs"
_CHAT = "/v1/chat/completions"
_ENDED = {"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"}
_HALF = BatchLimits(lines=100_000, bytes=480 * 2**20, price=Decimal("0.5"))
"""100,000 requests and 512 MB, for half the price; the last bytes are left free."""


@attrs.frozen(kw_only=True)
class MistralBatches(HttpBatches):
    """The verbs for batches; see `llmmw.plugin.Batches`."""

    limits: BatchLimits = _HALF

    def group(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        """A batch has one API and one model."""
        return f"{path} {body.get('model')}"

    async def create(
        self, lines: Mapping[str, Line], metadata: Mapping[str, str] | None = None
    ) -> BatchInfo:
        """Send the file, then have it answered. The model is told once, beside it."""
        first = next(iter(lines.values()))
        rows = [
            dumps({"custom_id": name, "body": {k: v for k, v in line.body.items() if k != "model"}})
            + b"\n"
            for name, line in lines.items()
        ]
        files = MistralFiles(name=self.name, http=self.http)
        source = Source.of_pieces("llmmw.jsonl", rows)
        sent = await files.upload(source, "batch", lambda transfer: None)
        asked = {"endpoint": "/v1" + first.path, "model": first.body.get("model")}
        return await self.submit(sent.id, asked | ({"metadata": metadata} if metadata else {}))

    async def submit(self, file: str, fields: Mapping[str, Any]) -> BatchInfo:
        """Begin a batch whose questions are a file at the host; `model` and `endpoint` (default:
        chats) say what answers them, `timeout_hours` until when."""
        asked = {"endpoint": _CHAT, "input_files": [file]} | dict(fields)
        return self._info(await ask(self.http, "POST", _JOBS, dumps(asked)))

    async def get(self, id: str) -> BatchInfo:
        """How far a batch is."""
        return self._info(await ask(self.http, "GET", _place(id)))

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """One page of the account's batches, the newest first."""
        return await page_of(self.http, _JOBS, after, self._info)

    async def cancel(self, id: str) -> BatchInfo:
        """Let a batch end."""
        return self._info(await ask(self.http, "POST", f"{_place(id)}/cancel"))

    async def delete(self, id: str) -> None:
        """Have a batch deleted; its files stay."""
        await remove(self.http, _place(id))

    async def results(self, batch: BatchInfo) -> AsyncGenerator[Outcome, None]:
        """What came: of two files, for answers and for failures, either may be missing; or of
        the batch itself, where its questions were told without a file."""
        for row in objects_of(batch.raw.get("outputs")):
            if (outcome := _outcome(row)) is not None:
                yield outcome
        for name in ("output_file", "error_file"):
            file = text_of(batch.raw.get(name))
            if not file:
                continue
            path = f"/files/{quote(file, safe='')}/content"
            async with self.http.get(path) as reply, aclosing(self.objects(reply)) as rows:
                async for row in rows:
                    if (outcome := _outcome(row)) is not None:
                        yield outcome

    def _info(self, told: Mapping[str, Any]) -> BatchInfo:
        status = text_of(told.get("status"))
        labels = told.get("metadata")
        return BatchInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            total=number_of(told.get("total_requests")),
            completed=number_of(told.get("succeeded_requests")),
            failed=number_of(told.get("failed_requests")),
            created=seconds_of(told.get("created_at")),
            metadata={name: str(one) for name, one in object_of(labels).items()},
            refusals=_refusals(told) if status == "FAILED" else (),
            raw=dict(told),
        )


def _place(id: str) -> str:
    return f"{_JOBS}/{quote(id, safe='')}"


def _refusals(told: Mapping[str, Any]) -> tuple[Refusal, ...]:
    rows = objects_of(told.get("errors"))
    found = tuple(Refusal(text_of(row.get("message")) or "a question was refused") for row in rows)
    return found or (Refusal("the host refused the batch and did not say why"),)


def _outcome(row: Mapping[str, Any]) -> Outcome | None:
    """What came of a question; or nothing, if the row does not say of which."""
    id_, response = text_of(row.get("custom_id")), object_of(row.get("response"))
    if not id_:
        return None
    told = number_of(response.get("status_code"))
    status = told if told is not None and 100 <= told < 600 else 200
    said = row.get("error") or {"message": "the host says nothing of why this has failed"}
    return Outcome(id=id_, status=status, body=packed(response.get("body") or {"error": said}))
