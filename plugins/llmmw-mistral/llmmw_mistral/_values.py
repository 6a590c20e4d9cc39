"""JSON of which nobody knows the form: what it should be, or nothing of the kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw.errors import ProtocolError
from llmmw.wire import Reply, loads

__all__ = ["NAME", "number_of", "object_in", "object_of", "objects_of", "seconds_of", "text_of"]

NAME = "mistral"
"""The provider under whose name parts keep what only this host understands."""

_MOST = 2**63
_LAST = 1e15
"""No time is later: seconds since 1970."""


def text_of(told: Any) -> str:
    """A text, or an empty one."""
    return told if isinstance(told, str) else ""


def object_of(told: Any) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return told if isinstance(told, dict) else {}


def objects_of(told: Any) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def number_of(told: Any) -> int | None:
    """A count."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


def seconds_of(told: Any) -> float | None:
    """A time since 1970."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not abs(told) < _LAST:
        return None
    return float(told)


def object_in(reply: Reply, data: bytes) -> dict[str, Any]:
    """The object that a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told
