"""What several calls have cost together, shared out among them: the sum is what was told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from itertools import accumulate
from typing import Any

import attrs

from llmmw._response import Usage

__all__ = ["parts_of", "usages_of"]

_FINEST = -12
"""Decimals of a dollar that a share has at least, where it does not come out even."""
_DIGITS = 60
_MOST = Decimal(10) ** 30
"""What a host tells beyond that is no cost."""


def parts_of(total: int, weights: Sequence[int]) -> list[int]:
    """Whole parts of a total, each within 1 of what its weight asks for; equal ones where none
    weighs anything."""
    weights = weights if any(weights) else [1] * len(weights)
    whole = sum(weights)
    ends = [total * end // whole for end in accumulate(weights)]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def _costs_of(total: Decimal, weights: Sequence[int]) -> list[Decimal]:
    exponent = total.as_tuple().exponent
    unit = min(exponent if isinstance(exponent, int) else 0, _FINEST)
    with localcontext() as context:
        context.prec = _DIGITS
        units = parts_of(int(total.scaleb(-unit)), weights)
        return [Decimal(part).scaleb(unit) for part in units]


def usages_of(
    total: Usage | None, inputs: Sequence[int], outputs: Sequence[int]
) -> Sequence[Usage | None]:
    """The usage of each call. What nobody told stays unknown, as does what is no number.

    Args:
        total: what was told for all.
        inputs: how much each call has sent, in any unit.
        outputs: how much came back for it.
    """
    if total is None:
        return [None] * len(inputs)
    rows: list[dict[str, Any]] = [{} for _ in inputs]
    for field in attrs.fields(Usage):
        told = getattr(total, field.name)
        weights = outputs if field.name in _MADE else inputs
        if type(told) is int:
            for row, part in zip(rows, parts_of(told, weights), strict=True):
                row[field.name] = part
    if total.cost is not None and total.cost.is_finite() and abs(total.cost) < _MOST:
        both = [sent + came for sent, came in zip(inputs, outputs, strict=True)]
        for row, cost in zip(rows, _costs_of(total.cost, both), strict=True):
            row["cost"] = cost
    shared: Mapping[str, list[int]] = {
        name: parts_of(count, inputs)
        for name, count in total.server_tool_calls.items()
        if type(count) is int
    }
    for at, row in enumerate(rows):
        row["server_tool_calls"] = {name: parts[at] for name, parts in shared.items()}
    return [Usage(**row) for row in rows]


_MADE = frozenset({"output_tokens", "reasoning_tokens", "output_audio_tokens"})
