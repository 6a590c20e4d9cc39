"""What the host tells, read leniently."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from llmmw.errors import ProtocolError
from llmmw.wire import Reply, loads

__all__ = ["id_in", "object_of", "rows_in", "seconds_of", "text_of", "told_in"]

_LAST = 1e11


async def told_in(reply: Reply) -> dict[str, Any]:
    """The object that a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(await reply.read())
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told


def text_of(told: Any) -> str:
    """A text; a number is taken for one."""
    if isinstance(told, str):
        return told
    return str(told) if isinstance(told, int) and not isinstance(told, bool) else ""


def object_of(told: Any) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return told if isinstance(told, Mapping) else {}


def rows_in(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a list.

    Raises:
        ProtocolError: if there is no list.
    """
    rows = told.get(name)
    if not isinstance(rows, list):
        raise ProtocolError(f"the host told no list of {name.replace('_', ' ')}")
    return [row for row in rows if isinstance(row, Mapping)]


def id_in(told: Mapping[str, Any], *names: str) -> str:
    """What the host calls the thing, under whichever of its names.

    Raises:
        ProtocolError: if it tells none.
    """
    found = next(filter(None, (text_of(told.get(name)) for name in names)), "")
    if not found:
        raise ProtocolError(f"the host told no {names[0]}")
    return found


def seconds_of(told: Any) -> float | None:
    """A time, in seconds since 1970: told so, as a number or its text, or as a date."""
    if isinstance(told, str):
        with suppress(ValueError):
            when = datetime.fromisoformat(told)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        with suppress(ValueError):
            told = float(told)
    known = isinstance(told, (int, float)) and not isinstance(told, bool) and 0 <= told < _LAST
    return float(told) if known else None
