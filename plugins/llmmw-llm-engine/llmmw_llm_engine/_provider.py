"""The provider: a thin shell of input and output around the pure parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from importlib.metadata import version
from typing import Any, ClassVar, Literal, get_args

import attrs
from llmmw_openai._answer import Answer
from llmmw_openai._chat import read_chat
from llmmw_openai._reading import object_in
from llmmw_openai._several import answers_of

from llmmw import Answers, Call, Generate, Generation, Price, Response, Together
from llmmw.errors import ConfigError, LLMError, UnsupportedFeature
from llmmw.plugin import Capabilities, Host, Provider, ResponseBuilder, honour
from llmmw.wire import Http, Key, KeyOption, Losses, Reply, Secret, dumps, guarded
from llmmw_llm_engine._address import address_of, in_path, is_hosted
from llmmw_llm_engine._answer import Completion, read_completion
from llmmw_llm_engine._batches import EngineBatches, is_of_a_batch
from llmmw_llm_engine._chat import NAME, PRESET, TEXT_PARAMETERS, chat_body
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
class LLMEngine(Provider):
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

    marks_sent: ClassVar[bool] = True

    api_key: KeyOption = attrs.field(default=None, repr=False)
    auth: Auth = attrs.field(default="basic")
    base_url: str | None = None
    api: Api | None = attrs.field(default=None)
    batch_output: str | None = None
    batch_results: str | None = None
    batch_fields: Json = attrs.field(factory=dict)
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)
    _http: Http = attrs.field(init=False, repr=False)
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

    @property
    def key(self) -> Key:
        """Where the key comes from; `llmmw check` tells it."""
        return self._http.key

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

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Keeps the connections until the client closes."""
        async with self._http.open():
            yield

    async def __call__(self, call: Call) -> Response:
        request = call.request
        if isinstance(request, Together):
            return await self._together(call, request)
        if not isinstance(request, Generate):
            raise UnsupportedFeature(f"this wire does not answer {type(request).__name__}")
        if request.prompt is not None and self.api != "v2" and not is_of_a_batch():
            return await self._complete(call, request)
        if request.prompt is None and self.api == "v1":
            raise UnsupportedFeature(
                "api='v1' completes prompts alone: ask with prompt=…, or leave the option out"
            )
        return await self._chat(call, request)

    @property
    def _names(self) -> tuple[str, ...]:
        """Under which names a request may hold fields for this host."""
        return tuple(dict.fromkeys((NAME, self.name)))

    async def _complete(self, call: Call, request: Generate) -> Response:
        asked, warnings = asked_of(request)
        losses = Losses(request, self.name, list(warnings))
        body = completion_body(asked, losses, extra=self._names)
        builder = ResponseBuilder(call, self.name, request.model_name)
        most, logprobs = body.get("max_new_tokens"), body.get("return_token_log_probs") is True
        answer = Completion(builder, most, logprobs)
        stream = call.listener is not None
        form = "stream" if stream else "sync"
        model = in_path(request.model_name)
        path = f"/v1/llm/completions-{form}?model_endpoint_name={model}"
        try:
            async with self._post(call, path, body, stream=stream) as reply:
                await read_completion(reply, answer)
                number = answer.id or reply.request_id
                told = await answer.finish(http=reply.info, request_id=number)
        except LLMError as error:
            _give_partial(error, builder)
            raise
        return _noted(told, losses, request, most)

    def _text(self, request: Generate) -> tuple[Generate, tuple[str, ...]]:
        """A prompt as the second API takes it. Unless that is the one to ask prompts by, it says
        what the first would."""
        if self.api != "v2":
            asked, warnings = asked_of(request)
            completion_body(asked, Losses(asked, self.name), extra=())
            return asked, warnings
        can = Capabilities(parameters=TEXT_PARAMETERS, outputs=FORMS)
        told, warnings = honour(request, can, f"{request.model} with a prompt")
        assert isinstance(told, Generate)
        return told, warnings

    async def _chat(self, call: Call, request: Generate) -> Response:
        is_text = request.prompt is not None
        asked, warnings = self._text(request) if is_text else (request, ())
        losses = Losses(request, self.name, list(warnings))
        stream = call.listener is not None
        body = chat_body(asked, losses, stream=stream, extra=self._names)
        builder = ResponseBuilder(call, self.name, request.model_name)
        answer = Answer(builder, NAME, request.logprobs, _count(body))
        path = "/v2/completions" if is_text else "/v2/chat/completions"
        try:
            async with self._post(call, path, body, stream=stream) as reply:
                await read_chat(reply, answer)
                told = await answer.finish(http=reply.info, request_id=reply.request_id)
        except LLMError as error:
            _give_partial(error, builder)
            raise
        return _noted(told, losses, request, body.get("max_tokens"))

    async def _together(self, call: Call, together: Together) -> Response:
        first = together.requests[0]
        asked, warnings = self._text(first)
        losses = Losses(first, self.name, list(warnings))
        body = chat_body(asked, losses, stream=False, extra=self._names)
        prompts = [request.prompt for request in together.requests]
        async with self._post(call, "/v2/completions", body | {"prompt": prompts}) as reply:
            told = object_in(reply, await reply.read())
        answers: list[Response] = []
        for one in answers_of(told, len(prompts), _count(body)):
            builder = ResponseBuilder(call, self.name, together.model_name)
            answer = Answer(builder, NAME, asked.logprobs, _count(body))
            usage = {} if answers else {"usage": told.get("usage")}
            await answer.take({**one, **usage}, whole=True)
            response = await answer.finish(http=reply.info, request_id=reply.request_id)
            answers.append(_noted(response, losses, first, body.get("max_tokens")))
        return Answers(
            answers=answers,
            usage=answers[0].usage,
            model=answers[0].model,
            provider=self.name,
            http=reply.info,
            request_id=reply.request_id,
        )

    def _post(
        self, call: Call, path: str, body: Json, *, stream: bool = False
    ) -> AbstractAsyncContextManager[Reply]:
        return self._http.post(
            path, dumps(body), stream=stream, sent=lambda: call.attempt.mark_sent(call.ledger)
        )


def _count(body: Json) -> int:
    """How many candidates are asked for."""
    count = body.get("n")
    return count if type(count) is int else 1


def _give_partial(error: LLMError, builder: ResponseBuilder) -> None:
    """Give an error what had been answered before it."""
    if error.partial is None and builder.fold.anything:
        error.partial = builder.fold.response()


def _noted(told: Response, losses: Losses, request: Generate, most: object) -> Response:
    """The response with its warnings: of an end, too, that nobody asked for."""
    assert isinstance(told, Generation)
    is_cut = told.finish is not None and told.finish.reason == "length"
    asked = request.prompt is None or request.max_output_tokens is not None
    if is_cut and not asked and most is not None:
        losses.note(f"ends answers at {most} tokens where max_output_tokens is not given")
    return told.replace(warnings=tuple(losses.warnings)) if losses.warnings else told
