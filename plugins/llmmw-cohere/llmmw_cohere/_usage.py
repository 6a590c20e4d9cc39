"""What an answer took and cost, and why it ended, in the words that all providers share. Pure.

The host counts twice: `tokens` are those that the model read and wrote, its template's among them;
`billed_units` are those that are paid for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from llmmw import Finish, FinishReason, Price, Usage
from llmmw_cohere._values import number, own

__all__ = ["finish_of", "meta_usage", "sum_of", "usage_of"]

_COUNTS = ("tokens", "billed_units")


def usage_of(told: Mapping[str, Any], price: Price | None = None) -> Usage:
    """The usage of an answer. Its cost is that of the units billed, where their price is known."""
    tokens, billed = own(told.get("tokens")), own(told.get("billed_units"))
    return Usage(
        input_tokens=number(tokens.get("input_tokens")),
        output_tokens=number(tokens.get("output_tokens")),
        cache_read_tokens=number(told.get("cached_tokens")),
        cost=_cost(billed, price),
        raw=dict(told),
    )


def _cost(billed: Mapping[str, Any], price: Price | None) -> Decimal | None:
    paid = Usage(
        input_tokens=number(billed.get("input_tokens")),
        output_tokens=number(billed.get("output_tokens")),
    )
    return None if price is None else price.cost(paid)


def meta_usage(told: Any, price: Price | None = None) -> Usage | None:
    """The usage that the `meta` of other answers tells: what has no tokens of its own (a rerank is
    paid by the search) has none here, and all of it in `raw`. Its cost is that of `usage_of`."""
    meta = own(told)
    billed, tokens = own(meta.get("billed_units")), own(meta.get("tokens"))
    if not billed and not tokens:
        return None
    taken = number(tokens.get("input_tokens"))
    paid = number(billed.get("input_tokens"))
    known = paid if taken is None else taken
    return Usage(
        input_tokens=known,
        output_tokens=None if known is None else 0,
        cost=_cost({"output_tokens": 0, **billed}, price),
        raw=dict(meta),
    )


def sum_of(told: Sequence[Usage]) -> Usage | None:
    """The usage of several requests."""
    if len(told) < 2:
        return told[0] if told else None
    known = [one.input_tokens for one in told if one.input_tokens is not None]
    costs = [one.cost for one in told if one.cost is not None]
    return Usage(
        input_tokens=sum(known) if known else None,
        output_tokens=0 if known else None,
        cost=sum(costs, Decimal(0)) if len(costs) == len(told) else None,
        raw={name: _total([own(own(one.raw).get(name)) for one in told]) for name in _COUNTS},
    )


def _total(told: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Counts of several requests, by their names."""
    sums: dict[str, int] = {}
    for name, count in (row for one in told for row in one.items()):
        sums[name] = sums.get(name, 0) + (number(count) or 0)
    return sums


_REASONS: Mapping[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_call",
    "ERROR": "error",
    "TIMEOUT": "error",
}


def finish_of(told: Any, *, calls: bool) -> Finish:
    """Why an answer ended; words that nobody knows are `other`.

    Args:
        told: the host's word.
        calls: whether the answer calls tools.
    """
    raw = told if isinstance(told, str) else None
    reason = _REASONS.get(raw or "COMPLETE", "other")
    if calls and reason in {"stop", "other"}:
        reason = "tool_call"
    elif reason == "tool_call" and not calls:
        reason = "stop"
    return Finish(reason, raw=raw)
