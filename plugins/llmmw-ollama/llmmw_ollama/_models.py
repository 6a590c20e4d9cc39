"""The verbs for models: what is on the server, and what it fetches, makes and deletes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from llmmw.errors import NotFound, ProtocolError, StreamInterrupted
from llmmw.plugin import Hear, ModelInfo, Models, Page, Transfer
from llmmw.wire import Http, dumps
from llmmw_ollama._lines import Lines, object_in
from llmmw_ollama._values import number, object_of, seconds_of, text_of

__all__ = ["OllamaModels"]

Json = Mapping[str, Any]

_MOST_PROGRESS = 2**30
"""Bytes of progress: some lines a second, for as long as a large model takes."""


@attrs.frozen(kw_only=True)
class OllamaModels(Models):
    """The models of a server.

    Args:
        name: the provider's.
        http: the way to the host.
    """

    http: Http

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """All models on the server, in one page. Each answers when it is asked; the `status` of
        those that are in memory is `loaded`."""
        rows = _rows(await self._got("/api/tags"))
        try:
            running = _rows(await self._got("/api/ps"))
        except NotFound:  # not every host tells it
            running = []
        loaded = {_id(row): row for row in running}
        return Page([self._listed(row, loaded.get(_id(row))) for row in rows])

    def _listed(self, row: Json, running: Json | None) -> ModelInfo:
        return ModelInfo(
            id=_id(row),
            provider=self.name,
            name=text_of(row.get("name")),
            created=seconds_of(row.get("modified_at")),
            bytes=number(row.get("size")),
            input_limit=None if running is None else number(running.get("context_length")),
            status="" if running is None else "loaded",
            ready=True,
            raw=dict(row) if running is None else {**row, "running": dict(running)},
        )

    async def get(self, id: str) -> ModelInfo:
        """What the server knows of a model: its template, its parameters, what it can do."""
        async with self.http.post("/api/show", dumps({"model": id})) as reply:
            told = object_in(reply, await reply.read())
        facts = object_of(told.get("model_info"))
        limits = (one for key, one in facts.items() if key.endswith(".context_length"))
        return ModelInfo(
            id=id,
            provider=self.name,
            created=seconds_of(told.get("modified_at")),
            input_limit=number(next(limits, None)),
            ready=True,
            raw=dict(told),
        )

    async def create(self, id: str, fields: Json) -> ModelInfo:
        """Make a model of another (`from`, or `from_`, which Python takes for a name too), and
        wait until it is there. Without further fields that is a copy."""
        told = {name.removesuffix("_"): one for name, one in fields.items()}
        await self._follow("/api/create", {**told, "model": id}, lambda line: None)
        return await self.get(id)

    async def pull(self, id: str, hear: Hear) -> ModelInfo:
        """Have the server fetch a model, and wait until it has it. What is heard is the sum of
        the layers that it has begun with, so the total grows. Whoever leaves ends it, and the
        next pull goes on from there."""
        layers: dict[str, tuple[int, int]] = {}

        def line(told: Json) -> None:
            digest = text_of(told.get("digest"))
            total = number(told.get("total"))
            if digest and total is not None:
                layers[digest] = (number(told.get("completed")) or 0, total)
            done = sum(done for done, _ in layers.values())
            whole = sum(total for _, total in layers.values()) if layers else None
            hear(Transfer(done=done, total=whole, status=text_of(told.get("status"))))

        await self._follow("/api/pull", {"model": id}, line)
        return await self.get(id)

    async def delete(self, id: str) -> None:
        """Have a model deleted."""
        async with self.http.request("DELETE", "/api/delete", dumps({"model": id})) as reply:
            await reply.read()

    async def _got(self, path: str) -> Json:
        async with self.http.get(path) as reply:
            return object_in(reply, await reply.read())

    async def _follow(self, path: str, body: Json, line: Callable[[Json], None]) -> None:
        """Have something done that takes long, and hear of it until it is done.

        Raises:
            LLMError: what the host says in a line, or if it stops before the end.
        """
        asked = dumps({**body, "stream": True})
        async with self.http.post(path, asked, stream=True) as reply:
            lines = Lines(reply, _MOST_PROGRESS)
            while found := await lines.next():
                for one in found:
                    told = object_in(reply, one)
                    line(told)
                    if told.get("status") == "success":
                        await reply.drain()
                        return
        raise StreamInterrupted("the host stopped before it was done")


def _rows(told: Json) -> list[Json]:
    rows = told.get("models", {})
    if rows is None:  # older servers say so that there are none
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProtocolError("the host sent no list of models")
    return rows


def _id(row: Json) -> str:
    return text_of(row.get("model")) or text_of(row.get("name"))
