"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any

import attrs

from llmmw import Call, Embed, Generate, Response
from llmmw.errors import ConfigError, LLMError, UnsupportedFeature
from llmmw.plugin import Capabilities, ResponseBuilder, honour
from llmmw.wire import Http, HttpProvider, Key, KeyOption, Losses, Reply, Secret, dumps, guarded
from llmmw_mistral._answer import Answer
from llmmw_mistral._batches import MistralBatches
from llmmw_mistral._cards import MistralModels
from llmmw_mistral._chat import read_chat
from llmmw_mistral._errors import ROWS
from llmmw_mistral._files import MistralFiles
from llmmw_mistral._fine_tunes import MistralFineTunes
from llmmw_mistral._models import TEXT_PARAMETERS, model_of
from llmmw_mistral._request import begun_in, body_of, embed_body
from llmmw_mistral._values import NAME, number_of
from llmmw_mistral._vectors import embed

__all__ = ["Mistral"]

Json = Mapping[str, Any]

_ADDRESS = "https://api.mistral.ai"
_VARIABLE = "MISTRAL_API_KEY"


@attrs.define(eq=False, kw_only=True)
class Mistral(HttpProvider):
    """Mistral AI, and hosts that speak its wire.

    Args:
        name: the part of a target before its colon.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it, asked again
            when the host refuses what it gave. Default: MISTRAL_API_KEY.
        base_url: where the host is; `/v1` may be left out. Default: MISTRAL_BASE_URL, else
            https://api.mistral.ai.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    api_key: KeyOption = attrs.field(default=None, repr=False)
    base_url: str | None = None
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        key = Key(self.api_key, (_VARIABLE,))
        self.api_key = key.source
        self.headers = guarded(self.headers)
        agent = {"User-Agent": f"llmmw-mistral/{version('llmmw-mistral')}"}
        if not isinstance(self.base_url, str | None):
            raise ConfigError(f"base_url={self.base_url!r}: expected an address, as {_ADDRESS}")
        address = self.base_url or os.environ.get("MISTRAL_BASE_URL") or _ADDRESS
        self._http = Http(
            base_url=_versioned(address),
            key=key,
            headers=agent | self.headers,
            rows=ROWS,
            client=self.http,
        )

    def capabilities(self, model: str) -> Capabilities:
        """What the model's row says."""
        return model_of(model).capabilities()

    @property
    def models(self) -> MistralModels:
        """The verbs for models."""
        return MistralModels(name=self.name, http=self._http)

    @property
    def files(self) -> MistralFiles:
        """The verbs for files."""
        return MistralFiles(name=self.name, http=self._http)

    @property
    def fine_tunes(self) -> MistralFineTunes:
        """The verbs for fine-tunes."""
        return MistralFineTunes(name=self.name, http=self._http)

    @property
    def batches(self) -> MistralBatches:
        """The verbs for batches."""
        return MistralBatches(name=self.name, http=self._http)

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, Embed):
            return await self._embed(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        return tuple(dict.fromkeys((NAME, self.name)))

    async def _generate(self, call: Call, request: Generate) -> Response:
        losses = Losses(request, self.name)
        path = "/chat/completions"
        if request.prompt is not None:
            path = "/fim/completions"
            can = Capabilities(parameters=TEXT_PARAMETERS)
            asked, warnings = honour(request, can, f"{request.model} with a prompt")
            assert isinstance(asked, Generate)
            request = asked
            losses.warnings += warnings
        stream = call.listener is not None
        row = model_of(request.model_name)
        body = body_of(request, row, losses, stream=stream, extra=self._names)
        builder = ResponseBuilder(call, self.name, request.model_name)
        answer = Answer(builder, number_of(body.get("n")) or 1, begun_in(body))
        try:
            async with self._post(call, path, body, stream=stream) as reply:
                await read_chat(reply, answer)
                return await answer.finish(
                    http=reply.info,
                    request_id=reply.request_id,
                    warnings=tuple(losses.warnings),
                )
        except LLMError as error:
            if error.partial is None and builder.fold.anything:
                error.partial = builder.fold.response()
            raise

    async def _embed(self, call: Call, request: Embed) -> Response:
        losses = Losses(request, self.name)

        def post(inputs: Sequence[str]) -> AbstractAsyncContextManager[Reply]:
            body = embed_body(request, inputs, losses, extra=self._names)
            return self._post(call, "/embeddings", body)

        told = await embed(request, post)
        return told.replace(provider=self.name, warnings=tuple(losses.warnings))

    def _post(
        self, call: Call, path: str, body: Json, *, stream: bool = False
    ) -> AbstractAsyncContextManager[Reply]:
        return self._http.post(
            path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
        )


def _versioned(address: str) -> str:
    """The address with the version of the API, which many leave out."""
    base, mark, query = address.partition("?")
    base = base.rstrip("/")
    return base + ("" if base.endswith("/v1") else "/v1") + mark + query
