"""The items that a node goes through: of iterators, no further than it needs, and but once."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from typing import Any

import attrs

from llmmw.errors import BadRequest

__all__ = ["each", "once"]


@attrs.define(eq=False, repr=False)
class _Once:
    """An iterator, which can be gone through only once."""

    items: Any
    begun: bool = False

    def __repr__(self) -> str:
        return repr(self.items)


def once(items: Any) -> Any:
    """The same; of an iterator, what `each` goes through but once."""
    return _Once(items) if isinstance(items, (Iterator, AsyncIterator)) else items


async def each(items: Any) -> Any:
    """Each of several items.

    Raises:
        BadRequest: if they are none, or an iterator that an earlier run has begun with.
    """
    if isinstance(items, _Once):
        if items.begun:
            raise BadRequest(
                f"an earlier run has begun with {items.items!r}, which can be read only once: "
                "give a list, or an executable that makes it"
            )
        items.begun, items = True, items.items
    if isinstance(items, AsyncIterable):
        several = aiter(items)
        try:
            async for item in several:
                yield item
        finally:
            if hasattr(several, "aclose"):
                await several.aclose()
        return
    if not isinstance(items, Iterable):
        raise BadRequest(f"expected an iterable of items, not {items!r}")
    with closing(items) if isinstance(items, Generator) else nullcontext():
        for item in items:
            yield item
