"""Recorded requests: each is read into one of ours, which is sent, and must be the same JSON but
for forms that mean the same. What has no name of ours goes along as blocks and fields of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from llmmw._request import Generate
from llmmw.errors import BadRequest
from llmmw.testing.conformance._asked_bedrock import bedrock_asked, bedrock_normal
from llmmw.testing.conformance._asked_chat import (
    chat_asked,
    chat_normal,
    mistral_asked,
    mistral_normal,
)
from llmmw.testing.conformance._asked_cohere import cohere_asked, cohere_normal
from llmmw.testing.conformance._asked_gemini import gemini_asked, gemini_normal
from llmmw.testing.conformance._asked_messages import messages_asked, messages_normal
from llmmw.testing.conformance._asked_ollama import ollama_asked, ollama_normal
from llmmw.testing.conformance._asked_responses import responses_asked, responses_normal
from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import shown

__all__ = ["ODD", "request_differences", "request_of"]

Json = dict[str, Any]

ODD = (KeyError, TypeError, AttributeError, ValueError, IndexError)
"""What reading raises where something was recorded in a form that it does not know."""


@attrs.frozen
class _Wire:
    asked: Callable[[Json, str], Generate]
    """Our request for a body, where the host is known by this name."""
    normal: Callable[[Json], Json]
    """A body with one form for all that means the same."""


_WIRES: Mapping[str, _Wire] = {
    "openai-chat": _Wire(chat_asked, chat_normal),
    "mistral-chat": _Wire(mistral_asked, mistral_normal),
    "openai-responses": _Wire(responses_asked, responses_normal),
    "anthropic-messages": _Wire(messages_asked, messages_normal),
    "gemini": _Wire(gemini_asked, gemini_normal),
    "bedrock-converse": _Wire(bedrock_asked, bedrock_normal),
    "cohere-v2": _Wire(cohere_asked, cohere_normal),
    "ollama-chat": _Wire(ollama_asked, ollama_normal),
}


def request_of(case: Case, name: str) -> Generate | None:
    """One of our requests that says what the recorded one says; `None` if it can't be read.

    Args:
        case: with what the recorded client sent.
        name: by which the registry knows the host.
    """
    wire = _WIRES.get(case.wire)
    if wire is None or case.request is None:
        return None
    try:
        return wire.asked(dict(case.request), name)
    except (BadRequest, *ODD):
        return None


def request_differences(case: Case, sent: Json) -> list[str]:
    """What a body has otherwise than the recorded one, place by place."""
    normal = _WIRES[case.wire].normal
    assert case.request is not None
    return list(_unlike("", normal(sent), normal(dict(case.request))))


def _unlike(place: str, ours: Any, recorded: Any) -> list[str]:
    if ours == recorded:
        return []
    found: list[str] = []
    if isinstance(ours, dict) and isinstance(recorded, dict):
        for name in [*recorded, *(one for one in ours if one not in recorded)]:
            found += _unlike(f"{place}.{name}", ours.get(name), recorded.get(name))
    elif isinstance(ours, list) and isinstance(recorded, list) and len(ours) == len(recorded):
        for number, (one, other) in enumerate(zip(ours, recorded, strict=True)):
            found += _unlike(f"{place}[{number}]", one, other)
    else:
        found.append(f"{place[1:]} is {shown(ours)}, was {shown(recorded)}")
    return found
