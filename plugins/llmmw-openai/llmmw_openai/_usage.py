"""What an answer cost and why it ended, in the words that all providers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

from llmmw import Finish, FinishReason, Usage

__all__ = ["embed_usage_of", "finish_of", "usage_of"]

# Where each number may stand; the first that is there is taken.
_PLACES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "input_tokens": (("prompt_tokens",), ("input_tokens",)),
    "output_tokens": (("completion_tokens",), ("output_tokens",)),
    "cache_read_tokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
        ("cached_tokens",),
        ("num_cached_tokens",),
    ),
    "cache_write_tokens": (
        ("prompt_tokens_details", "cache_write_tokens"),
        ("input_tokens_details", "cache_write_tokens"),
    ),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
        ("reasoning_tokens",),
    ),
    "input_audio_tokens": (("prompt_tokens_details", "audio_tokens"),),
    "output_audio_tokens": (("completion_tokens_details", "audio_tokens"),),
}


_MOST = 2**63


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The usage that a host tells; what it does not tell stays `None`."""
    found: dict[str, Any] = {}
    for name, places in _PLACES.items():
        numbers = (_number(told, place) for place in places)
        found[name] = next((number for number in numbers if number is not None), None)
    whole = _number(told, ("total_tokens",))
    given, made, thought = (
        found[name] for name in ("input_tokens", "output_tokens", "reasoning_tokens")
    )
    if None not in (whole, given, made) and thought and whole == given + made + thought:
        found["output_tokens"] = made + thought  # xAI counts what was thought beside the answer
    return Usage(cost=_cost(told.get("cost")), raw=dict(told), **found)


def embed_usage_of(told: Mapping[str, Any]) -> Usage:
    """The usage of a request for vectors: all of it is input, and some hosts tell the sum alone."""
    usage = usage_of(told)
    if usage.input_tokens is None:
        usage = attrs.evolve(usage, input_tokens=_number(told, ("total_tokens",)))
    return usage


def _number(told: Any, place: tuple[str, ...]) -> int | None:
    for name in place:
        told = told.get(name) if isinstance(told, Mapping) else None
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


def _cost(told: Any) -> Decimal | None:
    """Dollars, where a host tells them."""
    if isinstance(told, Mapping):
        told = told.get("total_cost")
    if isinstance(told, bool) or not isinstance(told, (int, float, str)):
        return None
    try:
        cost = Decimal(str(told))
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and 0 <= cost < _MOST else None


_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",
}


def finish_of(raw: str | None, choice: Mapping[str, Any], *, calls: bool) -> Finish:
    """Why an answer ended. A call of a tool shows in the answer; the host's word for it is not
    always there.

    Args:
        raw: the host's word; empty and `None` are taken by what was answered.
        choice: the choice that told it, which may name the stop sequence.
        calls: whether the answer calls a tool.
    """
    reason = _REASONS.get((raw or "stop").lower(), "other")
    if calls and reason in {"stop", "other"}:
        reason = "tool_call"
    elif reason == "tool_call" and not calls:
        reason = "stop"
    stopped = choice.get("stop_reason")  # vLLM: the stop sequence, or the number of a token
    detail = {name: choice[name] for name in _DETAILS if choice.get(name)}
    return Finish(
        reason,
        raw=raw,
        stop_sequence=stopped if isinstance(stopped, str) else None,
        detail=detail or None,
    )


_DETAILS = ("native_finish_reason", "content_filter_results", "matched_stop")
