"""Requests of the second API, OpenAI's chats and completions, with the fields of vLLM for the form
of an answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmmw_openai import Preset
from llmmw_openai._request import body_of

from llmmw import Choice, Generate, Grammar
from llmmw.wire import Losses
from llmmw_llm_engine._completion import FORMS, check_guided, guided

__all__ = ["NAME", "PRESET", "TEXT_PARAMETERS", "chat_body"]

NAME = "llm-engine"
"""Under which messages, parts and requests may hold what is for this host alone."""

TEXT_PARAMETERS = frozenset(
    {
        *("prompt", "max_output_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "n"),
        *("frequency_penalty", "presence_penalty", "repetition_penalty", "stop_sequences"),
        *("logit_bias", "logprobs", "output"),
    }
)
"""What completions have a word for; the host drops in silence what it does not know."""

PRESET = Preset(
    name=NAME,
    title="LLM Engine",
    base_url="",
    keys=(),
    parameters=TEXT_PARAMETERS | {"tools", "tool_choice", "parallel_tool_calls"},
    media=frozenset({"image"}),
    outputs=FORMS,
    embeds=False,
)


def chat_body(request: Generate, losses: Losses, *, stream: bool, extra: Sequence[str]) -> Any:
    """The body of a chat, or of a completion if the request has a prompt.

    Args:
        request: what is asked.
        losses: takes what the host can't honour.
        stream: whether the answer comes in pieces.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        UnsupportedFeature: for what the host can't honour, unless the request lets it be dropped.
        BadRequest: for what the host would refuse.
    """
    form: dict[str, Any] = {}
    if request.prompt is not None or isinstance(request.output, (Choice, Grammar)):
        form, request = guided(request), request.replace(output=None)
    body = body_of(request, PRESET, losses, stream=stream, extra=()) | form
    for name in extra:
        body |= dict(request.extra.get(name, {}))
    check_guided(body)
    return body
