"""Fine-tuning jobs. What the host has said of one, and the models on its way, are inside of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.errors import BadRequest
from llmmw.plugin import Checkpoint, FineTuneEvent, FineTuneInfo, FineTunes, Page
from llmmw.wire import Http, dumps
from llmmw_mistral._cards import MistralModels
from llmmw_mistral._lists import ask, page_of
from llmmw_mistral._values import number_of, object_of, objects_of, seconds_of, text_of

__all__ = ["MistralFineTunes"]

_JOBS = "/fine_tuning/jobs"
_FAILED = {"FAILED", "FAILED_VALIDATION"}
_ENDED = _FAILED | {"SUCCESS", "CANCELLED"}


@attrs.frozen(kw_only=True)
class MistralFineTunes(FineTunes):
    """The verbs for fine-tunes; see `llmmw.plugin.FineTunes`.

    Args:
        http: the way to the host.
    """

    http: Http = attrs.field(repr=False)

    async def create(self, fields: Mapping[str, Any]) -> FineTuneInfo:
        """Begin one. With `auto_start=False` it waits behind its validation for `start`; fields
        of the host's own, as `training_files`, go before ours."""
        asked = {"hyperparameters": {}} | dict(fields)
        training, validation = asked.pop("training_file", ""), asked.pop("validation_file", "")
        if training:
            asked.setdefault("training_files", [{"file_id": training, "weight": 1}])
        if validation:
            asked.setdefault("validation_files", [validation])
        return self._info(await ask(self.http, "POST", _JOBS, dumps(asked)))

    async def get(self, id: str) -> FineTuneInfo:
        """How far it is."""
        return self._info(await self._job(id))

    async def list(self, after: str | None = None) -> Page[FineTuneInfo]:
        """One page of the account's fine-tunes, the newest first."""
        return await page_of(self.http, _JOBS, after, self._info)

    async def cancel(self, id: str) -> FineTuneInfo:
        """Have it stopped."""
        return self._info(await ask(self.http, "POST", f"{_place(id)}/cancel"))

    async def start(self, id: str) -> FineTuneInfo:
        """Have one go on that waits behind its validation."""
        return self._info(await ask(self.http, "POST", f"{_place(id)}/start"))

    async def delete(self, id: str) -> None:
        """Have the model deleted that it has made; the host keeps its own record of it."""
        made = (await self.get(id)).fine_tuned_model
        if not made:
            raise BadRequest(f"{id!r} has made no model, so there is nothing to delete")
        await MistralModels(name=self.name, http=self.http).delete(made)

    async def events(self, id: str, after: str | None = None) -> Page[FineTuneEvent]:
        """All that the host has said, on one page."""
        return Page([_event(row) for row in objects_of((await self._job(id)).get("events"))])

    async def checkpoints(self, id: str, after: str | None = None) -> Page[Checkpoint]:
        """All models on the way, on one page; they can't be asked."""
        rows = objects_of((await self._job(id)).get("checkpoints"))
        return Page([_checkpoint(row) for row in rows])

    async def _job(self, id: str) -> Mapping[str, Any]:
        return await ask(self.http, "GET", _place(id))

    def _info(self, told: Mapping[str, Any]) -> FineTuneInfo:
        status = text_of(told.get("status"))
        ended = status in _ENDED
        return FineTuneInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            status=status,
            ended=ended,
            succeeded=status == "SUCCESS",
            model=text_of(told.get("model")),
            fine_tuned_model=text_of(told.get("fine_tuned_model")) or None,
            training_file=_first(told.get("training_files")),
            validation_file=_first(told.get("validation_files")),
            created=seconds_of(told.get("created_at")),
            finished=seconds_of(told.get("modified_at")) if ended else None,
            hyperparameters=object_of(told.get("hyperparameters")),
            trained_tokens=number_of(told.get("trained_tokens")),
            failure=_failure(told) if status in _FAILED else "",
            raw=dict(told),
        )


def _place(id: str) -> str:
    return f"{_JOBS}/{quote(id, safe='')}"


def _first(told: Any) -> str:
    """The first of some files, which stand there by their ids."""
    one = told[0] if isinstance(told, list) and told else None
    return text_of(one) or text_of(object_of(one).get("file_id"))


def _event(row: Mapping[str, Any]) -> FineTuneEvent:
    data = object_of(row.get("data"))
    said = ", ".join(f"{name} {one}" for name, one in data.items() if one is not None)
    name = text_of(row.get("name"))
    return FineTuneEvent(
        message=f"{name}: {said}" if said else name,
        level="error" if data.get("error") else "",
        at=seconds_of(row.get("created_at")),
        raw=dict(row),
    )


def _failure(told: Mapping[str, Any]) -> str:
    """What the newest event says that tells of an error; else that it failed."""
    rows = [_event(row) for row in objects_of(told.get("events"))]
    errors = [row for row in rows if row.level == "error"]
    newest = max(errors, key=lambda row: row.at or 0, default=None)
    return newest.message if newest is not None else "the host does not say why"


def _checkpoint(row: Mapping[str, Any]) -> Checkpoint:
    step = number_of(row.get("step_number"))
    metrics = object_of(row.get("metrics"))
    return Checkpoint(
        id="" if step is None else str(step),
        step=step,
        metrics={name: one for name, one in metrics.items() if type(one) in (int, float)},
        created=seconds_of(row.get("created_at")),
        raw=dict(row),
    )
