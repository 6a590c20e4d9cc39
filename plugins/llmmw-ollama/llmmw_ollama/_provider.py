"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import attrs

from llmmw import Call, Embed, Embeddings, Generate, Price, Response
from llmmw.errors import ConfigError, LLMError, ProtocolError, StreamInterrupted, UnsupportedFeature
from llmmw.plugin import Capabilities, ResponseBuilder
from llmmw.wire import (
    Http,
    HttpProvider,
    Key,
    KeyOption,
    Losses,
    NDJSONDecoder,
    Reply,
    Secret,
    dumps,
    guarded,
    loads,
)
from llmmw_ollama._address import address_of, is_cloud
from llmmw_ollama._answer import Answer
from llmmw_ollama._errors import ROWS
from llmmw_ollama._lines import Lines, object_in
from llmmw_ollama._messages import NAME
from llmmw_ollama._models import OllamaModels
from llmmw_ollama._request import PARAMETERS, Defaults, asked_of
from llmmw_ollama._usage import usage_of
from llmmw_ollama._values import number, text_of
from llmmw_ollama._vectors import embed_body, vectors_of

__all__ = ["Ollama"]


@attrs.define(eq=False, kw_only=True)
class Ollama(HttpProvider):
    """An Ollama server, or ollama.com.

    Args:
        name: the part of a target before its colon.
        base_url: where it is, in any form that OLLAMA_HOST may have: `host`, `host:port`, `:port`,
            `http://host:port`. Default: OLLAMA_HOST, else http://127.0.0.1:11434.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it. Default: for
            https://ollama.com that of OLLAMA_API_KEY; other servers get none.
        options: options of the model for each request, as `{"num_ctx": 16384}`; those of a request
            replace them.
        keep_alive: how long the model stays in memory after a request: seconds, or a text as
            `10m`; less than 0 is for ever. Default: what the server thinks.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    base_url: str | None = None
    api_key: KeyOption = attrs.field(default=None, repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    keep_alive: str | float | None = None
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)

    @options.validator
    def _check_options(self, field: object, given: object) -> None:
        if not isinstance(given, Mapping):
            raise ConfigError(f"options={given!r}: expected names of options with their values")

    def __attrs_post_init__(self) -> None:
        where = "OLLAMA_HOST" if self.base_url is None else "base_url"
        told = self.base_url if self.base_url is not None else os.environ.get("OLLAMA_HOST", "")
        if not isinstance(told, str):
            raise ConfigError(f"base_url={told!r}: expected an address, as http://127.0.0.1:11434")
        address = address_of(told, where)
        # The key of ollama.com is for nobody else.
        cloud = is_cloud(address)
        key = Key(self.api_key, ("OLLAMA_API_KEY",) if cloud else (), needed=cloud)
        self.api_key = key.source
        self.headers = guarded(self.headers)
        agent = {"User-Agent": f"llmmw-ollama/{version('llmmw-ollama')}"}
        self._http = Http(
            base_url=address,
            key=key,
            headers=agent | self.headers,
            rows=ROWS,
            client=self.http,
        )

    def capabilities(self, model: str) -> Capabilities:
        """What the wire can carry. What a model can is known to its server alone, which refuses
        the rest; `models.get` asks it."""
        return Capabilities(
            kinds=frozenset({Generate, Embed}),
            parameters=PARAMETERS,
            media=frozenset({"image"}),
            outputs=frozenset({"json", "schema"}),
            prefill=True,
            bills_on_cancel=None if self._is_paid(model) else False,
        )

    def price(self, model: str) -> Price | None:
        """A model of one's own server costs nothing; what ollama.com takes is not by the token."""
        free = Decimal(0)
        row = Price(f"{self.name}:{model}", free, free, free, free)
        return None if self._is_paid(model) else row

    def _is_paid(self, model: str) -> bool:
        """Whether ollama.com runs it, which a local server asks for such models too."""
        return is_cloud(self._http.base_url) or model.endswith(("-cloud", ":cloud"))

    @property
    def models(self) -> OllamaModels:
        """The verbs for models."""
        return OllamaModels(name=self.name, http=self._http)

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, Embed):
            return await self._embed(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _defaults(self) -> Defaults:
        names = tuple(dict.fromkeys((NAME, self.name)))
        return Defaults(names=names, options=self.options, keep_alive=self.keep_alive)

    def _post(
        self, call: Call, path: str, body: object, *, stream: bool = False
    ) -> AbstractAsyncContextManager[Reply]:
        return self._http.post(
            path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
        )

    async def _generate(self, call: Call, request: Generate) -> Response:
        stream = call.listener is not None
        losses = Losses(request, self.name)
        path, body = asked_of(request, losses, self._defaults, stream=stream)
        builder = ResponseBuilder(call, self.name, request.model_name)
        answer = Answer(builder, _alternatives(body))
        try:
            async with self._post(call, path, body, stream=stream) as reply:
                await _read(reply, answer)
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
        body = self._defaults.extended(embed_body(request, losses), request)
        async with self._post(call, "/api/embed", body) as reply:
            told = object_in(reply, await reply.read())
        usage = usage_of(told)
        return Embeddings(
            vectors=vectors_of(told, request, losses),
            model=text_of(told.get("model")) or request.model_name,
            provider=self.name,
            usage=None if usage is None else attrs.evolve(usage, output_tokens=0),
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(losses.warnings),
        )


def _alternatives(body: Mapping[str, Any]) -> int | None:
    """How many alternatives of a token are asked for."""
    return (number(body.get("top_logprobs")) or 0) if body.get("logprobs") else None


async def _read(reply: Reply, answer: Answer) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for."""
    if reply.content_type == "application/json":
        await _read_whole(reply, answer)
    else:
        lines = Lines(reply)
        while not answer.complete and (found := await lines.next()):
            for line in found:
                await answer.take(object_in(reply, line))
        if answer.complete:
            await reply.drain()
    if not answer.complete:
        raise StreamInterrupted("the stream ended before the answer did")


async def _read_whole(reply: Reply, answer: Answer) -> None:
    data = await reply.read()
    try:
        loads(data)
    except ProtocolError:
        decoder = NDJSONDecoder()  # lines all the same, if anything
        lines = [*decoder.feed(data), *decoder.end()]
        if len(lines) < 2:
            raise
        for line in lines:
            await answer.take(object_in(reply, line))
        return
    await answer.take(object_in(reply, data), whole=True)
