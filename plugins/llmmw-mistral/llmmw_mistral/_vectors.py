"""Asking for vectors, by as many requests as the host needs."""

from __future__ import annotations

import array
import base64
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from llmmw import Embed, Embeddings, Usage
from llmmw.errors import LLMError, ProtocolError
from llmmw.wire import Reply
from llmmw_mistral._usage import usage_of
from llmmw_mistral._values import number_of, object_in, object_of

__all__ = ["embed", "vectors_of"]

_MOST_INPUTS = 512
_MOST_BYTES = 48_000
"""The host takes 16,384 tokens at once: of most texts, at three bytes a token or more."""


async def embed(
    request: Embed, post: Callable[[Sequence[str]], AbstractAsyncContextManager[Reply]]
) -> Embeddings:
    """The vectors of all inputs.

    Args:
        request: what is asked.
        post: sends some of the inputs.

    Raises:
        LLMError: the first one; what was billed before it is lost.
    """
    vectors: list[list[float]] = []
    usage: dict[str, Any] = {}
    told: Mapping[str, Any] = {}
    for inputs in _groups(request.inputs):
        try:
            async with post(inputs) as reply:
                told = object_in(reply, await reply.read())
            vectors += vectors_of(told, len(inputs))
        except LLMError as error:
            error.processed = True if vectors else error.processed  # what went before is billed
            raise
        usage = _summed(usage, object_of(told.get("usage")))
    return Embeddings(
        vectors=vectors,
        model=str(told.get("model") or request.model_name),
        usage=_usage(usage) if usage else None,
        http=reply.info,
        request_id=reply.request_id,
    )


def _groups(inputs: Sequence[str]) -> Iterator[Sequence[str]]:
    begin = size = 0
    for at, text in enumerate(inputs):
        length = len(text.encode("utf-8", "replace"))
        if at > begin and (size + length > _MOST_BYTES or at - begin >= _MOST_INPUTS):
            yield inputs[begin:at]
            begin, size = at, 0
        size += length
    yield inputs[begin:]


def _summed(sums: Mapping[str, Any], told: Mapping[str, Any], depth: int = 1) -> dict[str, Any]:
    """Usage with that of one more request; details are an object in it."""
    both = dict(sums)
    for name, one in told.items():
        before, count = both.get(name), number_of(one)
        if depth and isinstance(one, Mapping):
            both[name] = _summed(object_of(before), one, depth - 1)
        else:
            both[name] = one if count is None else (number_of(before) or 0) + count
    return both


def _usage(told: Mapping[str, Any]) -> Usage:
    counted = {"prompt_tokens": told.get("total_tokens"), **told, "completion_tokens": 0}
    return attrs.evolve(usage_of(counted), raw=dict(told))


def vectors_of(told: Mapping[str, Any], count: int) -> list[list[float]]:
    """The vectors of an answer, in the order of the inputs.

    Raises:
        ProtocolError: if they are not one vector for each of `count` inputs.
    """
    rows = told.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ProtocolError("the host sent no list of vectors")
    named = [row.get("index") for row in rows]
    places = list(range(len(rows))) if named == [None] * len(rows) else named
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
    """Little-endian floats of 32 bits in base64, if `encoding_format` asks for that."""
    numbers = array.array("f", base64.b64decode(told, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
