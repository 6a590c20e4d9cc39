"""Models of the host, and those that it trains further."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

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
from llmmw_cohere._values import number, object_in, objects, own, seconds, text

__all__ = ["CohereFineTunes", "CohereModels", "page_of"]

T = TypeVar("T")
Json = Mapping[str, Any]

_PATH = "/v1/finetuning/finetuned-models"
_PAGE = "100"
_TRAINED = ("READY", "PAUSED", "TEMPORARILY_OFFLINE")
"""It answers, or would once it is awake."""
_ENDED = (*_TRAINED, "FAILED", "DELETED")
_SUFFIX = "-ft"
"""What the name of a trained model has behind its id."""


async def page_of(
    http: Http, path: str, field: str, after: str | None, row: Callable[[Json], T]
) -> Page[T]:
    """A page of a list.

    Args:
        http: the way to the host.
        path: of the list.
        field: what the rows are called.
        after: what the page before has told.
        row: makes a row.
    """
    query = {"page_size": _PAGE} | ({} if after is None else {"page_token": after})
    async with http.get(path, query) as reply:
        told = object_in(reply, await reply.read())
    rows = [row(one) for one in objects(told.get(field))]
    return Page(rows, text(told.get("next_page_token")) or None)


@attrs.frozen(kw_only=True)
class CohereModels(Models):
    """The verbs for models; see `llmmw.plugin.Models`. Only fine-tunes are changed or deleted."""

    http: Http = attrs.field(repr=False)

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """Models, a page of them."""
        return await page_of(self.http, "/v1/models", "models", after, self._info)

    async def get(self, id: str) -> ModelInfo:
        """What is known of a model."""
        async with self.http.get(f"/v1/models/{quote(id, safe='')}") as reply:
            return self._info(object_in(reply, await reply.read()))

    async def update(self, id: str, fields: Json) -> ModelInfo:
        """Change the `name` or the `settings` of a fine-tuned model."""
        tune = id.removesuffix(_SUFFIX)
        path = f"{_PATH}/{quote(tune, safe='')}"
        async with self.http.request("PATCH", path, dumps(dict(fields))) as reply:
            told = own(object_in(reply, await reply.read()).get("finetuned_model"))
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
            return self._info(object_in(reply, await reply.read()).get("finetuned_model"))

    async def get(self, id: str) -> FineTuneInfo:
        """How far it is."""
        async with self.http.get(_place(id)) as reply:
            return self._info(object_in(reply, await reply.read()).get("finetuned_model"))

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

    def _info(self, told: Any) -> FineTuneInfo:
        found = own(told)
        settings = own(found.get("settings"))
        base = own(settings.get("base_model"))
        status = text(found.get("status")).removeprefix("STATUS_")
        id_ = text(found.get("id"))
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
            created=seconds(found.get("created_at")),
            finished=seconds(found.get("completed_at")),
            hyperparameters=dict(own(settings.get("hyperparameters"))),
            raw=dict(found),
        )


def _place(id: str) -> str:
    return f"{_PATH}/{quote(id.removesuffix(_SUFFIX), safe='')}"


async def _delete(http: Http, id: str) -> None:
    async with http.delete(_place(id)) as reply:
        await reply.drain()


def _tune_of(fields: Json) -> dict[str, Any]:
    """The host's form of what is asked.

    Raises:
        BadRequest: without a dataset to train on.
        UnsupportedFeature: for what has no place there.
    """
    told = dict(fields)
    model, dataset = text(told.pop("model", "")), text(told.pop("training_file", ""))
    name = text(told.pop("suffix", "")) or text(told.get("name")) or "llmmw"
    given, numbers = own(told.pop("settings", None)), told.pop("hyperparameters", None)
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
    settings |= {"hyperparameters": dict(numbers)} if isinstance(numbers, Mapping) else {}
    return {**told, "name": name, "settings": settings | dict(given)}


def _event(told: Json) -> FineTuneEvent:
    return FineTuneEvent(
        message=text(told.get("status")).removeprefix("STATUS_"),
        at=seconds(told.get("created_at")),
        raw=dict(told),
    )


def _checkpoint(told: Json) -> Checkpoint:
    step = number(told.get("step_number"))
    measured = own(told.get("metrics")).items()
    return Checkpoint(
        id="" if step is None else str(step),
        step=step,
        metrics={name: float(one) for name, one in measured if type(one) in {int, float}},
        created=seconds(told.get("created_at")),
        raw=dict(told),
    )
