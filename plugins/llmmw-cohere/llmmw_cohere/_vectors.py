"""Vectors: how they are asked for, and what comes back. Pure."""

from __future__ import annotations

import array
import base64
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from llmmw import Embed
from llmmw.errors import BadRequest, ProtocolError
from llmmw.wire import Losses
from llmmw_cohere._models import Model
from llmmw_cohere._request import with_extra
from llmmw_cohere._values import listed, own

__all__ = ["MOST_INPUTS", "embed_body", "vectors_of"]

Json = dict[str, Any]

MOST_INPUTS = 96
"""What the host takes at once."""

_INSTEAD = {"images", "inputs"}
"""What the host embeds in place of texts."""
_TASKS = {"query": "search_query", "document": "search_document"}


def embed_body(
    request: Embed, inputs: Sequence[str], model: Model, losses: Losses, *, extra: Sequence[str]
) -> Json:
    """The body of a request for vectors.

    Args:
        request: what is asked.
        inputs: the texts of it that this body is for.
        model: the row of the model.
        losses: takes what the model can't honour.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        UnsupportedFeature: for a size that the model does not have.
        BadRequest: for images or mixed inputs that are not one for each text.
    """
    body: Json = {
        "model": request.model_name,
        "texts": list(inputs),
        "input_type": _TASKS.get(request.purpose or "document"),
        "embedding_types": ["float"],
    }
    if request.dimensions is not None and not model.sized:
        losses.drop(f"dimensions={request.dimensions}: its vectors have one size")
    elif request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    given = with_extra({}, request, extra)
    for name in _INSTEAD & given.keys():
        if not isinstance(given[name], list | tuple) or len(given[name]) != len(inputs):
            raise BadRequest(
                f"extra {name}: each stands for one of the inputs, {MOST_INPUTS} at most, so give "
                f"a list of {len(inputs)}"
            )
        body.pop("texts", None)
    if request.purpose is None and "input_type" not in given:
        losses.note('takes texts for documents to be found: say purpose="query" for a query')
    return body | given


def vectors_of(told: Mapping[str, Any], asked: Mapping[str, Any]) -> list[list[float]]:
    """The vectors of an answer, in the order of the inputs: floats, or else the first type of those
    asked for.

    Args:
        told: the answer.
        asked: the body that it answers.

    Raises:
        ProtocolError: if they are not one vector for each input.
    """
    found = told.get("embeddings")
    rows = found if isinstance(found, list) else own(found).get("float")
    wanted = asked.get("embedding_types")
    for kind in wanted if isinstance(wanted, (list, tuple)) else ():
        rows = rows or own(found).get(str(kind))
    count = len(asked.get("texts") or asked.get("inputs") or asked.get("images") or ())
    if not isinstance(rows, list):
        raise ProtocolError("the host sent no list of vectors")
    if len(rows) != count:
        raise ProtocolError(f"the host sent {len(rows)} vectors for {count} inputs")
    return [_vector(row) for row in rows]


def _vector(told: Any) -> list[float]:
    try:
        numbers = _unpacked(told) if isinstance(told, str) else [float(one) for one in listed(told)]
        if numbers and all(map(math.isfinite, numbers)):
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    raise ProtocolError("the host sent a vector that is none")


def _unpacked(told: str) -> list[float]:
    """Little-endian 32-bit floats in base64."""
    numbers = array.array("f", base64.b64decode(told, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
