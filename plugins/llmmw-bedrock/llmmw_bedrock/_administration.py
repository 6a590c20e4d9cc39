"""Models and batches: what the control plane of the host tells and does."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import attrs

from llmmw import Call
from llmmw.errors import BadRequest
from llmmw.plugin import (
    Batches,
    BatchInfo,
    BatchLimits,
    Handler,
    Line,
    ModelInfo,
    Models,
    Outcome,
    Page,
    Refusal,
)
from llmmw.wire import Http, dumps
from llmmw_bedrock._models import bare_name
from llmmw_bedrock._reading import object_in, seconds_in
from llmmw_bedrock._values import merged, number, objects, text

__all__ = ["BedrockBatches", "BedrockModels"]

Json = Mapping[str, Any]

_PROFILES = "inference-profiles"
_ENDED = {"Completed", "Failed", "Stopped", "PartiallyCompleted", "Expired"}
_NEEDED = ("modelId", "roleArn", "outputDataConfig")
_LIMITS = BatchLimits(lines=50_000, bytes=2**30, price=Decimal("0.5"))
_BY_FILE = (
    "this host takes questions as a file in S3: write one there, and call "
    "batches.submit('s3://bucket/questions.jsonl', {'modelId': …, 'roleArn': …, "
    "'outputDataConfig': …})"
)
_IN_S3 = "what came of it stands in S3, where outputDataConfig of the batch says"


@attrs.frozen(kw_only=True)
class BedrockModels(Models):
    """The verbs for models; see `llmmw.plugin.Models`."""

    http: Http

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """Foundation models in one page, then inference profiles, by which many of them are
        asked."""
        if after is None:
            told = await _get(self.http, "/foundation-models")
            return Page(map(self._model, objects(told.get("modelSummaries"))), f"{_PROFILES}:")
        token = after.removeprefix(f"{_PROFILES}:")
        query = {"maxResults": "1000"} | ({"nextToken": token} if token else {})
        told = await _get(self.http, f"/{_PROFILES}", query)
        rows = [self._profile(row) for row in objects(told.get("inferenceProfileSummaries"))]
        more = text(told.get("nextToken"))
        return Page(rows, f"{_PROFILES}:{more}" if more else None)

    async def get(self, id: str) -> ModelInfo:
        """What is known of a model or an inference profile."""
        name = quote(id, safe="")
        if bare_name(id) != id or "inference-profile" in id:
            return self._profile(await _get(self.http, f"/{_PROFILES}/{name}"))
        told = (await _get(self.http, f"/foundation-models/{name}")).get("modelDetails")
        return self._model(told if isinstance(told, dict) else {})

    def _model(self, told: Json) -> ModelInfo:
        cycle = told.get("modelLifecycle")
        status = text(cycle.get("status")) if isinstance(cycle, Mapping) else ""
        return ModelInfo(
            id=text(told.get("modelId")),
            provider=self.name,
            name=text(told.get("modelName")),
            owner=text(told.get("providerName")),
            status=status,
            raw=dict(told),
        )

    def _profile(self, told: Json) -> ModelInfo:
        own = told.get("type") == "APPLICATION"  # which is asked by its ARN alone
        status = text(told.get("status"))
        return ModelInfo(
            id=text(told.get("inferenceProfileArn" if own else "inferenceProfileId")),
            provider=self.name,
            name=text(told.get("inferenceProfileName")),
            created=seconds_in(told, "createdAt"),
            status=status,
            ready=status == "ACTIVE" if status else None,
            raw=dict(told),
        )


@attrs.frozen(kw_only=True)
class BedrockBatches(Batches):
    """The verbs for batches, which are model invocation jobs here; see `llmmw.plugin.Batches`."""

    http: Http
    limits: BatchLimits = _LIMITS

    async def write(self, ask: Handler, call: Call) -> Line:
        """Refused: a batch is a file."""
        raise self.lacks("create", _BY_FILE)

    async def create(
        self, lines: Mapping[str, Line], metadata: Mapping[str, str] | None = None
    ) -> BatchInfo:
        """Refused: a batch is a file."""
        raise self.lacks("create", _BY_FILE)

    async def submit(self, file: str, fields: Mapping[str, Any]) -> BatchInfo:
        """Have a file in S3 answered.

        Args:
            file: its address, `s3://…`.
            fields: `modelId`, `roleArn`, `outputDataConfig`; maybe `jobName`,
                `modelInvocationType` and others of CreateModelInvocationJob.
        """
        if missing := [name for name in _NEEDED if name not in fields]:
            raise BadRequest(f"a batch of Bedrock needs {', '.join(missing)} among its fields")
        token = uuid.uuid4().hex
        source = {"s3InputFormat": "JSONL", "s3Uri": file}
        body = {
            "jobName": f"llmmw-{token[:12]}",
            "clientRequestToken": token,
            "inputDataConfig": {"s3InputDataConfig": source},
        }
        told = await self._post("/model-invocation-job", dumps(merged(body, fields)))
        return await self.get(text(told.get("jobArn")))

    async def get(self, id: str) -> BatchInfo:
        """How far a batch is."""
        return self._info(await _get(self.http, _job(id)))

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """Batches, the newest first."""
        query = {"maxResults": "100", "sortBy": "CreationTime", "sortOrder": "Descending"}
        query |= {"nextToken": after} if after else {}
        told = await _get(self.http, "/model-invocation-jobs", query)
        rows = [self._info(row) for row in objects(told.get("invocationJobSummaries"))]
        return Page(rows, text(told.get("nextToken")) or None)

    async def cancel(self, id: str) -> BatchInfo:
        """Let a batch end."""
        await self._post(f"{_job(id)}/stop", b"{}")
        return await self.get(id)

    def results(self, batch: BatchInfo) -> AsyncGenerator[Outcome, None]:
        """Refused: they are files."""
        raise self.lacks("results", _IN_S3)

    async def _post(self, path: str, body: bytes) -> dict[str, Any]:
        async with self.http.post(path, body) as reply:
            data = await reply.read()
            return object_in(reply, data) if data.strip() else {}

    def _info(self, told: Json) -> BatchInfo:
        status, said = text(told.get("status")), text(told.get("message"))
        return BatchInfo(
            id=text(told.get("jobArn")),
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            total=number(told.get("totalRecordCount")),
            completed=number(told.get("successRecordCount")),
            failed=number(told.get("errorRecordCount")),
            created=seconds_in(told, "submitTime"),
            expires=seconds_in(told, "jobExpirationTime"),
            refusals=(Refusal(said or "the host did not say why"),) if status == "Failed" else (),
            raw=dict(told),
        )


def _job(id: str) -> str:
    return f"/model-invocation-job/{quote(id, safe='')}"


async def _get(http: Http, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    async with http.get(path, query) as reply:
        return object_in(reply, await reply.read())
