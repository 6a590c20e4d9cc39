"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, ClassVar, Literal, get_args

import attrs

from llmmw import Call, Embed, Embeddings, Generate, Price, Response, Usage
from llmmw.errors import ConfigError, LLMError, UnsupportedFeature
from llmmw.plugin import Capabilities, Host, Provider, ResponseBuilder, honour
from llmmw.wire import Http, Key, KeyOption, Losses, Secret, dumps, guarded
from llmmw_openai._address import Address, address_of
from llmmw_openai._answer import Answer
from llmmw_openai._chat import read_chat
from llmmw_openai._errors import rows_of
from llmmw_openai._parts import Parts
from llmmw_openai._preset import Preset
from llmmw_openai._presets import PRESETS
from llmmw_openai._reading import object_in
from llmmw_openai._request import TEXT_PARAMETERS, body_of, embed_body
from llmmw_openai._responses import Listening
from llmmw_openai._responses_answer import ResponsesAnswer
from llmmw_openai._responses_items import ItemReader
from llmmw_openai._responses_request import responses_body
from llmmw_openai._several import answers_of, check_together
from llmmw_openai._think import ThinkTags
from llmmw_openai._usage import embed_usage_of
from llmmw_openai._vectors import vectors_of

__all__ = ["OpenAI"]

_APIS = ("chat", "responses")


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
        api: which API generates: `chat`, Chat Completions; or `responses`, the Responses API, at
            hosts that have it. Default: the row's, which is `chat` but for `openai-responses` and
            `open-responses`.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it, asked again
            when the host refuses what it gave. Default: the host's own variables.
        token: in place of a key, what goes as `Authorization: Bearer`, in the forms of `api_key`;
            for Azure one of Entra. Default: `AZURE_OPENAI_AD_TOKEN` there, if no key is set.
        api_version: of Azure's address: a date, and the deployment stands in the path; or
            `preview` or the like for the v1 API. Default: `OPENAI_API_VERSION`, else v1.
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
    token: KeyOption = attrs.field(default=None, repr=False)
    api: Literal["chat", "responses"] | None = attrs.field(default=None)
    api_version: str | None = None
    base_url: str | None = None
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    think_tags: ThinkTags = attrs.field(default="no")
    http: Any = attrs.field(default=None, repr=False)
    _address: Address = attrs.field(init=False, repr=False)
    _http: Http = attrs.field(init=False, repr=False)

    @api.validator
    def _check_api(self, field: object, given: object) -> None:
        if given is not None and given not in _APIS:
            raise ConfigError(f"api={given!r}: expected one of {', '.join(_APIS)}")
        if given == "responses" and not self.preset.responses:
            raise ConfigError(f"api='responses': {self.preset.name} has no Responses API")

    @think_tags.validator
    def _check_tags(self, field: object, given: object) -> None:
        known = get_args(ThinkTags)
        if given not in known:
            raise ConfigError(f"think_tags={given!r}: expected one of {', '.join(known)}")

    def __attrs_post_init__(self) -> None:
        preset = self.preset
        self._address = address_of(preset, self.base_url, self.api_version)
        self.headers = guarded(self.headers)
        agent = {"User-Agent": f"llmmw-openai/{version('llmmw-openai')}"}
        key, by_bearer = self._key()
        self._http = Http(
            base_url=self._address.base_url,
            key=key,
            header="Authorization" if by_bearer else preset.header,
            scheme="Bearer " if by_bearer else preset.scheme,
            headers=agent | self.headers,
            rows=rows_of(preset.host),
            client=self.http,
        )

    def _key(self) -> tuple[Key, bool]:
        """Where the key comes from, and whether it is a bearer token in place of one."""
        preset = self.preset
        key = Key(self.api_key, preset.keys, needed=preset.key_needed)
        self.api_key = key.source
        token = Key(self.token, () if preset.bearer is None else (preset.bearer,))
        self.token = token.source
        if self.token is not None and self.api_key is not None:
            raise ConfigError("api_key and token are two ways to the same: give one of them")
        keyless = self.api_key is None and not any(map(os.environ.get, preset.keys))
        by_variable = keyless and preset.bearer is not None and preset.bearer in os.environ
        return (token, True) if self.token is not None or by_variable else (key, False)

    @property
    def key(self) -> Key:
        """Where the key comes from; `llmmw check` tells it."""
        return self._http.key

    def capabilities(self, model: str) -> Capabilities:
        """What the host honours, less what this model does not take."""
        preset = self.preset
        parameters = preset.honoured(self._api)
        for pattern, refused in preset.refuses:
            if re.match(pattern, model):
                parameters -= refused
        if self.think_tags != "no":
            parameters -= {"logprobs"}  # they belong to tokens of a text that is no more
        kinds = {Generate: preset.generates, Embed: preset.embeds}
        can = frozenset(kind for kind, is_there in kinds.items() if is_there)
        return Capabilities(kinds=can, parameters=parameters)

    def price(self, model: str) -> Price | None:
        """By the host's name in the table; a server of one's own costs nothing."""
        return self.preset.price(model)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Keeps the connections until the client closes."""
        async with self._http.open():
            yield

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Generate) and self._api == "responses":
            return await self._respond(call, request)
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, Embed):
            return await self._embed(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _api(self) -> Literal["chat", "responses"]:
        return self.api or self.preset.api

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        own = (self.preset.own,) if self._api == "responses" else ()
        return tuple(dict.fromkeys((self.preset.host, *own, self.preset.name, self.name)))

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
            self.preset.host,
            request.logprobs,
            _count(body),
            _sound(body),
            "no" if request.prompt is not None else self.think_tags,
        )
        try:
            path = self._address.path(path, request.model_name)
            async with self._http.post(
                path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
            ) as reply:
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

    async def together(self, calls: Sequence[Call]) -> list[Response]:
        """Answer calls that differ in their prompts alone by one request, in their order.

        The first response has the usage of all. The host answers when all answers are there, so
        whoever listens hears each at once.

        Raises:
            LLMError: if there is no answer; it is the error of each of them.
        """
        requests = [call.request for call in calls if isinstance(call.request, Generate)]
        check_together(requests if len(requests) == len(calls) else [])
        first = requests[0]
        losses = Losses(first, self.name)
        body = body_of(first, self.preset, losses, stream=False, extra=self._names)
        path = self._address.path("/completions", first.model_name)

        def sent() -> None:
            for call in calls:
                call.attempt.mark_sent(call.ledger)

        several = body | {"prompt": [request.prompt for request in requests]}
        async with self._http.post(path, dumps(several), sent=sent) as reply:
            told = object_in(reply, await reply.read())
        responses: list[Response] = []
        for call, one in zip(calls, answers_of(told, len(calls), _count(body)), strict=True):
            builder = ResponseBuilder(call, self.name, first.model_name)
            answer = Answer(builder, self.preset.host, first.logprobs, _count(body))
            usage = {} if responses else {"usage": told.get("usage")}
            await answer.take({**one, **usage}, whole=True)
            responses.append(
                await answer.finish(
                    http=reply.info,
                    request_id=reply.request_id,
                    warnings=tuple(losses.warnings),
                )
            )
        return responses

    async def _respond(self, call: Call, request: Generate) -> Response:
        losses = Losses(request, self.name)
        parameters = self.capabilities(request.model_name).parameters or frozenset()
        body = responses_body(
            request,
            self.preset,
            losses,
            stream=call.listener is not None,
            extra=self._names,
            reasons="reasoning" in parameters,
        )
        parts = Parts(call, self.name, request.model_name)
        answer = ResponsesAnswer(parts, ItemReader(self.preset.own, request.logprobs))
        listening = Listening(
            self._http,
            answer,
            self._address.path("/responses", request.model_name),
            background=body.get("background") is True and self.preset.background,
        )
        try:
            reply = await listening.listen(body, lambda: call.attempt.mark_sent(call.ledger))
            return await answer.finish(
                http=reply.info, request_id=reply.request_id, warnings=tuple(losses.warnings)
            )
        except LLMError as error:
            if error.partial is None and parts.fold.anything:
                error.partial = parts.fold.response()
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
                path = self._address.path("/embeddings", request.model_name)
                async with self._http.post(
                    path, dumps(body), sent=lambda: call.attempt.mark_sent(call.ledger)
                ) as reply:
                    data = object_in(reply, await reply.read())
            except LLMError as error:
                if begin:
                    error.processed = True  # what went before is billed
                raise
            vectors += vectors_of(data, len(inputs))
            if isinstance(data.get("usage"), Mapping):
                told.append(embed_usage_of(data["usage"]))
        return Embeddings(
            vectors=vectors,
            model=str(data.get("model") or request.model_name),
            provider=self.name,
            usage=_sum(told),
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(dict.fromkeys(losses.warnings)),
        )


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
