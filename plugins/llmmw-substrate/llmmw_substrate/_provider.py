"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from llmmw import Call, Delta, Embed, Embeddings, Generate, Generation, Response
from llmmw.errors import LLMError, ProtocolError, StreamInterrupted, UnsupportedFeature
from llmmw.flow.dag import compose_headers, is_failure, request_id_in, secret_headers
from llmmw.plugin import Capabilities
from llmmw.wire import (
    Http,
    HttpProvider,
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
from llmmw_substrate._answer import Answer, vectors_of
from llmmw_substrate._models import model_of
from llmmw_substrate._request import NODE, embed_graph, generate_graph

__all__ = ["SubstrateProvider"]

_GRACE = 1.0
"""Seconds that a line may stay open after the result of the node."""


@attrs.define(eq=False, kw_only=True)
class SubstrateProvider(HttpProvider):
    """Substrate's models, each call a graph of one node.

    Args:
        name: the part of a target before its colon.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it, asked again
            when the host refuses what it gave. Default: SUBSTRATE_API_KEY.
        base_url: what `/compose` is appended to. Default: https://api.substrate.run.
        secrets: keys of hosts that this one asks for you: `openai`, `anthropic`.
        headers: further headers of each request; they go before those of its own.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    api_key: KeyOption = attrs.field(default=None, repr=False)
    base_url: str = "https://api.substrate.run"
    secrets: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        key = Key(self.api_key, ("SUBSTRATE_API_KEY",))
        self.api_key = key.source
        self.headers = guarded(self.headers)
        hosts = secret_headers(self.secrets)
        self.secrets = dict(zip(self.secrets, hosts.values(), strict=True))
        self._http = Http(
            base_url=self.base_url, key=key, headers=hosts | self.headers, client=self.http
        )

    def capabilities(self, model: str) -> Capabilities:
        """What the model's row says."""
        return model_of(model).capabilities()

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, Embed):
            return await self._embed(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold arguments for this host."""
        return tuple(dict.fromkeys(("substrate", self.name)))

    async def _generate(self, call: Call, request: Generate) -> Generation:
        losses = Losses(request, self.name)
        graph = generate_graph(request, model_of(request.model_name), losses, self._names)
        answer = Answer(self.name, request.model_name)
        try:
            async with self._post(call, graph, stream=call.listener is not None) as reply:
                await _read(reply, answer, call)
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

    async def _embed(self, call: Call, request: Embed) -> Embeddings:
        losses = Losses(request, self.name)
        async with self._post(call, embed_graph(request, losses, self._names)) as reply:
            result = _result(reply, await reply.read())
            return Embeddings(
                vectors=vectors_of(result, len(request.inputs)),
                model=request.model_name,
                provider=self.name,
                http=reply.info,
                request_id=reply.request_id,
                warnings=tuple(losses.warnings),
            )

    @asynccontextmanager
    async def _post(
        self, call: Call, graph: object, *, stream: bool = False
    ) -> AsyncIterator[Reply]:
        headers = compose_headers(self._http.headers, stream=stream)
        http = attrs.evolve(self._http, headers=headers)

        def sent() -> None:
            call.attempt.mark_sent(call.ledger)

        body = dumps({"dag": graph})
        try:
            async with http.post("/compose", body, stream=stream, sent=sent) as reply:
                yield reply
        except LLMError as error:
            if error.request_id is None and call.attempt.sent is not None:
                error.request_id = request_id_in(headers)
            raise


def _result(reply: Reply, data: bytes) -> object:
    """The result of the node in an answer that came whole.

    Raises:
        LLMError: what the host tells instead, of the graph or of its node.
    """
    told = loads(data)
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    results = told.get("data")
    if not isinstance(results, dict) or NODE not in results:
        error = reply.error(told) if is_failure(told) else reply.error_in(told)
        raise error or ProtocolError("the host sent no result of its node")
    if is_failure(results[NODE]):
        raise reply.error(results[NODE])
    return results[NODE]


async def _read(reply: Reply, answer: Answer, call: Call) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for."""
    if reply.content_type == "text/event-stream":
        await _read_events(reply, answer, call)
        return
    await _hear(answer.whole(_result(reply, await reply.read())), call)


async def _read_events(reply: Reply, answer: Answer, call: Call) -> None:
    until = math.inf
    while True:
        try:
            events = await reply.next_events(until)  # the line may stay open after the end
        except LLMError:
            if not answer.complete:
                raise
            return
        if not events:
            break
        for event in events:
            if not answer.complete:
                await _hear(answer.take(_message(reply, event.data)), call)
        if answer.complete and until == math.inf:
            until = spare(_GRACE)
    if not answer.complete:
        raise StreamInterrupted("the stream ended before the result of its node")


async def _hear(deltas: Iterable[Delta], call: Call) -> None:
    if call.listener is not None:
        for delta in deltas:
            await call.listener(delta)


def _message(reply: Reply, data: str) -> Mapping[str, Any]:
    """The message of an event.

    Raises:
        LLMError: if it tells an error, of the graph or of its node, or is no object.
    """
    if not data.strip() or data == "[DONE]":
        return {}
    told = loads(data)
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    kind, inner = told.get("object"), told.get("data")
    if kind in ("graph.error", "node.error"):
        raise reply.error(inner if isinstance(inner, dict) else told)
    if kind == "graph.result" and isinstance(inner, dict) and is_failure(inner.get(NODE)):
        raise reply.error(inner[NODE])
    if is_failure(told):
        raise reply.error(told)
    error = reply.error_in(told)
    if error is not None:
        raise error
    return told
