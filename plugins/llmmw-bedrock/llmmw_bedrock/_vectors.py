"""Vectors: each maker's models take and give them in a form of their own. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmmw import Embed
from llmmw.errors import ProtocolError, UnsupportedFeature
from llmmw.wire import Losses
from llmmw_bedrock._models import Model

__all__ = ["at_once", "embed_body", "vectors_of"]

Json = dict[str, Any]

_PURPOSES = {
    "nova": {"query": "GENERIC_RETRIEVAL", "document": "GENERIC_INDEX", None: "GENERIC_INDEX"},
    "cohere": {"query": "search_query", "document": "search_document", None: "search_document"},
}


def at_once(model: Model) -> int:
    """How many inputs one request may have."""
    return 96 if model.dialect == "cohere" else 1


def embed_body(request: Embed, inputs: Sequence[str], model: Model, losses: Losses) -> Json:
    """The body of a request for vectors.

    Args:
        request: what is asked.
        inputs: the texts of it that this body is for, at most `at_once`.
        model: the row of the model.
        losses: takes what the model can't honour.

    Raises:
        UnsupportedFeature: for a model of which nobody knows how it is asked for vectors.
    """
    size = request.dimensions
    if model.dialect == "titan":
        return _titan(request, inputs[0], losses)
    if model.dialect == "cohere":
        purpose = _PURPOSES["cohere"][request.purpose]
        told: Json = {"texts": list(inputs), "input_type": purpose}
        return told | ({"output_dimension": size} if size else {})
    if model.dialect == "nova":
        params: Json = {
            "embeddingPurpose": _PURPOSES["nova"][request.purpose],
            "text": {"truncationMode": "NONE", "value": inputs[0]},
        }
        params |= {"embeddingDimension": size} if size else {}
        return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}
    raise UnsupportedFeature(
        f"{request.model_name!r} is no model whose form of vectors is known: those of Amazon Titan "
        "and Nova, and of Cohere"
    )


def _titan(request: Embed, text: str, losses: Losses) -> Json:
    if request.purpose:
        losses.note("knows no purpose of vectors: left out")
    name, size = request.model_name, request.dimensions
    told: Json = {"inputText": text}
    if size is None:
        return told
    if "embed-image" in name:
        return told | {"embeddingConfig": {"outputEmbeddingLength": size}}
    if "v1" in name or "g1" in name:
        losses.drop(f"dimensions={size}")
        return told
    return told | {"dimensions": size}


def vectors_of(told: Mapping[str, Any], count: int) -> list[list[float]]:
    """The vectors of an answer, in the order of the inputs.

    Raises:
        ProtocolError: if they are not one vector for each of `count` inputs.
    """
    rows = told.get("embeddings")
    if rows is None and "embedding" in told:
        rows = [told["embedding"]]
    if isinstance(rows, Mapping):
        rows = rows.get("float")
    if not isinstance(rows, list):
        raise ProtocolError("the host sent no list of vectors")
    if len(rows) != count:
        raise ProtocolError(f"the host sent {len(rows)} vectors for {count} inputs")
    return [_vector(row) for row in rows]


def _vector(row: Any) -> list[float]:
    if isinstance(row, Mapping):
        row = row.get("embedding")
    try:
        numbers = [float(one) for one in row] if isinstance(row, list) else []
        if numbers and math.isfinite(sum(numbers)):
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    raise ProtocolError("the host sent a vector that is none")
