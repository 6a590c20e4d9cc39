"""What administration reads: objects, times, and lists in pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from llmmw.errors import ProtocolError
from llmmw.plugin import Page
from llmmw.wire import Http, Reply, loads

__all__ = ["object_in", "page_of", "seconds_in", "whole_in"]

T = TypeVar("T")
_PAGE = "100"


async def page_of(
    http: Http, path: str, after: str | None, row: Callable[[Mapping[str, Any]], T]
) -> Page[T]:
    """A page of a list; the next begins after the last row of this."""
    query = {"limit": _PAGE} if after is None else {"limit": _PAGE, "after_id": after}
    async with http.get(path, query) as reply:
        told = object_in(reply, await reply.read())
    data = told.get("data") or []
    if not isinstance(data, list):
        raise ProtocolError(f"the host sent a {type(data).__name__} where a list belongs")
    rows = [one for one in data if isinstance(one, Mapping)]
    last = told.get("last_id") or (rows[-1].get("id") if rows else None)
    if last is not None and last == after:  # it knows no `after_id`, and has begun anew
        return Page(())
    more = told.get("has_more") is True and isinstance(last, str)
    return Page([row(one) for one in rows], last if more else None)


def object_in(reply: Reply, data: bytes) -> Mapping[str, Any]:
    """The object that a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, Mapping):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told


def seconds_in(told: Any) -> float | None:
    """A time as seconds since 1970."""
    try:
        return datetime.fromisoformat(told).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def whole_in(told: Mapping[str, Any], name: str) -> int | None:
    """A whole number."""
    found = told.get(name)
    return found if type(found) is int else None
