"""Models that the account may ask, and those that it has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import ModelInfo, Models, Page
from llmmw.wire import Http, dumps
from llmmw_mistral._lists import ask, remove
from llmmw_mistral._values import number_of, objects_of, seconds_of, text_of

__all__ = ["MistralModels"]


@attrs.frozen(kw_only=True)
class MistralModels(Models):
    """The verbs for models; see `llmmw.plugin.Models`.

    Args:
        http: the way to the host.
    """

    http: Http = attrs.field(repr=False)

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """All models, on one page."""
        told = await ask(self.http, "GET", "/models")
        return Page([self._info(row) for row in objects_of(told.get("data"))])

    async def get(self, id: str) -> ModelInfo:
        """What is known of a model."""
        return self._info(await ask(self.http, "GET", f"/models/{quote(id, safe='')}"))

    async def update(self, id: str, fields: Mapping[str, Any]) -> ModelInfo:
        """Change a model that was fine-tuned: its `name` and `description`, and whether it is
        `archived`, when it does not answer."""
        path = f"/fine_tuning/models/{quote(id, safe='')}"
        told = {name: one for name, one in fields.items() if name != "archived"}
        if told or not fields:
            await ask(self.http, "PATCH", path, dumps(told))
        if "archived" in fields:
            method = "POST" if fields["archived"] else "DELETE"
            await ask(self.http, method, f"{path}/archive")
        return await self.get(id)

    async def delete(self, id: str) -> None:
        """Have a model deleted that was fine-tuned."""
        await remove(self.http, f"/models/{quote(id, safe='')}")

    def _info(self, told: Mapping[str, Any]) -> ModelInfo:
        archived = told.get("archived") is True
        return ModelInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            name=text_of(told.get("name")),
            owner=text_of(told.get("owned_by")),
            created=seconds_of(told.get("created")),
            input_limit=number_of(told.get("max_context_length")),
            status="archived" if archived else "",
            ready=not archived,
            raw=dict(told),
        )
