"""Log-probabilities of tokens, as this host tells them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from llmmw import TokenLogprob
from llmmw_cohere._values import listed, objects, text

__all__ = ["logprobs_of", "shared"]

_LEAST = -9999.0
"""For a probability of zero, which JSON has no number for."""


def logprobs_of(told: Any) -> tuple[TokenLogprob, ...]:
    """The log-probabilities of pieces of text. A piece of several tokens has their sum."""
    return tuple(
        TokenLogprob(text(row.get("text")), _sum(listed(row.get("logprobs"))))
        for row in objects(told)
    )


def _sum(told: Sequence[Any]) -> float:
    known = [one for one in told if isinstance(one, (int, float)) and not isinstance(one, bool)]
    try:
        whole = math.fsum(known)
    except (OverflowError, ValueError):
        return _LEAST
    if not known or not whole > _LEAST:
        return _LEAST
    return min(whole, 0.0)  # what is greater is a rounding error


def shared(rows: Sequence[Any], texts: Sequence[str]) -> list[list[Any]]:
    """Rows that are told for several texts together, as those of each: by where a row begins.

    Args:
        rows: of all of them, in order.
        texts: whose they are.
    """
    ends = list(accumulate(len(one) for one in texts))
    found: list[list[Any]] = [[] for _ in texts]
    begin = place = 0
    for row in objects(rows):
        while place + 1 < len(texts) and begin >= ends[place]:
            place += 1
        if found:
            found[place].append(row)
        begin += len(text(row.get("text")))
    return found
