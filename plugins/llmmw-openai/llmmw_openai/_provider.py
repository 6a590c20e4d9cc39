"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version
from typing import Any, ClassVar, get_args

import attrs

from llmmw import Call, Embed, Embeddings, Generate, Response, Usage
from llmmw.errors import (
    ConfigError,
    LLMError,
    ProtocolError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.plugin import Capabilities, Host, Provider, ResponseBuilder, honour
from llmmw.wire import Http, Key, KeyOption, Reply, Secret, SSEEvent, dumps, guarded, loads
from llmmw_openai._answer import Answer
from llmmw_openai._errors import ROWS
from llmmw_openai._losses import Losses
from llmmw_openai._presets import PRESETS, Preset
from llmmw_openai._request import TEXT_PARAMETERS, body_of, embed_body
from llmmw_openai._think import ThinkTags
from llmmw_openai._usage import usage_of
from llmmw_openai._vectors import vectors_of

__all__ = ["OpenAI"]


def _preset(given: str | Preset) -> Preset:
    if isinstance(given, Preset):
        return given
    if given in PRESETS:
        return PRESETS[given]
    raise ConfigError(f"preset={given!r}: expected one of {', '.join(PRESETS)}")


@attrs.define(eq=False, kw_only=True)
class OpenAI(Provider):
    """OpenAI and hosts that speak its wire.

    Args:
        name: the part of a target before its colon.
        preset: the row of the table of hosts.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it, asked again
            when the host refuses what it gave. Default: the host's own variables.
        base_url: where the host is. Default: its variables, else the row's address.
        headers: further headers of each request.
        think_tags: whether the host leaves `<think>…</think>` in the text of its chats: `open` if
            an answer begins with the tag; `begun` if that is missing, as the model's template
            wrote it, so that all before `</think>` is reasoning. Log-probabilities are not told
            then.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    marks_sent: ClassVar[bool] = True

    preset: Preset = attrs.field(converter=_preset, default=PRESETS["openai"])
    api_key: KeyOption = attrs.field(default=None, repr=False)
    base_url: str | None = None
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    think_tags: ThinkTags = attrs.field(default="no")
    http: Any = attrs.field(default=None, repr=False)
    _http: Http = attrs.field(init=False, repr=False)

    @think_tags.validator
    def _check_tags(self, field: object, given: object) -> None:
        known = get_args(ThinkTags)
        if given not in known:
            raise ConfigError(f"think_tags={given!r}: expected one of {', '.join(known)}")

    def __attrs_post_init__(self) -> None:
        preset = self.preset
        key = Key(self.api_key, preset.keys, needed=preset.key_needed)
        self.api_key = key.source
        self.headers = guarded(self.headers)
        agent = {"User-Agent": f"llmmw-openai/{version('llmmw-openai')}"}
        self._http = Http(
            base_url=self.base_url or _base_url(preset),
            key=key,
            header=preset.header,
            scheme=preset.scheme,
            headers=agent | self.headers,
            rows=ROWS.get(preset.name, ()),
            client=self.http,
        )

    @property
    def key(self) -> Key:
        """Where the key comes from; `llmmw check` tells it."""
        return self._http.key

    def capabilities(self, model: str) -> Capabilities:
        """What the host honours, less what this model does not take."""
        preset = self.preset
        parameters = preset.parameters
        for pattern, refused in preset.refuses:
            if re.match(pattern, model):
                parameters -= refused
        if self.think_tags != "no":
            parameters -= {"logprobs"}  # they belong to tokens of a text that is no more
        kinds = {Generate, Embed} if preset.embeds else {Generate}
        return Capabilities(kinds=frozenset(kinds), parameters=parameters)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Keeps the connections until the client closes."""
        async with self._http.open():
            yield

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
        return tuple(dict.fromkeys((self.preset.name, self.name)))

    async def _generate(self, call: Call, request: Generate) -> Response:
        warnings: tuple[str, ...] = ()
        path = "/chat/completions"
        if request.prompt is not None:
            path = "/completions"
            can = Capabilities(parameters=TEXT_PARAMETERS)
            asked, warnings = honour(request, can, f"{request.model} with a prompt")
            assert isinstance(asked, Generate)
            request = asked
        stream = call.listener is not None
        losses = Losses(request, self.name, list(warnings))
        body = body_of(request, self.preset, losses, stream=stream, extra=self._names)
        builder = ResponseBuilder(call, self.name, request.model_name)
        answer = Answer(
            builder,
            self.preset.name,
            request.logprobs,
            _count(body),
            _sound(body),
            "no" if request.prompt is not None else self.think_tags,
        )
        try:
            async with self._http.post(
                path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
            ) as reply:
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
        vectors: list[list[float]] = []
        told: list[Usage] = []
        most = self.preset.most_inputs
        for begin in range(0, len(request.inputs), most):
            inputs = request.inputs[begin : begin + most]
            body = embed_body(request, inputs, self.preset, losses, extra=self._names)
            try:
                async with self._http.post(
                    "/embeddings", dumps(body), sent=lambda: call.attempt.mark_sent(call.ledger)
                ) as reply:
                    data = _told(reply, await reply.read())
            except LLMError as error:
                if begin:
                    error.processed = True  # what went before is billed
                raise
            vectors += vectors_of(data, len(inputs))
            if isinstance(data.get("usage"), Mapping):
                told.append(usage_of(data["usage"]))
        return Embeddings(
            vectors=vectors,
            model=str(data.get("model") or request.model_name),
            provider=self.name,
            usage=_sum(told),
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(dict.fromkeys(losses.warnings)),
        )


def _base_url(preset: Preset) -> str:
    """The address of a host: of its variables, else of its row."""
    stem = re.sub(r"\W", "_", preset.name).upper()
    replaced = os.environ.get(f"{stem}_BASE_URL")
    if replaced:
        return replaced

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if not os.environ.get(name):
            raise ConfigError(
                f"the address of {preset.name} needs the variable {name}; "
                f"set it, or {stem}_BASE_URL, or pass the option base_url"
            )
        return os.environ[name].rstrip("/")

    return re.sub(r"\{(\w+)\}", value, preset.base_url)


def _told(reply: Reply, data: bytes) -> Mapping[str, Any]:
    """The object that a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, Mapping):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told


async def _read(reply: Reply, answer: Answer) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for."""
    if reply.content_type != "text/event-stream":
        await answer.take(_told(reply, await reply.read()), whole=True)
        return
    try:
        async with aclosing(reply.events()) as events:
            async for event in events:
                if event.data.startswith("[DONE]"):
                    await reply.drain()
                    return
                if event.data.strip():
                    await _take(event, reply, answer)
    except StreamInterrupted:
        if not answer.finished:
            raise
    if not answer.finished:
        raise StreamInterrupted("the stream ended before the answer did")


async def _take(event: SSEEvent, reply: Reply, answer: Answer) -> None:
    if event.event == "error":
        raise reply.error(event.data.encode())
    chunk = loads(event.data)
    error = reply.error_in(chunk)
    if error is None and not isinstance(chunk, Mapping):
        raise ProtocolError(f"the host sent a {type(chunk).__name__} where an object belongs")
    if isinstance(chunk, Mapping):
        await answer.take(chunk)
    if error is not None:
        raise error


def _count(body: Mapping[str, Any]) -> int:
    """How many candidates are asked for."""
    count = body.get("n")
    return count if type(count) is int else 1


def _sound(body: Mapping[str, Any]) -> str:
    """The form of audio that is asked for, if any is."""
    audio = body.get("audio")
    return str(audio.get("format") or "wav") if isinstance(audio, Mapping) else "wav"


def _sum(told: list[Usage]) -> Usage | None:
    """The usage of several requests for vectors."""
    if not told:
        return None
    known = [one.input_tokens for one in told if one.input_tokens is not None]
    costs = [one.cost for one in told if one.cost is not None]
    return Usage(
        input_tokens=sum(known) if known else None,
        output_tokens=0,
        cost=sum(costs[1:], costs[0]) if costs else None,
        raw=told[0].raw if len(told) == 1 else None,
    )
