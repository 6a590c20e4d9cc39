"""A kept question with its vector and its answer, as bytes."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import numpy as np

from llmmw._record import Record, RecordError, read_record, write_record
from llmmw_semantic._index import Vector

__all__ = ["Kept", "read_kept", "unit_vector", "write_kept"]

_VERSION = 1


@attrs.frozen(eq=False)
class Kept:
    """What stands under a key."""

    question: str
    vector: Vector
    record: Record


def write_kept(kept: Kept) -> bytes:
    """It as bytes.

    Raises:
        RecordError: for an answer that has no such form.
    """
    vector = kept.vector.astype("<f4").tobytes()
    return msgspec.msgpack.encode([_VERSION, kept.question, vector, write_record(kept.record)])


def read_kept(data: bytes) -> Kept:
    """The inverse of `write_kept`.

    Raises:
        RecordError: for bytes that it did not write.
    """
    try:
        version, question, vector, record = msgspec.msgpack.decode(data)
        if version != _VERSION or type(question) is not str:
            raise RecordError("it is no question of ours, or of another version")
        numbers = unit_vector(np.frombuffer(vector, "<f4"))
    except (ValueError, TypeError, msgspec.DecodeError) as error:
        raise RecordError(f"it can't be read: {error}") from error
    return Kept(question, numbers, read_record(record))


def unit_vector(given: Any) -> Vector:
    """A vector of length 1.

    Raises:
        ValueError: for what is none.
    """
    vector = np.asarray(given, np.float32)
    length = float(np.linalg.norm(vector)) if vector.ndim == 1 else 0.0
    if not 0 < length < float("inf"):
        raise ValueError("it is no vector")
    return vector / np.float32(length)
