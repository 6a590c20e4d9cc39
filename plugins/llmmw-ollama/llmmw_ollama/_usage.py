"""What an answer cost and why it ended, in the words that all providers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw import Finish, FinishReason, Usage
from llmmw_ollama._values import number, text_of

__all__ = ["finish_of", "usage_of"]

_COUNTS = ("prompt_eval_count", "eval_count", "prompt_eval_cached_count")
_TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_REASONS: Mapping[str, FinishReason] = {"": "stop", "stop": "stop", "length": "length"}


def usage_of(told: Mapping[str, Any]) -> Usage | None:
    """The usage that the last line of an answer tells; `raw` has its times, in nanoseconds."""
    raw = {name: told[name] for name in (*_COUNTS, *_TIMES) if told.get(name) is not None}
    if not raw:
        return None
    read, wrote, cached = (number(told.get(name)) for name in _COUNTS)
    return Usage(input_tokens=read, output_tokens=wrote, cache_read_tokens=cached, raw=raw)


def finish_of(told: Any, *, calls: bool) -> Finish:
    """Why an answer ended. It is `stop` for calls of tools too; `load` and `unload` are `other`.

    Args:
        told: the field `done_reason`, which older servers leave out.
        calls: whether the answer calls tools.
    """
    raw = text_of(told)
    reason = _REASONS.get(raw, "other")
    called = calls and reason in {"stop", "other"}
    return Finish("tool_call" if called else reason, raw=raw or None)
