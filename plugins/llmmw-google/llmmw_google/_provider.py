"""The provider with an API key, and what it shares with that on Vertex: a thin shell of input and
output around the pure parts."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, ClassVar
from urllib.parse import quote

import attrs

from llmmw import Call, CountTokens, Embed, Embeddings, Generate, Response, TokenCount, Usage
from llmmw.errors import LLMError, ProtocolError, StreamInterrupted, UnsupportedFeature
from llmmw.plugin import Capabilities, ResponseBuilder
from llmmw.wire import (
    Http,
    HttpProvider,
    JSONArrayDecoder,
    Key,
    KeyOption,
    Losses,
    Reply,
    Secret,
    dumps,
    guarded,
    loads,
    spare,
)
from llmmw_google._answer import Answer
from llmmw_google._errors import ROWS, with_told_wait
from llmmw_google._models import Model, model_of
from llmmw_google._request import body_of, count_body, extended
from llmmw_google._usage import number
from llmmw_google._vectors import Way, embed_body, embed_usage, vectors_of

__all__ = ["Google", "GoogleWire"]

_GRACE = 1.0
"""Seconds that the line may stay open after the end of a stream."""

Json = Mapping[str, Any]


@attrs.define(eq=False, kw_only=True)
class GoogleWire(HttpProvider):
    """What both ways to Google's models have in common.

    Args:
        name: the part of a target before its colon.
        base_url: where the host is, with the version of its interface.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    host: ClassVar[str]
    """Under which requests and parts keep what only this host understands."""
    counts_within: ClassVar[bool] = False
    """Whether a system message is counted in a request within the request."""

    base_url: str | None = None
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)
    _query: str = attrs.field(init=False, default="", repr=False)

    def _connect(self, base_url: str, key: Key, header: str, scheme: str) -> None:
        self.headers = guarded(self.headers)
        agent = {"User-Agent": f"llmmw-google/{version('llmmw-google')}"}
        base, _, self._query = base_url.partition("?")
        self._http = Http(
            base_url=base,
            key=key,
            header=header,
            scheme=scheme,
            headers=agent | self.headers,
            rows=ROWS,
            client=self.http,
        )

    def capabilities(self, model: str) -> Capabilities:
        """What the table of models says."""
        return model_of(model).capabilities()

    async def __call__(self, call: Call) -> Response:
        request = call.request
        try:
            if isinstance(request, Generate):
                return await self._generate(call, request)
            if isinstance(request, Embed):
                return await self._embed(call, request)
            if isinstance(request, CountTokens):
                return await self._count(call, request)
        except LLMError as error:
            with_told_wait(error)
            raise
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    def _place(self, model: str) -> str:
        """The model as the host names it."""
        return model if "/" in model else f"models/{model}"

    def _way(self, model: Model) -> tuple[Way, int]:
        """How vectors are asked for, and how many at once."""
        return "batchEmbedContents", 100

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        return tuple(dict.fromkeys((self.host, self.name)))

    @asynccontextmanager
    async def _post(
        self, call: Call, verb: str, body: object, *, stream: bool = False
    ) -> AsyncIterator[Reply]:
        place = quote(self._place(call.request.model_name), safe="/@")
        query = "&".join(filter(None, ("alt=sse" if stream else "", self._query)))
        path = f"/{place}:{verb}" + (f"?{query}" if query else "")
        async with self._http.post(
            path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
        ) as reply:
            yield reply

    async def _generate(self, call: Call, request: Generate) -> Response:
        stream = call.listener is not None
        losses = Losses(request, self.name)
        body = body_of(request, model_of(request.model_name), self._names, losses)
        builder = ResponseBuilder(call, self.name, request.model_name)
        answer = Answer(builder, self.host, _alternatives(body), _candidates(body))
        verb = "streamGenerateContent" if stream else "generateContent"
        try:
            async with self._post(call, verb, body, stream=stream) as reply:
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

    async def _count(self, call: Call, request: CountTokens) -> Response:
        losses = Losses(request, self.name)
        within = self._place(request.model_name) if self.counts_within else ""
        body = count_body(request, model_of(request.model_name), self._names, losses, within)
        async with self._post(call, "countTokens", body) as reply:
            told = _told(reply, await reply.read())
        tokens = number(told.get("totalTokens", 0))  # a count of zero is left out
        if tokens is None:
            raise ProtocolError("the host sent no number where the count of tokens belongs")
        return TokenCount(
            tokens=tokens,
            model=request.model_name,
            provider=self.name,
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(losses.warnings),
            raw=told,
        )

    async def _embed(self, call: Call, request: Embed) -> Response:
        model = model_of(request.model_name)
        way, most = self._way(model)
        path = self._place(request.model_name)
        vectors: list[list[float]] = []
        costs: list[Usage] = []
        for begin in range(0, len(request.inputs), most):
            inputs = request.inputs[begin : begin + most]
            body = extended(embed_body(request, inputs, model, way, path), request, self._names)
            try:
                async with self._post(call, way, body) as reply:
                    told = _told(reply, await reply.read())
            except LLMError as error:
                if begin:
                    error.processed = True  # what went before is billed
                raise
            vectors += vectors_of(told, len(inputs))
            cost = embed_usage(told)
            costs += [] if cost is None else [cost]
        return Embeddings(
            vectors=vectors,
            model=request.model_name,
            provider=self.name,
            usage=_sum(costs),
            http=reply.info,
            request_id=reply.request_id,
        )


@attrs.define(eq=False, kw_only=True)
class Google(GoogleWire):
    """Google's Gemini API, with an API key.

    Args:
        name: the part of a target before its colon.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it. Default:
            `GEMINI_API_KEY`, then `GOOGLE_API_KEY`.
        base_url: where the host is, with the version of its interface. Default:
            `GOOGLE_BASE_URL`, else `https://generativelanguage.googleapis.com/v1beta`.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    host: ClassVar[str] = "google"
    counts_within: ClassVar[bool] = True

    api_key: KeyOption = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        key = Key(self.api_key, ("GEMINI_API_KEY", "GOOGLE_API_KEY"))
        self.api_key = key.source
        base_url = self.base_url or os.environ.get("GOOGLE_BASE_URL") or _BASE_URL
        self._connect(base_url, key, "x-goog-api-key", "")


_BASE_URL = "https://generativelanguage.googleapis.com/v1beta"


def _told(reply: Reply, data: bytes) -> Json:
    """The object that a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    return _sound(reply, loads(data))


def _sound(reply: Reply, told: object) -> Json:
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told


async def _read(reply: Reply, answer: Answer) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for."""
    if reply.content_type == "text/event-stream":
        await _read_events(reply, answer)
    else:
        begin = b""
        while not (bare := begin.removeprefix(b"\xef\xbb\xbf").lstrip()):
            piece = await reply.next_piece()
            begin = begin[:3].rstrip() + piece  # of blanks nothing is kept, of a mark its bytes
            if not piece:
                break
        if not bare.startswith(b"["):
            await answer.take(_told(reply, begin + await reply.read()))
            return
        await _read_array(reply, answer, begin)
    # There is no mark of the end, so that this must do.
    if not answer.finished:
        raise StreamInterrupted("the stream ended before the answer did")


async def _read_events(reply: Reply, answer: Answer) -> None:
    until, goes_on = math.inf, False
    while events := await reply.next_events(until):
        for event in events:
            if event.event == "error":
                raise reply.error(event.data.encode())
            if event.data.strip() and not event.data.startswith("[DONE]"):
                await answer.take(_sound(reply, loads(event.data)))
                goes_on = goes_on or not answer.finished
        # The line may stay open after the end of the answer, though Google closes it. A reason
        # that came with the first piece may be one that each has, so it is no end by itself.
        if answer.finished and goes_on:
            until = spare(_GRACE)


async def _read_array(reply: Reply, answer: Answer, piece: bytes) -> None:
    decoder = JSONArrayDecoder()
    while piece:
        for element in decoder.feed(piece):
            await answer.take(_sound(reply, loads(element)))
        piece = await reply.next_piece()
    if not decoder.ended:
        raise StreamInterrupted("the stream ended before the answer did")


def _config(body: Json) -> Json:
    config = body.get("generationConfig")
    return config if isinstance(config, Mapping) else {}


def _candidates(body: Json) -> int:
    """How many candidates are asked for."""
    count = _config(body).get("candidateCount")
    return count if type(count) is int else 1


def _alternatives(body: Json) -> int | None:
    """How many alternatives of a token are asked for."""
    config = _config(body)
    return number(config.get("logprobs", 0)) if config.get("responseLogprobs") else None


def _sum(costs: list[Usage]) -> Usage | None:
    """The usage of several requests for vectors."""
    if not costs:
        return None
    return Usage(
        input_tokens=sum(one.input_tokens or 0 for one in costs),
        output_tokens=0,
        raw=costs[0].raw if len(costs) == 1 else None,
    )
