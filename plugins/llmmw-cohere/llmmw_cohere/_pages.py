"""Things of an account: where each is, and what answers tell of one, or of a page of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from llmmw.errors import BadRequest, ProtocolError
from llmmw.plugin import Page
from llmmw.wire import Http, Reply
from llmmw_cohere._values import object_in, objects, own, text

__all__ = ["page_of", "place_of", "thing_in"]

T = TypeVar("T")
Json = Mapping[str, Any]

_PAGE = "100"


def place_of(path: str, id: str) -> str:
    """The path of one thing.

    Args:
        path: that of all of them.
        id: the one.

    Raises:
        BadRequest: for an empty id, which would be all of them.
    """
    if not id:
        raise BadRequest(f"{path}: which one? The id is empty")
    return f"{path}/{quote(id, safe='', errors='replace')}"


async def thing_in(reply: Reply, field: str = "", *, id: str = "id") -> Json:
    """The thing that an answer is about.

    Args:
        reply: the answer.
        field: where it stands in it; default: the answer is the thing.
        id: where its id stands.

    Raises:
        LLMError: if there is none.
    """
    told: Json = object_in(reply, await reply.read())
    found = own(told.get(field)) if field else told
    if not text(found.get(id)):
        raise ProtocolError(f"the host answered without the {id} of what was asked for")
    return found


async def page_of(
    http: Http, path: str, field: str, after: str | None, row: Callable[[Json], T]
) -> Page[T]:
    """A page of a list.

    Args:
        http: the way to the host.
        path: of the list.
        field: what the rows are called.
        after: what the page before has told.
        row: makes a row.
    """
    query = {"page_size": _PAGE} | ({} if after is None else {"page_token": after})
    async with http.get(path, query) as reply:
        told = object_in(reply, await reply.read())
    rows = [row(one) for one in objects(told.get(field))]
    return Page(rows, text(told.get("next_page_token")) or None)
