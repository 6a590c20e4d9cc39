"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Literal

import attrs

from llmmw import Call, CountTokens, Delta, Generate, Response, TokenCount
from llmmw.errors import ConfigError, LLMError, ProtocolError, StreamInterrupted, UnsupportedFeature
from llmmw.plugin import Capabilities, Listener
from llmmw.wire import (
    Http,
    HttpProvider,
    Key,
    KeyOption,
    Reply,
    Secret,
    SSEEvent,
    dumps,
    guarded,
    loads,
    spare,
)
from llmmw_anthropic._answer import Answer
from llmmw_anthropic._batches import AnthropicBatches
from llmmw_anthropic._blocks import NAME
from llmmw_anthropic._errors import ROWS
from llmmw_anthropic._files import AnthropicFiles, AnthropicModels
from llmmw_anthropic._models import model_of
from llmmw_anthropic._notes import Notes
from llmmw_anthropic._request import body_of, count_body

__all__ = ["Anthropic"]

_ADDRESS = "https://api.anthropic.com"
_VERSION = "2023-06-01"
_SIGNS = {
    "key": ("x-api-key", "", ("ANTHROPIC_API_KEY",)),
    "token": ("Authorization", "Bearer ", ("ANTHROPIC_AUTH_TOKEN",)),
}
_MOST_AT_ONCE = 21_333
"""The tokens that may take ten minutes; an answer that may be longer is streamed, since many a line
breaks that is silent for so long."""
_GRACE = 1.0
"""Seconds that a line may stay open after the end of an answer: most hosts close it at once, and
some proxies send another message."""


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@attrs.define(eq=False, kw_only=True)
class Anthropic(HttpProvider):
    """Anthropic, and hosts that speak its wire.

    Args:
        name: the part of a target before its colon.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it, asked again
            when the host refuses what it gave. Default: the host's own variable.
        auth: `key` sends it as `x-api-key` and is found in ANTHROPIC_API_KEY, `token` as a bearer's
            and in ANTHROPIC_AUTH_TOKEN.
        base_url: where the host is, without `/v1`. Default: ANTHROPIC_BASE_URL, else
            https://api.anthropic.com.
        betas: features to ask for with each request; a request can name more in
            `extra={"anthropic": {"betas": […]}}`.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    api_key: KeyOption = attrs.field(default=None, repr=False)
    auth: Literal["key", "token"] = attrs.field(default="key")
    base_url: str | None = None
    betas: tuple[str, ...] = attrs.field(default=(), converter=_names)
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)

    @auth.validator
    def _check_auth(self, field: object, given: object) -> None:
        if given not in _SIGNS:
            raise ConfigError(f"auth={given!r}: expected one of {', '.join(_SIGNS)}")

    def __attrs_post_init__(self) -> None:
        header, scheme, variables = _SIGNS[self.auth]
        key = Key(self.api_key, variables)
        self.api_key = key.source
        self.headers = guarded(self.headers)
        agent = {
            "User-Agent": f"llmmw-anthropic/{version('llmmw-anthropic')}",
            "anthropic-version": _VERSION,
        }
        self._http = Http(
            base_url=self.base_url or os.environ.get("ANTHROPIC_BASE_URL") or _ADDRESS,
            key=key,
            header=header,
            scheme=scheme,
            headers=agent | self.headers,
            rows=ROWS,
            client=self.http,
        )

    def capabilities(self, model: str) -> Capabilities:
        """What the model's row says."""
        return model_of(model).capabilities()

    @property
    def batches(self) -> AnthropicBatches:
        """The verbs for message batches."""
        return AnthropicBatches(name=self.name, http=self._http, prefix=self._prefix)

    @property
    def files(self) -> AnthropicFiles:
        """The verbs for files."""
        return AnthropicFiles(name=self.name, http=self._http, prefix=self._prefix)

    @property
    def models(self) -> AnthropicModels:
        """The verbs for models."""
        return AnthropicModels(name=self.name, http=self._http, prefix=self._prefix)

    @property
    def _prefix(self) -> str:
        """What goes before the paths, where the address does not have it."""
        return "" if _has_version(self._http.base_url) else "/v1"

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, CountTokens):
            return await self._count(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        return tuple(dict.fromkeys((NAME, self.name)))

    async def _generate(self, call: Call, request: Generate) -> Response:
        model = model_of(request.model_name)
        most = request.max_output_tokens or model.max_tokens
        stream = call.listener is not None or most > _MOST_AT_ONCE
        notes = Notes(request, self.name)
        body = body_of(request, model, notes, stream=stream, extra=self._names)
        answer = Answer(self.name, request.model_name)
        try:
            async with self._post(call, "/messages", body, notes, stream=stream) as reply:
                await _read(reply, answer, call)
                return answer.finished(
                    http=reply.info,
                    request_id=reply.request_id,
                    warnings=tuple(notes.warnings),
                    ledger=call.ledger,
                )
        except LLMError as error:
            if error.partial is None and answer.fold.anything:
                error.partial = answer.response()
            raise

    async def _count(self, call: Call, request: CountTokens) -> Response:
        notes = Notes(request, self.name)
        model = model_of(request.model_name)
        body = count_body(request, model, notes, extra=self._names)
        async with self._post(call, "/messages/count_tokens", body, notes) as reply:
            told = _object(reply, await reply.read())
        tokens = told.get("input_tokens")
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
            raise ProtocolError(f"the host told no number of tokens, but {tokens!r}")
        return TokenCount(
            tokens=tokens,
            model=request.model_name,
            provider=self.name,
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(notes.warnings),
            raw=dict(told),
        )

    @asynccontextmanager
    async def _post(
        self, call: Call, path: str, body: object, notes: Notes, *, stream: bool = False
    ) -> AsyncIterator[Reply]:
        http = self._http
        betas = dict.fromkeys((*self.betas, *notes.betas))
        if betas:
            told = {name: one for name, one in http.headers.items() if name.lower() != _BETA}
            before = [one for name, one in http.headers.items() if name.lower() == _BETA]
            http = attrs.evolve(http, headers=told | {_BETA: ",".join([*map(str, before), *betas])})

        def sent() -> None:
            call.attempt.mark_sent(call.ledger)

        async with http.post(self._prefix + path, dumps(body), stream=stream, sent=sent) as reply:
            yield reply


_BETA = "anthropic-beta"


def _has_version(address: str) -> bool:
    return address.partition("?")[0].rstrip("/").endswith("/v1")


def _object(reply: Reply, data: bytes | str) -> Mapping[str, Any]:
    """The object that a body or an event is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    if isinstance(told, dict) and told.get("type") == "content_block_delta":
        return told  # nearly all are, so nothing else is looked for
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told


async def _read(reply: Reply, answer: Answer, call: Call) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for."""
    listener = call.listener
    if reply.content_type == "text/event-stream":
        await _read_events(reply, answer, listener)
        return
    for delta in answer.whole(_object(reply, await reply.read())):
        if listener is not None:
            await listener(delta)


async def _read_events(reply: Reply, answer: Answer, listener: Listener | None) -> None:
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
            for delta in _deltas(event, reply, answer):
                if listener is not None:
                    await listener(delta)
        del event
        events.clear()  # thousands of streams may wait here
        if not answer.complete or until == math.inf:
            until = spare(_GRACE) if answer.complete else math.inf
    if not answer.complete:
        raise StreamInterrupted("the stream ended before the answer did")


def _deltas(event: SSEEvent, reply: Reply, answer: Answer) -> Iterable[Delta]:
    if answer.complete and "message_start" not in event.data:
        return ()  # nothing belongs to the answer after its end, but another message
    if not event.data.strip():
        return ()
    if event.event == "error":
        raise reply.error(event.data.encode())
    told = _object(reply, event.data)
    return answer.take(told if "type" in told else {"type": event.event, **told})
