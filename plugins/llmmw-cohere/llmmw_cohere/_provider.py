"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

import attrs

from llmmw import (
    Call,
    CountTokens,
    Detokenize,
    Detokenized,
    Embed,
    Embeddings,
    Generate,
    Price,
    Request,
    Response,
    Score,
    Scores,
    TokenCount,
    Tokenize,
    Tokens,
)
from llmmw.errors import BadRequest, LLMError, ProtocolError, UnsupportedFeature
from llmmw.plugin import Capabilities, Host, ResponseBuilder
from llmmw.wire import Http, HttpProvider, Key, KeyOption, Losses, Reply, Secret, dumps, guarded
from llmmw_cohere._answer import Answer
from llmmw_cohere._asking import Asking, note_warnings
from llmmw_cohere._batches import CohereBatches
from llmmw_cohere._datasets import CohereFiles
from llmmw_cohere._errors import ROWS
from llmmw_cohere._fine_tunes import CohereFineTunes, CohereModels
from llmmw_cohere._models import model_of
from llmmw_cohere._ranking import MOST_DOCUMENTS, rank_body, scores_of
from llmmw_cohere._reading import read_chat
from llmmw_cohere._request import body_of, with_extra
from llmmw_cohere._tokens import MOST_SIGNS, pieces_of, prompt_of, tokens_of
from llmmw_cohere._values import NAME
from llmmw_cohere._vectors import MOST_INPUTS, embed_body, vectors_of

__all__ = ["Cohere"]

Json = Mapping[str, Any]

_ADDRESS = "https://api.cohere.com"
_KEYS = ("CO_API_KEY", "COHERE_API_KEY")


def _root(address: str) -> str:
    """An address without the version of the API, which each path says itself."""
    base, mark, query = address.partition("?")
    return re.sub("/v[12]/?$", "", base.rstrip("/")) + mark + query


@attrs.define(eq=False, kw_only=True)
class Cohere(HttpProvider):
    """Cohere, and hosts that speak its wire.

    Args:
        name: the part of a target before its colon.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it, asked again
            when the host refuses what it gave. Default: CO_API_KEY, else COHERE_API_KEY.
        base_url: where the host is, without `/v2`. Default: CO_API_URL, else
            https://api.cohere.com.
        headers: further headers of each request, such as `X-Client-Name`.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    api_key: KeyOption = attrs.field(default=None, repr=False)
    base_url: str | None = None
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)
    _host: Host | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        key = Key(self.api_key, _KEYS)
        self.api_key = key.source
        self.headers = guarded(self.headers)
        agent = {"User-Agent": f"llmmw-cohere/{version('llmmw-cohere')}"}
        self._http = Http(
            base_url=_root(self.base_url or os.environ.get("CO_API_URL") or _ADDRESS),
            key=key,
            headers=agent | self.headers,
            rows=ROWS,
            client=self.http,
        )

    def capabilities(self, model: str) -> Capabilities:
        """What the model's row says."""
        return model_of(model).capabilities()

    @property
    def models(self) -> CohereModels:
        """The verbs for models."""
        return CohereModels(name=self.name, http=self._http)

    @property
    def files(self) -> CohereFiles:
        """The verbs for files, which are datasets here."""
        return CohereFiles(name=self.name, http=self._http)

    @property
    def fine_tunes(self) -> CohereFineTunes:
        """The verbs for fine-tunes."""
        return CohereFineTunes(name=self.name, http=self._http)

    @property
    def batches(self) -> CohereBatches:
        """The verbs for batches."""
        return CohereBatches(name=self.name, http=self._http)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Keeps the connections until the client closes."""
        self._host = host
        async with self._http.open():
            yield

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, Embed):
            return await self._embed(call, request)
        if isinstance(request, Score):
            return await self._score(call, request)
        if isinstance(request, CountTokens):
            return await self._count(call, request)
        if isinstance(request, Tokenize):
            return await self._tokenize(call, request)
        if isinstance(request, Detokenize):
            return await self._detokenize(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        return tuple(dict.fromkeys((NAME, self.name)))

    async def _generate(self, call: Call, request: Generate) -> Response:
        stream = call.listener is not None
        losses = Losses(request, self.name)
        model = model_of(request.model_name)
        body = body_of(request, model, losses, stream=stream, extra=self._names)
        builder = ResponseBuilder(call, self.name, request.model_name)
        answer = Answer(builder, self._price(request))
        try:
            async with self._post(call, "/v2/chat", body, stream=stream) as reply:
                await read_chat(reply, answer)
                note_warnings(reply, None, losses)
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
        asking = self._asking(call)
        model = model_of(request.model_name)
        vectors: list[list[float]] = []
        raw: list[Json] = []
        for begin in range(0, len(request.inputs), MOST_INPUTS):
            inputs = request.inputs[begin : begin + MOST_INPUTS]
            body = embed_body(request, inputs, model, asking.losses, extra=self._names)
            told = await asking.ask("/v2/embed", body)
            vectors += vectors_of(told, body)
            raw += [] if body["embedding_types"] == ["float"] else [told]  # has other types too
        return Embeddings(vectors=vectors, raw=raw or None, **asking.fields)

    async def _score(self, call: Call, request: Score) -> Response:
        asking = self._asking(call)
        scores: list[float] = []
        for begin in range(0, len(request.options), MOST_DOCUMENTS):
            documents = request.options[begin : begin + MOST_DOCUMENTS]
            told = await asking.ask("/v2/rerank", rank_body(request, documents, extra=self._names))
            scores += scores_of(told, len(documents))
        return Scores(scores=scores, **asking.fields)

    async def _count(self, call: Call, request: CountTokens) -> Response:
        asking = self._asking(call)
        tokens = 0
        for piece in pieces_of(prompt_of(request, asking.losses)):
            told = await asking.ask("/v1/tokenize", self._body(request, text=piece))
            tokens += len(tokens_of(told))
        return TokenCount(tokens=tokens, **asking.fields)

    async def _tokenize(self, call: Call, request: Tokenize) -> Response:
        asking = self._asking(call)
        if len(request.text) > MOST_SIGNS:
            raise BadRequest(
                f"the text has {len(request.text)} characters, and {self.name} takes {MOST_SIGNS}: "
                "cut it into several"
            )
        if not request.text:  # which the host refuses
            return Tokens(tokens=(), **asking.fields)
        told = await asking.ask("/v1/tokenize", self._body(request, text=request.text))
        return Tokens(tokens=tokens_of(told), raw=told, **asking.fields)

    async def _detokenize(self, call: Call, request: Detokenize) -> Response:
        asking = self._asking(call)
        if not request.tokens:
            return Detokenized(text="", **asking.fields)
        body = self._body(request, tokens=list(request.tokens))
        told = await asking.ask("/v1/detokenize", body)
        if not isinstance(told.get("text"), str):
            raise ProtocolError("the host sent no text for the tokens")
        return Detokenized(text=told["text"], **asking.fields)

    def _asking(self, call: Call) -> Asking:
        losses = Losses(call.request, self.name)
        return Asking(losses, functools.partial(self._post, call), self._price(call.request))

    def _price(self, request: Request) -> Price | None:
        return None if self._host is None else self._host.price(request.model)

    def _body(self, request: Request, **fields: object) -> Json:
        return with_extra({"model": request.model_name, **fields}, request, self._names)

    def _post(
        self, call: Call, path: str, body: Json, *, stream: bool = False
    ) -> AbstractAsyncContextManager[Reply]:
        """Send a body to an API of the host."""
        return self._http.post(
            path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
        )
