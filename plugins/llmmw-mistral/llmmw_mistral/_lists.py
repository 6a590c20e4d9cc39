"""Lists that come in pages with a number, as most of this host's do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

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
        after: the number of the page; default: the first, which is 0.
        read: makes a row.
    """
    number = int(after or 0)
    told = await ask(http, "GET", path, query={"page": str(number), "page_size": str(_SIZE)})
    rows = objects_of(told.get("data"))
    total = number_of(told.get("total"))
    seen = number * _SIZE + len(rows)
    more = bool(rows) and (len(rows) >= _SIZE if total is None else seen < total)
    return Page([read(row) for row in rows], str(number + 1) if more else None)


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
