"""The models that a host serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import ModelInfo, Models, Page
from llmmw.wire import Http
from llmmw_openai._files import page_of, seconds_in, whole_in
from llmmw_openai._reading import object_in

__all__ = ["OpenAIModels"]

_INPUT = ("context_length", "context_window", "max_model_len", "max_context_length")
"""How hosts name the tokens of a prompt: OpenRouter and Together, Groq, vLLM, others."""
_OUTPUT = ("max_completion_tokens", "max_output_tokens")


@attrs.frozen(kw_only=True)
class OpenAIModels(Models):
    """The verbs for models; see `llmmw.plugin.Models`."""

    http: Http = attrs.field(repr=False)

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """Most hosts have one page of them."""
        return await page_of(self.http, "/models", after, self._info, {})

    async def get(self, id: str) -> ModelInfo:
        """What is known of a model. The names of some hosts have slashes, which stay."""
        async with self.http.get(f"/models/{quote(id, safe='/')}") as reply:
            return self._info(object_in(reply, await reply.read()))

    async def delete(self, id: str) -> None:
        """Have a fine-tuned model deleted."""
        async with self.http.delete(f"/models/{quote(id, safe='/')}") as reply:
            await reply.drain()

    def _info(self, told: Mapping[str, Any]) -> ModelInfo:
        return ModelInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            name=str(told.get("name") or told.get("display_name") or ""),
            owner=str(told.get("owned_by") or ""),
            created=seconds_in(told, "created"),
            input_limit=_whole(told, _INPUT),
            output_limit=_whole(told, _OUTPUT),
            raw=dict(told),
        )


def _whole(told: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    found = (whole_in(told, name) for name in names)
    return next((one for one in found if one is not None), None)
