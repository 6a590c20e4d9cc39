"""What an answer cost and why it ended, in the words that all providers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

from llmmw import Finish, FinishReason, Usage

__all__ = ["embed_usage_of", "finish_of", "usage_of"]

# Where each number may stand: the first that is there is taken.
_GIVEN = ("prompt_tokens", "input_tokens")
_MADE = ("completion_tokens", "output_tokens")
_ABOUT_GIVEN = ("prompt_tokens_details", "input_tokens_details")
_ABOUT_MADE = ("completion_tokens_details", "output_tokens_details")
_CACHED = ("cached_tokens",)
_CACHED_BESIDE = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
_WRITTEN = ("cache_write_tokens",)
_THOUGHT = ("reasoning_tokens",)
_SOUND = ("audio_tokens",)

_MOST = 2**63


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The usage that a host tells; what it does not tell stays `None`."""
    whole = [told]
    about_given = [one for name in _ABOUT_GIVEN if isinstance(one := told.get(name), dict)]
    about_made = [one for name in _ABOUT_MADE if isinstance(one := told.get(name), dict)]
    given, made = _number(whole, _GIVEN), _number(whole, _MADE)
    read = _number(about_given, _CACHED)
    thought = _number(about_made, _THOUGHT)
    if thought is None:
        thought = _number(whole, _THOUGHT)
    beside = (given or 0) + (made or 0) + (thought or 0)
    if None not in (given, made) and thought and _number(whole, ("total_tokens",)) == beside:
        made = (made or 0) + thought  # xAI counts what was thought beside the answer
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=_number(whole, _CACHED_BESIDE) if read is None else read,
        cache_write_tokens=_number(about_given, _WRITTEN),
        reasoning_tokens=thought,
        input_audio_tokens=_number(about_given[:1], _SOUND),
        output_audio_tokens=_number(about_made[:1], _SOUND),
        cost=_cost(told.get("cost")),
        raw=dict(told),
    )


def embed_usage_of(told: Mapping[str, Any]) -> Usage:
    """The usage of a request for vectors: all of it is input, and some hosts tell the sum alone."""
    usage = usage_of(told)
    if usage.input_tokens is None:
        usage = attrs.evolve(usage, input_tokens=_number([told], ("total_tokens",)))
    return usage


def _number(objects: Sequence[Mapping[str, Any]], names: Sequence[str]) -> int | None:
    """The first number that stands there."""
    for told in objects:
        for name in names:
            number = told.get(name)
            if type(number) is int and 0 <= number < _MOST:
                return number
            if number is None or isinstance(number, bool) or not isinstance(number, (int, float)):
                continue
            if 0 <= number < _MOST:
                return int(number)
    return None


def _cost(told: Any) -> Decimal | None:
    """Dollars, where a host tells them."""
    if told is None:  # as nearly always
        return None
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
