"""What an answer cost and why it ended, in the words that all providers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw import Finish, FinishReason, Usage

__all__ = ["finish_of", "usage_of"]

_MOST = 2**63


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The usage that the host tells. It counts what is cached beside the rest of the input."""
    fresh = _number(told.get("input_tokens"))
    written = _number(told.get("cache_creation_input_tokens"))
    read = _number(told.get("cache_read_input_tokens"))
    details = told.get("output_tokens_details")
    thought = details.get("thinking_tokens") if isinstance(details, Mapping) else None
    served = told.get("server_tool_use")
    calls = served.items() if isinstance(served, Mapping) else ()
    counts = {str(name): _number(count) for name, count in calls}
    return Usage(
        input_tokens=None if fresh is None else fresh + (written or 0) + (read or 0),
        output_tokens=_number(told.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_number(thought),
        server_tool_calls={name: count for name, count in counts.items() if count is not None},
        raw=dict(told),
    )


def _number(told: Any) -> int | None:
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}


def finish_of(told: Mapping[str, Any], *, calls: bool) -> Finish:
    """Why an answer ended; `pause_turn` and words that nobody knows are `other`.

    Args:
        told: the fields `stop_reason`, `stop_sequence` and `stop_details`.
        calls: whether the answer calls a tool of the caller's.
    """
    raw, sequence, details = (
        told.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")
    )
    raw = raw if isinstance(raw, str) else None
    reason = _REASONS.get(raw or "end_turn", "other")
    if calls and reason in {"stop", "other"}:
        reason = "tool_call"
    elif reason == "tool_call" and not calls:
        reason = "stop"
    return Finish(
        reason,
        raw=raw,
        stop_sequence=sequence if isinstance(sequence, str) else None,
        detail={"stop_details": details} if details else None,
    )
