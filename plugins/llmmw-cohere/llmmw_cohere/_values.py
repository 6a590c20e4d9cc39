"""Pieces of JSON as they should be, whatever a host sends. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from llmmw.errors import BadRequest, ProtocolError
from llmmw.wire import Reply, loads

__all__ = [
    "NAME",
    "fields_of",
    "listed",
    "number",
    "object_in",
    "objects",
    "own",
    "real",
    "seconds",
    "text",
]

NAME = "cohere"
"""Under which parts keep what only this wire understands."""

Json = Mapping[str, Any]

_MOST = 2**63


def text(told: Any) -> str:
    """A text; nothing for what is none."""
    return told if isinstance(told, str) else ""


def own(told: Any) -> Json:
    """An object; an empty one for what is none."""
    return told if isinstance(told, dict) else {}


def listed(told: Any) -> list[Any]:
    """A list; an empty one for what is none."""
    return told if isinstance(told, list) else []


def objects(told: Any) -> list[Json]:
    """The objects of a list, or the one that stands in its place."""
    return [one for one in ([told] if isinstance(told, dict) else listed(told)) if own(one)]


def fields_of(extra: Json) -> dict[str, Any]:
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


def number(told: Any) -> int | None:
    """A count, which this host writes as a float or a text in places."""
    if isinstance(told, str) and told.isascii() and told.isdigit():
        told = int(told[:20])
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


def real(told: Any) -> float | None:
    """A finite number; `None` for what is none."""
    try:
        found = float(told) if type(told) in {int, float} else math.nan
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def seconds(told: Any) -> float | None:
    """A time since 1970, from RFC 3339; hosts write the year 1 for what has not come yet."""
    try:
        when = datetime.fromisoformat(told)
        found = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found >= 0 else None


def object_in(reply: Reply, data: bytes | str) -> dict[str, Any]:
    """The object that an answer or an event is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    if isinstance(told, dict):
        error = reply.error_in(told)
        is_other = told.get("type") not in (None, "error")  # an event of that kind
        if error is None and isinstance(told.get("message"), str) and not is_other:
            error = reply.error(told)  # the form of all errors here
        if error is None:
            return told
        raise error
    raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
