"""What an answer cost and why it ended, in the words that all providers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw import Finish, FinishReason, Usage
from llmmw_bedrock._values import number

__all__ = ["finish_of", "usage_of"]


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The usage that the host tells. It counts what is cached beside the rest of the input."""
    fresh = number(told.get("inputTokens"))
    written = number(told.get("cacheWriteInputTokens"))
    read = number(told.get("cacheReadInputTokens"))
    served = told.get("serverToolUsage")
    calls = served.items() if isinstance(served, Mapping) else ()
    counts = {str(name): number(count) for name, count in calls}
    return Usage(
        input_tokens=None if fresh is None else fresh + (written or 0) + (read or 0),
        output_tokens=number(told.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        server_tool_calls={name: count for name, count in counts.items() if count is not None},
        raw=dict(told),
    )


_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}


def finish_of(raw: Any, beside: Any, *, calls: bool) -> Finish:
    """Why an answer ended; words that nobody knows are `other`.

    Args:
        raw: the host's word.
        beside: the model's own fields, as far as they were asked for.
        calls: whether the answer calls a tool of the caller's.
    """
    raw = raw if isinstance(raw, str) else None
    reason = _REASONS.get(raw or "end_turn", "other")
    if calls and reason in {"stop", "other"}:
        reason = "tool_call"
    elif reason == "tool_call" and not calls:
        reason = "stop"
    fields = beside if isinstance(beside, Mapping) else {}
    delta = fields.get("delta")  # in a stream it stands where the model's own event has it
    fields = delta if isinstance(delta, Mapping) else fields
    sequence = fields.get("stop_sequence")
    return Finish(reason, raw=raw, stop_sequence=sequence if isinstance(sequence, str) else None)
