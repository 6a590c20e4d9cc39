"""Chats and completions by OpenAI's wire: the public part of this plugin that other providers are
made with, whose host speaks this wire beside one of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import attrs

from llmmw import Answers, Call, Generate, Response, Together
from llmmw.errors import LLMError
from llmmw.plugin import Capabilities, ResponseBuilder, honour
from llmmw.wire import Http, Losses, Reply, dumps
from llmmw_openai._answer import Answer
from llmmw_openai._chat import read_chat
from llmmw_openai._plain_answer import plain_answer
from llmmw_openai._prefill import Echo, going_on
from llmmw_openai._preset import Preset
from llmmw_openai._reading import object_in
from llmmw_openai._request import TEXT_PARAMETERS, body_of
from llmmw_openai._several import answers_of
from llmmw_openai._think import ThinkTags

__all__ = ["Chats"]

Json = Mapping[str, Any]


def _as_it_is(api: str, model: str) -> str:
    return api


@attrs.frozen(kw_only=True)
class Chats:
    """What asks a host for chats and completions.

    Args:
        name: of the provider: what it answers and warns of has this name.
        preset: how the host differs from others. Its address and its keys do not count here.
        http: the way to the host, with its key.
        path: gives the path of an API (`/chat/completions` or `/completions`) for a model.
            Default: that of the API.
        think_tags: whether texts begin with `<think>`; see the option of the provider `openai`.
    """

    name: str
    preset: Preset
    http: Http = attrs.field(repr=False)
    path: Callable[[str, str], str] = attrs.field(default=_as_it_is, repr=False)
    think_tags: ThinkTags = "no"
    _names: tuple[str, ...] = attrs.field(init=False, repr=False)
    """Under which names a request may hold fields for this host."""

    @_names.default
    def _find_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.preset.host, self.preset.name, self.name)))

    async def generate(self, call: Call, request: Generate) -> Response:
        """Ask for a chat, or for a completion if there is a prompt.

        Args:
            call: who listens, and to which attempt and ledger this belongs.
            request: what is asked; it may differ from that of the call.

        Raises:
            UnsupportedFeature: for what the host can't honour, unless it may be dropped.
            LLMError: as the host fails; what had come is its `partial`.
        """
        warnings: tuple[str, ...] = ()
        api = "/chat/completions"
        if request.prompt is not None:
            api = "/completions"
            request, warnings = _as_text(request, f"{request.model} with a prompt")
        stream, model = call.listener is not None, request.model_name
        losses = Losses(request, self.name, list(warnings))
        body = body_of(request, self.preset, losses, stream=stream, extra=self._names)
        tags = "no" if request.prompt is not None else self.think_tags
        how = going_on(self.preset.prefill, model, body)
        http = self.http if how is None else how.at(self.http)
        path = self.path(api, model)
        async with _posted(http, call, path, body, stream=stream) as reply:
            told: dict[str, Any] | None = None
            simple = not stream and how is None and tags == "no"
            if simple and reply.content_type != "text/event-stream":
                told = object_in(reply, await reply.read())
                facts = _facts(reply, losses) | {"provider": self.name}
                plain = plain_answer(told, call, model=model, **facts)
                if plain is not None:
                    return plain
            answer = Answer(
                ResponseBuilder(call, self.name, model),
                self.preset.host,
                request.logprobs,
                _count(body),
                _sound(body),
                tags,
            )
            echo = None if how is None else how.listen(body)
            return await _read(reply, answer, told, echo, losses)

    async def together(self, call: Call, together: Together) -> Answers:
        """Ask for completions of several prompts at once.

        Args:
            call: to which attempt and ledger this belongs.
            together: what is asked; it may differ from the request of the call.

        Raises:
            UnsupportedFeature: for what the host can't honour, unless it may be dropped.
            LLMError: as the host fails.
        """
        asked, warnings = _as_text(together.requests[0], f"{together.model} with prompts")
        losses = Losses(asked, self.name, list(warnings))
        body = body_of(asked, self.preset, losses, stream=False, extra=self._names)
        prompts = [request.prompt for request in together.requests]
        path = self.path("/completions", together.model_name)
        async with _posted(self.http, call, path, body | {"prompt": prompts}) as reply:
            told = object_in(reply, await reply.read())
        answers: list[Response] = []
        for one in answers_of(told, len(prompts), _count(body)):
            builder = ResponseBuilder(call, self.name, together.model_name)
            answer = Answer(builder, self.preset.host, asked.logprobs, _count(body))
            usage = {} if answers else {"usage": told.get("usage")}
            await answer.take({**one, **usage}, whole=True)
            warned = tuple(losses.warnings)
            http, number = reply.info, reply.request_id
            answers.append(await answer.finish(http=http, request_id=number, warnings=warned))
        return Answers(
            answers=answers,
            usage=answers[0].usage,
            model=answers[0].model,
            provider=self.name,
            http=reply.info,
            request_id=reply.request_id,
        )


def _as_text(request: Generate, target: str) -> tuple[Generate, tuple[str, ...]]:
    """A prompt as legacy Completions take it, and warnings of what is dropped."""
    asked, warnings = honour(request, Capabilities(parameters=TEXT_PARAMETERS), target)
    assert isinstance(asked, Generate)
    return asked, warnings


def _posted(
    http: Http, call: Call, path: str, body: Json, *, stream: bool = False
) -> AbstractAsyncContextManager[Reply]:
    sent = partial(call.attempt.mark_sent, call.ledger)
    return http.post(path, dumps(body), stream=stream, sent=sent)


async def _read(
    reply: Reply,
    answer: Answer,
    told: dict[str, Any] | None,
    echo: Echo | None,
    losses: Losses,
) -> Response:
    """The response to what a host sends, or has told already."""
    builder = answer.builder
    try:
        if told is None:
            await read_chat(reply, answer, echo)
        else:
            await answer.take(told, whole=True)
        return await answer.finish(**_facts(reply, losses))
    except LLMError as error:
        if error.partial is None and builder.fold.anything:
            error.partial = builder.fold.response()
        raise


def _facts(reply: Reply, losses: Losses) -> dict[str, Any]:
    """What a response has of the exchange."""
    warnings = tuple(losses.warnings)
    return {"http": reply.info, "request_id": reply.request_id, "warnings": warnings}


def _count(body: Json) -> int:
    """How many candidates are asked for."""
    count = body.get("n")
    return count if type(count) is int else 1


def _sound(body: Json) -> str:
    """The form of audio that is asked for, if any is."""
    audio = body.get("audio")
    return str(audio.get("format") or "wav") if isinstance(audio, Mapping) else "wav"
