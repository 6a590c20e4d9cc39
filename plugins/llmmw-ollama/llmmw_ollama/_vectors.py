"""Vectors: how they are asked for, and what comes back. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmmw import Embed
from llmmw.errors import ProtocolError
from llmmw.wire import Losses

__all__ = ["embed_body", "vectors_of"]


def embed_body(request: Embed, losses: Losses) -> dict[str, Any]:
    """The body of a request for vectors. A text that is too long is refused, and not cut.

    Raises:
        UnsupportedFeature: for a purpose, unless the request lets it be dropped.
    """
    if request.purpose is not None:
        losses.drop("the purpose of an embedding")
    told = {"model": request.model_name, "input": list(request.inputs), "truncate": False}
    return told | ({} if request.dimensions is None else {"dimensions": request.dimensions})


def vectors_of(told: Mapping[str, Any], request: Embed, losses: Losses) -> list[list[float]]:
    """The vectors of an answer, in the order of the inputs.

    Raises:
        ProtocolError: if they are not one vector for each input.
        UnsupportedFeature: if they are not as long as was asked: older servers do not know how.
    """
    rows = told.get("embeddings")
    if not isinstance(rows, list):
        raise ProtocolError("the host sent no list of vectors")
    if len(rows) != len(request.inputs):
        raise ProtocolError(f"the host sent {len(rows)} vectors for {len(request.inputs)} inputs")
    vectors = [_vector(row) for row in rows]
    if request.dimensions not in (None, *(len(vector) for vector in vectors)):
        losses.drop(f"dimensions={request.dimensions}: its vectors have {len(vectors[0])}")
    return vectors


def _vector(row: Any) -> list[float]:
    try:
        numbers = [float(one) for one in row] if isinstance(row, list) else []
        if numbers and math.isfinite(sum(numbers)):
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    raise ProtocolError("the host sent a vector that is none")
