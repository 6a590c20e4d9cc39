"""Vectors as hosts send them: lists of numbers, or little-endian 32-bit floats in base64. Pure."""

from __future__ import annotations

import array
import base64
import math
import sys
from collections.abc import Mapping
from typing import Any

from llmmw.errors import ProtocolError

__all__ = ["vectors_of"]


def vectors_of(told: Mapping[str, Any], count: int) -> list[list[float]]:
    """The vectors of an answer, in the order of the inputs.

    Raises:
        ProtocolError: if they are not one vector for each of `count` inputs.
    """
    rows = told.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ProtocolError("the host sent no list of vectors")
    told_places = [row.get("index") for row in rows]
    places = list(range(len(rows))) if told_places == [None] * len(rows) else told_places
    ordered = {place: row for place, row in zip(places, rows, strict=True) if type(place) is int}
    if len(rows) != count or ordered.keys() != set(range(count)):
        raise ProtocolError(f"the host sent {len(rows)} vectors for {count} inputs, or misplaced")
    return [_vector(ordered[place].get("embedding")) for place in range(count)]


def _vector(told: Any) -> list[float]:
    try:
        numbers = _unpacked(told) if isinstance(told, str) else [float(number) for number in told]
        if math.isfinite(sum(numbers)):
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    raise ProtocolError("the host sent a vector that is none")


def _unpacked(told: str) -> list[float]:
    numbers = array.array("f", base64.b64decode(told, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
