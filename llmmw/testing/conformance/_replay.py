"""An answer that goes back to its host as history: whether it is as the host wants it there.

The rules look at the recorded bytes and at the body that was sent, and know nothing of our parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from llmmw._messages import Message
from llmmw._parts import CachePoint, TextPart
from llmmw._response import Generation
from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import objects_of
from llmmw.testing.conformance._replay_bedrock import bedrock_breaches
from llmmw.testing.conformance._replay_chat import chat_breaches
from llmmw.testing.conformance._replay_cohere import cohere_breaches
from llmmw.testing.conformance._replay_gemini import gemini_breaches
from llmmw.testing.conformance._replay_messages import messages_breaches
from llmmw.testing.conformance._replay_ollama import ollama_breaches
from llmmw.testing.conformance._replay_responses import responses_breaches

__all__ = ["histories", "replay_differences"]

Rule: TypeAlias = Callable[[Case, Sequence[dict[str, Any]], Mapping[str, Any], bool], list[str]]

_RULES: Mapping[str, Rule] = {
    "openai-chat": chat_breaches,
    "mistral-chat": chat_breaches,
    "openai-responses": responses_breaches,
    "anthropic-messages": messages_breaches,
    "gemini": gemini_breaches,
    "bedrock-converse": bedrock_breaches,
    "cohere-v2": cohere_breaches,
    "ollama-chat": ollama_breaches,
}


def histories(response: Generation) -> list[tuple[Message, ...]]:
    """The conversations that go on after an answer: where it calls tools, one that ends with their
    results, and one in which the user speaks again; else the latter alone."""
    question = Message("user", (TextPart("hello"), CachePoint()))
    further = Message("user", "go on")
    said = (question, response.message)
    results = [Message("tool", call.result("done")) for call in response.tool_calls]
    return [(*said, *results)] * bool(results) + [(*said, *results, further)]


def replay_differences(
    case: Case, history: Sequence[Message], sent: Mapping[str, Any]
) -> list[str]:
    """The rules of the host that a body breaks.

    Args:
        case: with the answer as it was recorded.
        history: what was to be sent.
        sent: the body.
    """
    rule = _RULES.get(case.wire)
    objects = objects_of(case.answers[-1])
    if rule is None or not objects:
        return []
    return rule(case, objects, sent, history[-1].role == "tool")
