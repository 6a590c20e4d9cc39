"""The second API: OpenAI's chats and completions, with the fields of vLLM for the form of an
answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from llmmw_openai import Preset
from llmmw_openai.chats import Chats

from llmmw import Call, Choice, Generate, Generation, Grammar, Response, Together
from llmmw.wire import Losses
from llmmw_llm_engine._completion import FORMS, asked_of, check_guided, completion_body, guided

__all__ = ["NAME", "PRESET", "ChatApi", "extra_of", "noted"]

NAME = "llm-engine"
"""Under which messages, parts and requests may hold what is for this host alone."""

PRESET = Preset(
    name=NAME,
    title="LLM Engine",
    base_url="",
    keys=(),
    parameters=frozenset(
        {
            *("prompt", "max_output_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "n"),
            *("frequency_penalty", "presence_penalty", "repetition_penalty", "stop_sequences"),
            *("logit_bias", "logprobs", "output", "tools", "tool_choice", "parallel_tool_calls"),
        }
    ),
    media=frozenset({"image"}),
    outputs=FORMS,
    embeds=False,
)
"""What it has a word for; the host drops in silence what it does not know."""


@attrs.frozen(kw_only=True)
class ChatApi:
    """What asks by this API.

    Args:
        chats: asks as OpenAI's hosts are asked.
        as_first: whether prompts are asked as the first API would ask them, with what that wants
            and refuses.
    """

    chats: Chats
    as_first: bool

    async def generate(self, call: Call, request: Generate) -> Response:
        """Ask for a chat, or for a completion if there is a prompt.

        Raises:
            UnsupportedFeature: for what the host can't honour, unless the request lets it be
                dropped.
            BadRequest: for what the host would refuse.
        """
        asked, warnings = self._asked(request)
        told = await self.chats.generate(call, self._formed(asked))
        return self._noted(told, warnings, request)

    async def together(self, call: Call, together: Together) -> Response:
        """Ask for completions of several prompts at once; see `generate`."""
        found = [self._asked(request) for request in together.requests]
        requests = [self._formed(asked) for asked, _ in found]
        told = await self.chats.together(call, together.replace(requests=requests))
        answers: list[Response] = []
        for answer, (_, warnings), request in zip(
            told.answers, found, together.requests, strict=True
        ):
            assert isinstance(answer, Response)
            answers.append(self._noted(answer, warnings, request))
        return attrs.evolve(told, answers=answers)

    def _asked(self, request: Generate) -> tuple[Generate, tuple[str, ...]]:
        if request.prompt is None or not self.as_first:
            return request, ()
        asked, warnings = asked_of(request)
        completion_body(asked, Losses(asked, self.chats.name), {})
        return asked, warnings

    def _formed(self, asked: Generate) -> Generate:
        """With the form of the answer in the fields of vLLM, where OpenAI's has no word for it."""
        form: dict[str, Any] = {}
        if asked.prompt is not None or isinstance(asked.output, (Choice, Grammar)):
            form = guided(asked)
        check_guided(form | extra_of(asked, self.chats.name))
        if not form:
            return asked
        own = {NAME: {**form, **asked.extra.get(NAME, {})}}
        return asked.replace(output=None, extra={**asked.extra, **own})

    def _noted(self, told: Response, warnings: Sequence[str], request: Generate) -> Response:
        losses = Losses(request, self.chats.name, [*warnings, *told.warnings])
        return noted(told, losses, request, extra_of(request, self.chats.name))


def extra_of(request: Generate, name: str) -> dict[str, Any]:
    """The fields for this host that the caller gives, by the name of the provider too."""
    return {**request.extra.get(NAME, {}), **request.extra.get(name, {})}


def noted(told: Response, losses: Losses, request: Generate, extra: Mapping[str, Any]) -> Response:
    """The response with its warnings: of an end, too, that nobody asked for.

    Args:
        told: the response.
        losses: has the warnings.
        request: what was asked, as the caller gave it.
        extra: what the caller gave of the host's own fields.
    """
    assert isinstance(told, Generation)
    is_cut = told.finish is not None and told.finish.reason == "length"
    is_asked = request.max_output_tokens is not None or not extra.keys().isdisjoint(_LIMITS)
    if is_cut and request.prompt is not None and not is_asked:
        losses.note("ends answers after some 20 tokens where max_output_tokens is not given")
    return told.replace(warnings=tuple(losses.warnings)) if losses.warnings else told


_LIMITS = {"max_tokens", "max_new_tokens"}
