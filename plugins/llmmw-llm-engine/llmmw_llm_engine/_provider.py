"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Literal, get_args

import attrs
from llmmw_openai.chats import Chats

from llmmw import Call, Generate, Price, Response, Together
from llmmw.errors import ConfigError, LLMError, UnsupportedFeature
from llmmw.plugin import Capabilities, ResponseBuilder
from llmmw.wire import Http, HttpProvider, KeyOption, Losses, Secret, dumps, guarded
from llmmw_llm_engine._address import address_of, in_path, is_hosted
from llmmw_llm_engine._answer import Completion, read_completion
from llmmw_llm_engine._batches import EngineBatches, is_of_a_batch
from llmmw_llm_engine._chat import PRESET, ChatApi, extra_of, noted
from llmmw_llm_engine._completion import FORMS, PARAMETERS, asked_of, completion_body
from llmmw_llm_engine._errors import ROWS
from llmmw_llm_engine._files import EngineFiles
from llmmw_llm_engine._fine_tunes import EngineFineTunes
from llmmw_llm_engine._kept import KeptIds
from llmmw_llm_engine._key import HEADER, Authorization, EngineKey, without_a_key
from llmmw_llm_engine._models import EngineModels
from llmmw_llm_engine._outputs import Outputs

__all__ = ["LLMEngine"]

Json = Mapping[str, Any]
Auth = Literal["basic", "bearer"]
Api = Literal["v1", "v2"]

_FREE = Decimal(0)


@attrs.define(eq=False, kw_only=True)
class LLMEngine(HttpProvider):
    """Scale's LLM Engine.

    Args:
        name: the part of a target before its colon.
        api_key: the key; `env:NAME` or `file:PATH`; or a function that gives it, asked again
            when the host refuses what it gave. Default: SCALE_API_KEY; a server of your own is
            told the user `root` if there is none.
        auth: how the key goes as `Authorization`, beside `x-api-key`: `basic`, as a user without
            a password; or `bearer`.
        base_url: where the engine is, with a slash at its end or without. Default:
            LLM_ENGINE_BASE_PATH, else the hosted one.
        api: by which API prompts are asked: `v1`, completions that llm-engine has of its own; or
            `v2`, those of OpenAI with vLLM's fields. Messages are always asked by `v2`, unless it
            is `v1` that is named here: then they are refused. Default: each by its own.
        batch_output: where the host writes what comes of a batch, as `s3://bucket/{id}.json`.
            Without it no questions go in batches; a batch can be submitted all the same.
        batch_results: where this is read, if that is another address:
            `https://host/{id}.json`, or a path of this machine. Default: `batch_output`.
        batch_fields: fields of each batch, as `{"model_config": {"checkpoint_path": "s3://…"}}`.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    api_key: KeyOption = attrs.field(default=None, repr=False)
    auth: Auth = attrs.field(default="basic")
    base_url: str | None = None
    api: Api | None = attrs.field(default=None)
    batch_output: str | None = attrs.field(default=None, repr=False)  # these may be signed
    batch_results: str | None = attrs.field(default=None, repr=False)
    batch_fields: Json = attrs.field(factory=dict, repr=False)
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)
    _hosted: bool = attrs.field(init=False, repr=False)
    _outputs: Outputs = attrs.field(init=False, repr=False)

    @auth.validator
    def _check_auth(self, field: object, given: object) -> None:
        if given not in get_args(Auth):
            raise ConfigError(f"auth={given!r}: expected one of {', '.join(get_args(Auth))}")

    @api.validator
    def _check_api(self, field: object, given: object) -> None:
        if given is not None and given not in get_args(Api):
            raise ConfigError(f"api={given!r}: expected one of {', '.join(get_args(Api))}")

    @batch_fields.validator
    def _check_fields(self, field: object, given: object) -> None:
        if not isinstance(given, Mapping):
            raise ConfigError(f"batch_fields={given!r}: expected a table of fields")

    def __attrs_post_init__(self) -> None:
        self._outputs = Outputs(self.batch_output, self.batch_results)
        url = address_of(self.base_url)
        self._hosted = is_hosted(url)
        key = EngineKey(self.api_key, ("SCALE_API_KEY",), needed=self._hosted)
        self.api_key = key.source
        self.headers = guarded(self.headers)
        own: dict[str, str | Secret] = {
            "User-Agent": f"llmmw-llm-engine/{version('llmmw-llm-engine')}",
            "Authorization": Authorization(key, bearer=self.auth == "bearer"),
        }
        given = {name.lower() for name in self.headers}
        self._http = Http(
            base_url=url,
            key=key,
            header=HEADER,
            scheme="",
            headers={k: one for k, one in own.items() if k.lower() not in given} | self.headers,
            rows=ROWS,
            client=self.http,
        )
        if not self._hosted:
            without_a_key(self._http)

    def capabilities(self, model: str) -> Capabilities:
        """What the APIs honour that may be used; prompts by `v1` have less than chats."""
        if self.api == "v1":
            return Capabilities(
                kinds=frozenset({Generate}),
                parameters=PARAMETERS,
                media=frozenset(),
                outputs=FORMS,
            )
        return Capabilities(
            kinds=frozenset({Generate, Together}),
            parameters=PRESET.parameters,
            media=PRESET.media,
            outputs=FORMS,
        )

    def price(self, model: str) -> Price | None:
        """A server of one's own costs nothing; what the hosted one costs, nobody tells."""
        row = f"{self.name}:{model}"
        return None if self._hosted else Price(row, _FREE, _FREE, _FREE, _FREE)

    @property
    def models(self) -> EngineModels:
        """The verbs for model endpoints."""
        return EngineModels(name=self.name, http=self._http, hosted=self._hosted)

    @property
    def files(self) -> EngineFiles:
        """The verbs for files."""
        return EngineFiles(name=self.name, http=self._http)

    @property
    def fine_tunes(self) -> EngineFineTunes:
        """The verbs for fine-tunes."""
        return EngineFineTunes(name=self.name, http=self._http)

    @property
    def batches(self) -> EngineBatches:
        """The verbs for batch completions."""
        return EngineBatches(
            name=self.name,
            http=self._http,
            outputs=self._outputs,
            fields=self.batch_fields,
            kept=KeptIds(self.files, self._outputs),
        )

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Together):
            return await self._chats.together(call, request)
        if not isinstance(request, Generate):
            raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")
        if request.prompt is not None and self.api != "v2" and not is_of_a_batch():
            return await self._complete(call, request)
        if request.prompt is None and self.api == "v1":
            raise UnsupportedFeature(
                "api='v1' completes prompts alone: ask with prompt=…, or leave the option out"
            )
        return await self._chats.generate(call, request)

    @property
    def _chats(self) -> ChatApi:
        chats = Chats(
            name=self.name, preset=PRESET, http=self._http, path=lambda api, model: f"/v2{api}"
        )
        return ChatApi(chats=chats, as_first=self.api != "v2")

    async def _complete(self, call: Call, request: Generate) -> Response:
        asked, warnings = asked_of(request)
        losses = Losses(request, self.name, list(warnings))
        extra = extra_of(request, self.name)
        body = completion_body(asked, losses, extra)
        builder = ResponseBuilder(call, self.name, request.model_name)
        most, logprobs = body.get("max_new_tokens"), body.get("return_token_log_probs") is True
        answer = Completion(builder, most, logprobs)
        stream = call.listener is not None
        form = "stream" if stream else "sync"
        model = in_path(request.model_name)
        path = f"/v1/llm/completions-{form}?model_endpoint_name={model}"

        def sent() -> None:
            call.attempt.mark_sent(call.ledger)

        try:
            async with self._http.post(path, dumps(body), stream=stream, sent=sent) as reply:
                await read_completion(reply, answer)
                number = answer.id or reply.request_id
                told = await answer.finish(http=reply.info, request_id=number)
        except LLMError as error:
            if error.partial is None and builder.fold.anything:
                error.partial = builder.fold.response()
            raise
        return noted(told, losses, request, extra)
