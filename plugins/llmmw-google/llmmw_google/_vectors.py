"""Vectors: how they are asked for, and what comes back. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llmmw import Embed, Usage
from llmmw.errors import ProtocolError
from llmmw_google._models import Model
from llmmw_google._usage import number, usage_of

__all__ = ["Way", "embed_body", "embed_usage", "vectors_of"]

Json = dict[str, Any]
Way = Literal["batchEmbedContents", "embedContent", "predict"]
"""The method of the host; its name ends the path."""

_TASKS = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
_PREFIXES = {"query": "task: search result | query: ", "document": "title: none | text: "}


def embed_body(request: Embed, inputs: Sequence[str], model: Model, way: Way, path: str) -> Json:
    """The body of a request for vectors.

    Args:
        request: what is asked.
        inputs: the texts of it that this body is for; one, unless `way` takes several.
        model: what the model can do.
        way: the method of the host.
        path: the model as the host names it.
    """
    purpose, size = request.purpose, request.dimensions
    task = _TASKS[purpose] if purpose and model.task == "type" else None
    if purpose and model.task == "prefix":
        inputs = [_PREFIXES[purpose] + text for text in inputs]
    if way == "predict":
        rows = [{"content": text} | _given(task_type=task) for text in inputs]
        return {"instances": rows} | _given(parameters=_given(outputDimensionality=size))
    beside = _given(taskType=task, outputDimensionality=size)
    contents = [{"content": {"parts": [{"text": text}]}} | beside for text in inputs]
    if way == "embedContent":
        return contents[0]
    return {"requests": [{"model": path} | one for one in contents]}


def vectors_of(told: Mapping[str, Any], count: int) -> list[list[float]]:
    """The vectors of an answer, in the order of the inputs.

    Raises:
        ProtocolError: if they are not one vector for each of `count` inputs.
    """
    rows = told.get("embeddings", told.get("predictions"))
    if rows is None and "embedding" in told:
        rows = [told["embedding"]]
    if not isinstance(rows, list):
        raise ProtocolError("the host sent no list of vectors")
    if len(rows) != count:
        raise ProtocolError(f"the host sent {len(rows)} vectors for {count} inputs")
    return [_vector(row) for row in rows]


def _vector(row: Any) -> list[float]:
    if isinstance(row, Mapping):
        row = row.get("embeddings", row)  # of a prediction
    try:
        numbers = [float(one) for one in row["values"]]
        if numbers and math.isfinite(sum(numbers)):
            return numbers
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise ProtocolError("the host sent a vector that is none")


def embed_usage(told: Mapping[str, Any]) -> Usage | None:
    """What vectors cost, where the host tells it."""
    if isinstance(told.get("usageMetadata"), Mapping):
        return usage_of(told["usageMetadata"])
    counts: list[int] = []
    rows = told.get("predictions")
    for row in rows if isinstance(rows, list) else ():
        for place in ("embeddings", "statistics"):
            row = row.get(place) if isinstance(row, Mapping) else None
        count = number(row.get("token_count")) if isinstance(row, Mapping) else None
        counts += [] if count is None else [count]
    return Usage(input_tokens=sum(counts), output_tokens=0) if counts else None


def _given(**fields: Any) -> Json:
    """The fields that are set."""
    return {name: one for name, one in fields.items() if one}
