"""What an answer cost and why it ended, in the words that all providers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw import Finish, FinishReason, Usage

__all__ = ["counts_something", "finish_of", "number", "usage_of"]

Json = Mapping[str, Any]

_MOST = 2**63


def number(told: Any) -> int | None:
    """A whole number that is not negative, which may come as text."""
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) < 20:
        told = int(told)
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


def counts_something(told: Json) -> bool:
    """Whether a usage has any count; between the pieces of a stream some have none."""
    return any(name.endswith("TokenCount") for name in told)


def usage_of(told: Json) -> Usage:
    """The usage that Google tells. It leaves out counts of zero, so one that is missing is 0; but
    for what only some models count."""
    count = {name: number(one) for name, one in told.items()}
    thought = count.get("thoughtsTokenCount")
    given = (count.get("promptTokenCount") or 0) + (count.get("toolUsePromptTokenCount") or 0)
    return Usage(
        input_tokens=given,
        output_tokens=(count.get("candidatesTokenCount") or 0) + (thought or 0),
        cache_read_tokens=count.get("cachedContentTokenCount"),
        reasoning_tokens=thought,
        input_audio_tokens=_audio(told.get("promptTokensDetails")),
        output_audio_tokens=_audio(told.get("candidatesTokensDetails")),
        raw=dict(told),
    )


def _audio(details: Any) -> int | None:
    for one in details if isinstance(details, list) else ():
        if isinstance(one, Mapping) and one.get("modality") == "AUDIO":
            return number(one.get("tokenCount"))
    return None


_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
}


def finish_of(raw: str | None, detail: Json, *, calls: bool, blocked: bool = False) -> Finish:
    """Why an answer ended. Google has no word for a call of a function: the answer shows it.

    Args:
        raw: Google's word, if it told one.
        detail: what else it told of the candidate.
        calls: whether the answer calls a function.
        blocked: whether the prompt was refused, so that there is no answer.
    """
    reason = _REASONS.get((raw or "").upper(), "other")
    if blocked and raw is None:
        reason = "content_filter"
    elif calls and reason in {"stop", "other"}:
        reason = "tool_call"
    return Finish(reason, raw=raw, detail=dict(detail) or None)
