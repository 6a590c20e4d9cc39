"""Lists that come in pages with a number, as most of this host's do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from llmmw.errors import BadRequest
from llmmw.plugin import Page
from llmmw.wire import Http, loads
from llmmw_mistral._values import number_of, object_in, objects_of

__all__ = ["ask", "page_of", "remove"]

T = TypeVar("T")

_SIZE = 100


async def page_of(
    http: Http, path: str, after: str | None, read: Callable[[Mapping[str, Any]], T]
) -> Page[T]:
    """One page of a list.

    Args:
        http: the way to the host.
        path: of the list.
        after: which page; default: the first.
        read: makes a row.

    Raises:
        LLMError: what the host says, or if `after` is of no page.
    """
    number, seen = _place_of(after)
    told = await ask(http, "GET", path, query={"page": str(number), "page_size": str(_SIZE)})
    rows = told.get("data")
    size = len(rows) if isinstance(rows, list) else 0
    total = number_of(told.get("total"))
    seen += size
    more = bool(size) and (size >= _SIZE if total is None else seen < total)
    return Page([read(row) for row in objects_of(rows)], f"{number + 1}:{seen}" if more else None)


def _place_of(after: str | None) -> tuple[int, int]:
    """The number of a page, and how many rows stand before it: fewer than were asked for, if the
    host has a limit of its own."""
    number, _, seen = (number_of(one) for one in (after or "0:0").partition(":"))
    if number is None or seen is None:
        raise BadRequest(f"after={after!r}: expected that of a page")
    return number, seen


async def ask(
    http: Http,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The object that the host answers with. One that has an id may tell of an error as well, of
    its own and not of the request."""
    async with http.request(method, path, body, query=query) as reply:
        data = await reply.read()
        told = loads(data)
        return told if isinstance(told, dict) and told.get("id") else object_in(reply, data)


async def remove(http: Http, path: str) -> None:
    """Have something deleted; what the host says of it is its own affair."""
    async with http.delete(path) as reply:
        await reply.drain()
