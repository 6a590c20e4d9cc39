"""Models: endpoints that the engine serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from llmmw.errors import BadRequest, ServerError
from llmmw.plugin import ModelInfo, Models, Page, Pieces
from llmmw.wire import Http, dumps
from llmmw_llm_engine._address import in_path
from llmmw_llm_engine._outputs import bare
from llmmw_llm_engine._told import id_in, object_of, rows_in, text_of, told_in

__all__ = ["EngineModels"]

Json = Mapping[str, Any]

_PATH = "/v1/llm/model-endpoints"
_READY = "READY"
_FAILED = frozenset({"UPDATE_FAILED", "DELETE_IN_PROGRESS"})
_NEEDED = ("model_name", "inference_framework_image_tag")
_DEFAULTS: Json = {
    "source": "hugging_face",
    "inference_framework": "vllm",
    "num_shards": 1,
    "endpoint_type": "streaming",
    "min_workers": 0,
    "max_workers": 1,
    "per_worker": 2,
    "nodes_per_worker": 1,
    "high_priority": False,
    "public_inference": True,
    "post_inference_hooks": None,
    "default_callback_url": None,
    "labels": {},
    "metadata": {},
}
"""What the host wants to be told of each endpoint, as its own client tells it. The hardware it
finds by itself."""


@attrs.frozen(kw_only=True)
class EngineModels(Models):
    """The verbs for model endpoints; see `llmmw.plugin.Models`.

    Args:
        http: the way to the host.
        hosted: whether it is Scale's own, where callers make no endpoints.
    """

    http: Http = attrs.field(repr=False)
    hosted: bool

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """All endpoints of the account, and the public ones: the host has one page."""
        async with self.http.get(_PATH) as reply:
            told = await told_in(reply)
        return Page([self._info(row) for row in rows_in(told, "model_endpoints")])

    async def get(self, id: str) -> ModelInfo:
        """What is known of an endpoint, by its name."""
        async with self.http.get(f"{_PATH}/{in_path(id)}") as reply:
            return self._info(await told_in(reply))

    async def create(self, id: str, fields: Json) -> ModelInfo:
        """Have a model served; of `fields`, `model_name` (or `model`) and
        `inference_framework_image_tag` are needed. It is ready some minutes later."""
        self._check_own("create")
        given = dict(fields)
        if "model" in given:
            given["model_name"] = given.pop("model")
        missing = [name for name in _NEEDED if not given.get(name)]
        if missing:
            raise BadRequest(f"an endpoint needs {' and '.join(missing)}")
        async with self.http.post(_PATH, dumps({**_DEFAULTS, **given, "name": id})) as reply:
            return self._begun(id, await told_in(reply))

    async def update(self, id: str, fields: Json) -> ModelInfo:
        """Change an endpoint: what `fields` say, and nothing else."""
        self._check_own("update")
        if "nodes_per_worker" in fields:
            raise BadRequest("nodes_per_worker of an endpoint can't be changed: make a new one")
        given = dict(fields)
        if "model" in given:
            given["model_name"] = given.pop("model")
        path = f"{_PATH}/{in_path(id)}"
        async with self.http.request("PUT", path, dumps(given)) as reply:
            return self._begun(id, await told_in(reply))

    async def delete(self, id: str) -> None:
        """Have an endpoint deleted."""
        async with self.http.delete(f"{_PATH}/{in_path(id)}") as reply:
            told = await told_in(reply)
        if told.get("deleted") is False:
            raise ServerError(f"the host did not delete the endpoint {id}")

    async def links(self, id: str, fields: Json) -> Mapping[str, str]:
        """From where each file of a fine-tuned model can be fetched, for an hour. `fields` may have
        `download_format`; default: `hugging_face`."""
        asked = {"download_format": "hugging_face", **fields, "model_name": id}
        async with self.http.post(f"{_PATH}/download", dumps(asked)) as reply:
            told = await told_in(reply)
        return {name: text_of(url) for name, url in object_of(told.get("urls")).items()}

    @asynccontextmanager
    async def fetch(self, link: str) -> AsyncIterator[Pieces]:
        """What one of these links leads to."""
        async with bare(link, self.http.client) as pieces:
            yield pieces

    def _check_own(self, verb: str) -> None:
        if self.hosted:
            raise self.lacks(verb, "only at a server of your own, which base_url names")

    def _begun(self, id: str, told: Json) -> ModelInfo:
        return ModelInfo(id=id, provider=self.name, ready=False, raw=dict(told))

    def _info(self, told: Json) -> ModelInfo:
        status = text_of(told.get("status"))
        spec = object_of(told.get("spec"))
        return ModelInfo(
            id=id_in(told, "name"),
            provider=self.name,
            name=text_of(told.get("model_name")),
            owner=text_of(spec.get("created_by")),
            status=status,
            ready=status == _READY if status else None,
            failed=status in _FAILED,
            raw=dict(told),
        )
