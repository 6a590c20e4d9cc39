"""What an answer cost and why it ended, in the words that all providers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw import Finish, FinishReason, Usage
from llmmw_mistral._values import number_of, object_of

__all__ = ["finish_of", "usage_of"]


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The usage that the host tells; what it does not tell stays `None`."""
    details = object_of(told.get("prompt_tokens_details"))
    cached = number_of(details.get("cached_tokens"))
    if cached is None:  # the older name
        cached = number_of(told.get("num_cached_tokens"))
    thought = object_of(told.get("completion_tokens_details")).get("reasoning_tokens")
    return Usage(
        input_tokens=number_of(told.get("prompt_tokens")),
        output_tokens=number_of(told.get("completion_tokens")),
        cache_read_tokens=cached,
        reasoning_tokens=number_of(thought),
        raw=dict(told),
    )


_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_call",
    "error": "error",
}


def finish_of(raw: str | None, *, calls: bool) -> Finish:
    """Why an answer ended.

    Args:
        raw: the host's word; `None` is taken by what was answered.
        calls: whether the answer calls a tool.
    """
    reason = _REASONS.get(raw or "stop", "other")
    if calls and reason in {"stop", "other"}:
        reason = "tool_call"
    elif reason == "tool_call" and not calls:
        reason = "stop"
    return Finish(reason, raw=raw)
