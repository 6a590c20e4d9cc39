"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any, Literal, get_args

import attrs

from llmmw import (
    Call,
    CountTokens,
    Embed,
    Generate,
    Price,
    Response,
    Together,
    TokenCount,
)
from llmmw.errors import ConfigError, LLMError, ProtocolError, UnsupportedFeature
from llmmw.plugin import Capabilities
from llmmw.wire import Http, HttpProvider, Key, KeyOption, Losses, Reply, Secret, dumps, guarded
from llmmw_openai._address import Address, address_of
from llmmw_openai._administered import Administered
from llmmw_openai._embedding import embed
from llmmw_openai._errors import rows_of
from llmmw_openai._models import model_of
from llmmw_openai._parts import Parts
from llmmw_openai._preset import Preset
from llmmw_openai._presets import PRESETS
from llmmw_openai._reading import object_in
from llmmw_openai._request import embed_body
from llmmw_openai._responses import Listening
from llmmw_openai._responses_answer import ResponsesAnswer
from llmmw_openai._responses_items import ItemReader
from llmmw_openai._responses_request import count_body, responses_body
from llmmw_openai._several import SEVERAL
from llmmw_openai._think import ThinkTags
from llmmw_openai.chats import Chats

__all__ = ["OpenAI"]

Json = Mapping[str, Any]

_APIS = ("chat", "responses")


def _preset(given: str | Preset) -> Preset:
    if isinstance(given, Preset):
        return given
    if given in PRESETS:
        return PRESETS[given]
    raise ConfigError(f"preset={given!r}: expected one of {', '.join(PRESETS)}")


@attrs.define(eq=False, kw_only=True)
class OpenAI(Administered, HttpProvider):
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
    _chats: Chats = attrs.field(init=False, repr=False)

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
        self._chats = Chats(
            name=self.name,
            preset=preset,
            http=self._http,
            path=self._address.path,
            think_tags=self.think_tags,
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

    def capabilities(self, model: str) -> Capabilities:
        """What the host honours, less what this model does not take."""
        preset, row = self.preset, model_of(self.preset.models, model)
        parameters = preset.honoured(self._api) - row.refuses
        if self.think_tags != "no":
            parameters -= {"logprobs"}  # they belong to tokens of a text that is no more
        several = preset.host in SEVERAL and self._api == "chat"
        kinds = {Generate: preset.generates, Embed: preset.embeds, CountTokens: preset.counts}
        kinds[Together] = several
        prefill = preset.prefill if self._api == "chat" else None
        return Capabilities(
            kinds=frozenset(kind for kind, is_there in kinds.items() if is_there),
            parameters=parameters,
            media=preset.shown(self._api, row),
            outputs=preset.forms(self._api),
            prefill=prefill is not None and prefill.serves(model),
            bills_on_cancel=preset.bills_on_cancel,
            input_limit=row.input_limit,
            output_limit=row.output_limit,
        )

    def price(self, model: str) -> Price | None:
        """By the host's name in the table; a server of one's own costs nothing."""
        return self.preset.price(model)

    def __call__(self, call: Call) -> Coroutine[Any, Any, Response]:
        request = call.request
        if isinstance(request, Generate):
            if self._api == "responses":
                return self._respond(call, request)
            return self._chats.generate(call, request)
        if isinstance(request, Together):
            return self._chats.together(call, request)
        if isinstance(request, Embed):
            return self._embed(call, request)
        if isinstance(request, CountTokens):
            return self._count(call, request)
        raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")

    @property
    def _api(self) -> Literal["chat", "responses"]:
        return self.api or self.preset.api

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        own = (self.preset.own,) if self._api == "responses" else ()
        return tuple(dict.fromkeys((self.preset.host, *own, self.preset.name, self.name)))

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

    async def _count(self, call: Call, request: CountTokens) -> Response:
        if not self.preset.counts:
            raise UnsupportedFeature(f"{self.name} does not count tokens; ask another target")
        losses = Losses(request, self.name)
        body = count_body(request, self.preset, losses, extra=self._names)
        path = self._address.path("/responses", request.model_name) + "/input_tokens"
        async with self._post(call, path, body) as reply:
            told = object_in(reply, await reply.read())
        tokens = told.get("input_tokens")
        if type(tokens) is not int or tokens < 0:
            raise ProtocolError(f"the host told no number of tokens, but {tokens!r}")
        return TokenCount(
            tokens=tokens,
            model=request.model_name,
            provider=self.name,
            http=reply.info,
            request_id=reply.request_id,
            warnings=tuple(losses.warnings),
            raw=dict(told),
        )

    async def _embed(self, call: Call, request: Embed) -> Response:
        losses = Losses(request, self.name)

        def post(inputs: Sequence[str]) -> AbstractAsyncContextManager[Reply]:
            body = embed_body(request, inputs, self.preset, losses, extra=self._names)
            return self._post(call, self._address.path("/embeddings", request.model_name), body)

        told = await embed(request, post, self.preset.most_inputs)
        warnings = tuple(dict.fromkeys(losses.warnings))
        return told.replace(provider=self.name, warnings=warnings)

    def _post(self, call: Call, path: str, body: Json) -> AbstractAsyncContextManager[Reply]:
        """Send a body to an API of the host."""
        return self._http.post(path, dumps(body), sent=lambda: call.attempt.mark_sent(call.ledger))
