"""Models of the host, and those that it trains further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.plugin import (
    Checkpoint,
    FineTuneEvent,
    FineTuneInfo,
    FineTunes,
    ModelInfo,
    Models,
    Page,
)
from llmmw.wire import Http, dumps
from llmmw_cohere._pages import page_of, place_of, thing_in
from llmmw_cohere._values import number, own, real, seconds, text

__all__ = ["CohereFineTunes", "CohereModels"]

Json = Mapping[str, Any]

_PATH = "/v1/finetuning/finetuned-models"
_TRAINED = ("READY", "PAUSED", "TEMPORARILY_OFFLINE")
"""It answers, or would once it is awake."""
_ENDED = (*_TRAINED, "FAILED", "DELETED")
_SUFFIX = "-ft"
"""What the name of a trained model has behind its id."""


@attrs.frozen(kw_only=True)
class CohereModels(Models):
    """The verbs for models; see `llmmw.plugin.Models`. Only fine-tunes are changed or deleted."""

    http: Http = attrs.field(repr=False)

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """Models, a page of them."""
        return await page_of(self.http, "/v1/models", "models", after, self._info)

    async def get(self, id: str) -> ModelInfo:
        """What is known of a model."""
        async with self.http.get(place_of("/v1/models", id)) as reply:
            return self._info(await thing_in(reply, id="name"))

    async def update(self, id: str, fields: Json) -> ModelInfo:
        """Change the `name` or the `settings` of a fine-tuned model."""
        async with self.http.request("PATCH", _place(id), dumps(dict(fields))) as reply:
            told = await thing_in(reply, "finetuned_model")
        status = text(told.get("status")).removeprefix("STATUS_")
        return ModelInfo(
            id=id,
            provider=self.name,
            name=text(told.get("name")),
            owner=text(told.get("creator_id")),
            created=seconds(told.get("created_at")),
            status=status,
            ready=status == "READY" if status else None,
            failed=status == "FAILED",
            raw=dict(told),
        )

    async def delete(self, id: str) -> None:
        """Have a fine-tuned model deleted."""
        await _delete(self.http, id)

    def _info(self, told: Json) -> ModelInfo:
        return ModelInfo(
            id=text(told.get("name")),
            provider=self.name,
            input_limit=number(told.get("context_length")) or None,
            status="deprecated" if told.get("is_deprecated") is True else "",
            raw=dict(told),
        )


@attrs.frozen(kw_only=True)
class CohereFineTunes(FineTunes):
    """The verbs for fine-tunes; see `llmmw.plugin.FineTunes`. What was measured at a step stands
    for a checkpoint: the host keeps no models on the way."""

    http: Http = attrs.field(repr=False)

    async def create(self, fields: Json) -> FineTuneInfo:
        """Begin one.

        Args:
            fields: `training_file`, a dataset; `model`, as `BASE_TYPE_CHAT` or the name of a model
                to chat with; `hyperparameters`; `suffix`, its name; and `settings`, merged last.
        """
        async with self.http.post(_PATH, dumps(_tune_of(fields))) as reply:
            return self._info(await thing_in(reply, "finetuned_model"))

    async def get(self, id: str) -> FineTuneInfo:
        """How far it is."""
        async with self.http.get(_place(id)) as reply:
            return self._info(await thing_in(reply, "finetuned_model"))

    async def list(self, after: str | None = None) -> Page[FineTuneInfo]:
        """Fine-tunes, a page of them."""
        return await page_of(self.http, _PATH, "finetuned_models", after, self._info)

    async def cancel(self, id: str) -> FineTuneInfo:
        """Refused: the host has no such verb."""
        raise self.lacks("cancel", "delete it")

    async def delete(self, id: str) -> None:
        """Have it, and the model that it has made, deleted."""
        await _delete(self.http, id)

    async def events(self, id: str, after: str | None = None) -> Page[FineTuneEvent]:
        """Each change of its status."""
        return await page_of(self.http, f"{_place(id)}/events", "events", after, _event)

    async def checkpoints(self, id: str, after: str | None = None) -> Page[Checkpoint]:
        """What was measured at its steps."""
        path = f"{_place(id)}/training-step-metrics"
        return await page_of(self.http, path, "step_metrics", after, _checkpoint)

    def _info(self, told: Json) -> FineTuneInfo:
        settings = own(told.get("settings"))
        base = own(settings.get("base_model"))
        status = text(told.get("status")).removeprefix("STATUS_")
        id_ = text(told.get("id"))
        trained = status in _TRAINED
        return FineTuneInfo(
            id=id_,
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            succeeded=trained,
            model=text(base.get("name")) or text(base.get("base_type")),
            fine_tuned_model=f"{id_}{_SUFFIX}" if trained and id_ else None,
            training_file=text(settings.get("dataset_id")),
            created=seconds(told.get("created_at")),
            finished=seconds(told.get("completed_at")),
            hyperparameters=dict(own(settings.get("hyperparameters"))),
            raw=dict(told),
        )


def _place(id: str) -> str:
    return place_of(_PATH, id.removesuffix(_SUFFIX))


async def _delete(http: Http, id: str) -> None:
    async with http.delete(_place(id)) as reply:
        await reply.drain()


def _tune_of(fields: Json) -> dict[str, Any]:
    """The host's form of what is asked.

    Raises:
        BadRequest: without a dataset to train on, or with numbers or settings that are no object.
        UnsupportedFeature: for what has no place there.
    """
    told = dict(fields)
    model, dataset = text(told.pop("model", "")), text(told.pop("training_file", ""))
    name = text(told.pop("suffix", "")) or text(told.get("name")) or "llmmw"
    given, numbers = _object(told, "settings"), _object(told, "hyperparameters")
    lost = [one for one in ("validation_file", "metadata") if told.pop(one, None)]
    if lost:
        raise UnsupportedFeature(
            f"a fine-tune here takes no {lost[0]}: a dataset holds what it is checked with, and "
            "keeps no labels"
        )
    if not dataset and not given.get("dataset_id"):
        raise BadRequest("a fine-tune needs a training_file: the id of a dataset")
    kind = {"base_type": model} if model.startswith("BASE_TYPE_") else {"name": model}
    settings: dict[str, Any] = {"base_model": {"base_type": "BASE_TYPE_CHAT"} | kind}
    settings |= {"dataset_id": dataset} if dataset else {}
    if numbers:
        given["hyperparameters"] = numbers | _object(given, "hyperparameters")
    return {**told, "name": name, "settings": settings | given}


def _object(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.pop(name, None)
    if not isinstance(found, Mapping | None):
        raise BadRequest(f"{name}={found!r}: expected an object")
    return dict(found or {})


def _event(told: Json) -> FineTuneEvent:
    return FineTuneEvent(
        message=text(told.get("status")).removeprefix("STATUS_"),
        at=seconds(told.get("created_at")),
        raw=dict(told),
    )


def _checkpoint(told: Json) -> Checkpoint:
    step = number(told.get("step_number"))
    measured = ((name, real(one)) for name, one in own(told.get("metrics")).items())
    return Checkpoint(
        id="" if step is None else str(step),
        step=step,
        metrics={name: one for name, one in measured if one is not None},
        created=seconds(told.get("created_at")),
        raw=dict(told),
    )
