"""JSON of which nobody knows the form: what it should be, or nothing of the kind. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmmw.errors import BadRequest, LLMError, ProtocolError
from llmmw.wire import Reply, loads

__all__ = [
    "NAME",
    "error_in",
    "number_of",
    "object_in",
    "object_of",
    "objects_of",
    "own",
    "seconds_of",
    "text_of",
]

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
    """A count, which may stand there as a text."""
    if isinstance(told, str) and re.fullmatch("[0-9]{1,18}", told):
        return int(told)
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


def seconds_of(told: Any) -> float | None:
    """A time since 1970."""
    told = number_of(told) if isinstance(told, str) else told
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not abs(told) < _LAST:
        return None
    return float(told)


def own(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for this host among those that a message, a part or a tool has besides.

    Raises:
        BadRequest: if they are no object.
    """
    fields = extra.get(NAME)
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise BadRequest(f"extra[{NAME!r}]={fields!r}: expected an object")
    return dict(fields)


def error_in(reply: Reply, told: Any) -> LLMError | None:
    """The error inside an answer to a question, if there is one. The host's newer form is a
    message where choices, or vectors, would be."""
    if isinstance(told, dict) and text_of(told.get("message")) and told.keys().isdisjoint(_GIVEN):
        return reply.error(told)
    return reply.error_in(told)


_GIVEN = {"choices", "data"}


def object_in(reply: Reply, data: bytes) -> dict[str, Any]:
    """The object that a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    error = error_in(reply, told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told
