"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import attrs
import trio

from llmmw import Call, CountTokens, Embed, Embeddings, Generate, Response, TokenCount, Usage
from llmmw.errors import LLMError, ProtocolError, StreamInterrupted, UnsupportedFeature
from llmmw.plugin import Capabilities, Host, Listener
from llmmw.wire import (
    EventMessage,
    EventStreamDecoder,
    Http,
    HttpProvider,
    KeyOption,
    Losses,
    Reply,
    Secret,
    dumps,
    guarded,
    spare,
)
from llmmw_bedrock._account import address, key_of, named_address, region_for, signer
from llmmw_bedrock._administration import BedrockBatches, BedrockModels
from llmmw_bedrock._answer import Answer
from llmmw_bedrock._credentials import Credentials
from llmmw_bedrock._errors import ROWS
from llmmw_bedrock._models import bare_name, model_of
from llmmw_bedrock._reading import event_in, object_in
from llmmw_bedrock._request import body_of, count_body, extended
from llmmw_bedrock._values import NAME, number
from llmmw_bedrock._vectors import at_once, embed_body, vectors_of

__all__ = ["Bedrock"]

_COST = 10.0
"""Seconds to wait for what an answer cost, after its end."""
_COUNT = "x-amzn-bedrock-input-token-count"


@attrs.define(eq=False, kw_only=True)
class Bedrock(HttpProvider):
    """AWS Bedrock, by Converse and InvokeModel.

    Args:
        name: the part of a target before its colon.
        api_key: a key of Bedrock itself, sent as a bearer's; `env:NAME` or `file:PATH`; or a
            function that gives it. Default: `AWS_BEARER_TOKEN_BEDROCK`, unless credentials are
            given.
        access_key_id: the id of an AWS access key, with which requests are signed. Without it the
            usual chain of AWS finds credentials, and renews them.
        secret_access_key: the key to it, in the forms of `api_key`.
        session_token: goes with keys that are good for a time only, in the forms of `api_key`.
        profile: which profile of the AWS files to take. Default: `AWS_PROFILE`, else `default`.
        region: as `us-east-1`. Default: that of the address, `AWS_REGION`, `AWS_DEFAULT_REGION`,
            that of the profile.
        base_url: where models are asked. Default: `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`,
            `AWS_ENDPOINT_URL`, else `https://bedrock-runtime.{region}.amazonaws.com`.
        control_url: where models and batches are listed. Default: `AWS_ENDPOINT_URL_BEDROCK`,
            `AWS_ENDPOINT_URL`, else `https://bedrock.{region}.amazonaws.com`.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    api_key: KeyOption = attrs.field(default=None, repr=False)
    access_key_id: str | None = None
    secret_access_key: KeyOption = attrs.field(default=None, repr=False)
    session_token: KeyOption = attrs.field(default=None, repr=False)
    profile: str | None = None
    region: str | None = None
    base_url: str | None = None
    control_url: str | None = None
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)
    _control: Http = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        key = key_of(
            self.api_key,
            self.access_key_id,
            self.secret_access_key,
            self.session_token,
            self.profile,
        )
        signs = isinstance(key, Credentials)
        if isinstance(key, Credentials):
            self.secret_access_key, self.session_token = key.source, key.token
        else:
            self.api_key = key.source
        self.headers = guarded(self.headers)
        self.base_url = self.base_url or named_address("bedrock-runtime")
        region = self.region = region_for(self.region, self.base_url, key)
        agent = {"User-Agent": f"llmmw-bedrock/{version('llmmw-bedrock')}"}
        self._http = Http(
            base_url=self.base_url or address("bedrock-runtime", region),
            key=key,
            headers=agent | self.headers,
            rows=ROWS,
            sign=signer(region) if signs else None,
            client=self.http,
        )
        control = self.control_url or address("bedrock", region)
        self._control = attrs.evolve(self._http, base_url=control)

    def capabilities(self, model: str) -> Capabilities:
        """What the model's row says."""
        return model_of(model).capabilities()

    @property
    def models(self) -> BedrockModels:
        """The verbs for models and inference profiles."""
        return BedrockModels(name=self.name, http=self._control)

    @property
    def batches(self) -> BedrockBatches:
        """The verbs for model invocation jobs."""
        return BedrockBatches(name=self.name, http=self._control)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Keeps the connections until the client closes."""
        async with self._http.open(), self._control.open():
            yield

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, Embed):
            return await self._embed(call, request)
        if isinstance(request, CountTokens):
            return await self._count(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        return tuple(dict.fromkeys((NAME, self.name)))

    def _post(
        self, call: Call, model: str, verb: str, body: object, *, stream: bool = False
    ) -> AbstractAsyncContextManager[Reply]:
        path = f"/model/{quote(model, safe='')}/{verb}"  # an ARN has slashes and colons
        return self._http.post(
            path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
        )

    async def _generate(self, call: Call, request: Generate) -> Response:
        name, stream = request.model_name, call.listener is not None
        losses = Losses(request, self.name)
        body = body_of(request, model_of(name), losses, stream=stream, extra=self._names)
        answer = Answer(self.name, name)
        verb = "converse-stream" if stream else "converse"
        try:
            async with self._post(call, name, verb, body, stream=stream) as reply:
                await _read(reply, answer, call.listener, stream=stream)
                return answer.finished(
                    http=reply.info,
                    request_id=reply.request_id,
                    warnings=tuple(losses.warnings),
                    ledger=call.ledger,
                )
        except LLMError as error:
            if error.partial is None and answer.fold.anything:
                error.partial = answer.response()
            raise

    async def _count(self, call: Call, request: CountTokens) -> Response:
        losses = Losses(request, self.name)
        name = request.model_name
        body = count_body(request, model_of(name), losses, extra=self._names)
        async with self._post(call, bare_name(name), "count-tokens", body) as reply:
            told = object_in(reply, await reply.read())
        tokens = number(told.get("inputTokens"))
        if tokens is None:
            raise ProtocolError("the host told no number of tokens")
        return TokenCount(
            tokens=tokens,
            model=name,
            provider=self.name,
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(losses.warnings),
            raw=told,
        )

    async def _embed(self, call: Call, request: Embed) -> Response:
        name, losses = request.model_name, Losses(request, self.name)
        model = model_of(name)
        vectors: list[list[float]] = []
        counts: list[int | None] = []
        most = at_once(model)
        for begin in range(0, len(request.inputs), most):
            inputs = request.inputs[begin : begin + most]
            body = extended(embed_body(request, inputs, model, losses), request, self._names)
            try:
                async with self._post(call, name, "invoke", body) as reply:
                    told = object_in(reply, await reply.read())
            except LLMError as error:
                if begin:
                    error.processed = True  # what went before is billed
                raise
            vectors += vectors_of(told, len(inputs))
            counts.append(number(told.get("inputTextTokenCount", reply.headers.get(_COUNT))))
        return Embeddings(
            vectors=vectors,
            model=name,
            provider=self.name,
            usage=_sum(counts),
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(losses.warnings),
        )


def _sum(counts: list[int | None]) -> Usage | None:
    """The usage of several requests for vectors, if each told it."""
    known = [count for count in counts if count is not None]
    whole = len(known) == len(counts)
    return Usage(input_tokens=sum(known), output_tokens=0) if whole else None


async def _read(reply: Reply, answer: Answer, listener: Listener | None, *, stream: bool) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for."""
    if reply.content_type == _STREAM or (stream and reply.content_type != "application/json"):
        await _read_events(reply, answer, listener)
        return
    for delta in answer.whole(object_in(reply, await reply.read())):
        if listener is not None:
            await listener(delta)


_STREAM = "application/vnd.amazon.eventstream"


async def _read_events(reply: Reply, answer: Answer, listener: Listener | None) -> None:
    decoder = EventStreamDecoder()
    while True:
        piece = await reply.next_piece()
        await _hear(decoder.feed(piece), reply, answer, listener)
        if answer.complete:
            break
        if not piece:
            decoder.end()
            raise StreamInterrupted("the stream ended before the answer did")
        decoder.feed(b"")  # raises at once what is wrong behind those messages
    # What an answer cost comes after its end; that it fails to is no reason to lose the answer.
    with trio.CancelScope(deadline=spare(_COST)), suppress(LLMError):
        while not answer.counted and (piece := await reply.next_piece()):
            await _hear(decoder.feed(piece), reply, answer, listener)
    await reply.drain()


async def _hear(
    messages: list[EventMessage], reply: Reply, answer: Answer, listener: Listener | None
) -> None:
    for message in messages:
        try:
            kind, fields = event_in(reply, message)
        except LLMError:
            if answer.complete:
                return
            raise
        for delta in answer.take(kind, fields):
            if listener is not None:
                await listener(delta)
