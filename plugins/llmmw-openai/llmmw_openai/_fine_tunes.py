"""Fine-tuning jobs, what they say, and the models on their way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import Checkpoint, FineTuneEvent, FineTuneInfo, FineTunes, Page
from llmmw.wire import Http, Reply, dumps, loads
from llmmw_openai._files import page_of, seconds_in, whole_in
from llmmw_openai._reading import object_in

__all__ = ["OpenAIFineTunes"]

_ENDED = {"succeeded", "failed", "cancelled"}
_JOBS = "/fine_tuning/jobs"


@attrs.frozen(kw_only=True)
class OpenAIFineTunes(FineTunes):
    """The verbs for fine-tunes; see `llmmw.plugin.FineTunes`."""

    http: Http = attrs.field(repr=False)

    async def create(self, fields: Mapping[str, Any]) -> FineTuneInfo:
        """Begin a job; `hyperparameters` go as they are."""
        async with self.http.post(_JOBS, dumps(dict(fields))) as reply:
            return self._info(_job_in(reply, await reply.read()))

    async def get(self, id: str) -> FineTuneInfo:
        """How far a job is."""
        async with self.http.get(_path(id)) as reply:
            return self._info(_job_in(reply, await reply.read()))

    async def list(self, after: str | None = None) -> Page[FineTuneInfo]:
        """Jobs, the newest first."""
        return await page_of(self.http, _JOBS, after, self._info)

    async def cancel(self, id: str) -> FineTuneInfo:
        """Have a job stopped."""
        async with self.http.post(_path(id, "/cancel"), b"{}") as reply:
            return self._info(_job_in(reply, await reply.read()))

    async def events(self, id: str, after: str | None = None) -> Page[FineTuneEvent]:
        """What the host has said, the last first."""
        return await page_of(self.http, _path(id, "/events"), after, _event)

    async def checkpoints(self, id: str, after: str | None = None) -> Page[Checkpoint]:
        """The models on the way; those of the last epochs are kept."""
        return await page_of(self.http, _path(id, "/checkpoints"), after, _checkpoint)

    def _info(self, told: Mapping[str, Any]) -> FineTuneInfo:
        status = str(told.get("status") or "")
        error = told.get("error")
        failure = error.get("message") if isinstance(error, Mapping) else error
        made = told.get("fine_tuned_model")
        return FineTuneInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            succeeded=status == "succeeded",
            model=str(told.get("model") or ""),
            fine_tuned_model=made if isinstance(made, str) else None,
            training_file=str(told.get("training_file") or ""),
            validation_file=str(told.get("validation_file") or ""),
            created=seconds_in(told, "created_at"),
            finished=seconds_in(told, "finished_at"),
            hyperparameters=_object(told.get("hyperparameters")),
            trained_tokens=whole_in(told, "trained_tokens"),
            failure=str(failure) if failure and status == "failed" else "",
            raw=dict(told),
        )


def _job_in(reply: Reply, data: bytes) -> Mapping[str, Any]:
    """A job; it may hold an `error`, why it failed, which is none of the request."""
    told = loads(data)
    return told if isinstance(told, dict) and told.get("id") else object_in(reply, data)


def _path(id: str, tail: str = "") -> str:
    return f"{_JOBS}/{quote(id, safe='')}{tail}"


def _object(told: Any) -> Mapping[str, Any]:
    return dict(told) if isinstance(told, Mapping) else {}


def _event(told: Mapping[str, Any]) -> FineTuneEvent:
    return FineTuneEvent(
        id=str(told.get("id") or ""),
        message=str(told.get("message") or ""),
        level=str(told.get("level") or ""),
        at=seconds_in(told, "created_at"),
        raw=dict(told),
    )


def _checkpoint(told: Mapping[str, Any]) -> Checkpoint:
    numbers = {
        name: float(one)
        for name, one in _object(told.get("metrics")).items()
        if type(one) in {int, float}
    }
    return Checkpoint(
        id=str(told.get("id") or ""),
        model=str(told.get("fine_tuned_model_checkpoint") or ""),
        step=whole_in(told, "step_number"),
        metrics=numbers,
        created=seconds_in(told, "created_at"),
        raw=dict(told),
    )
