"""Stores one behind the other: one's own, one that is shared, and others to read.

::

    get   own ──▶ shared ──▶ additional …      the first that has it; kept in one's own then
    put   own
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from llmmw._cache_events import StoreFailed
from llmmw._store import (
    GivenStore,
    Store,
    Stored,
    StoreError,
    check_given,
    name_of_store,
    opened,
    shown,
)
from llmmw._tasks import Host

__all__ = ["Layers"]


def _given(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
    for one in given if isinstance(given, tuple) else [given]:
        if one is not None:
            check_given(f"Layers({field.name}=…)", one)


def _all_shown(given: tuple[GivenStore, ...]) -> str:
    return f"[{', '.join(map(shown, given))}]"


@attrs.define(eq=False)
class Layers:
    """Read several stores, write one.

    What only another store has is kept in one's own, as old as it is, when it is read. What is
    deleted is deleted of one's own. If one of them fails to be read, or one's own to keep what
    another has, the rest go on, and an event tells.

    Args:
        own: where everything is written; looked at first.
        shared: looked at next, such as that of a team.
        additional: looked at last, in their order.
    """

    own: GivenStore = attrs.field(validator=_given, repr=shown)
    shared: GivenStore | None = attrs.field(default=None, validator=_given, repr=shown)
    additional: tuple[GivenStore, ...] = attrs.field(
        default=(), converter=tuple, validator=_given, repr=_all_shown, kw_only=True
    )
    _stores: list[Store] = attrs.field(factory=list, init=False, repr=False)
    _kinds: list[str] = attrs.field(factory=list, init=False, repr=False)
    _host: Host | None = attrs.field(default=None, init=False, repr=False)
    _counts: dict[str, int] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        names = ("own", "shared", "additional", "promoted", "failed")
        self._counts = dict.fromkeys(names, 0)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Opens them all.

        Raises:
            Exception: what the opening of one's own raised.
        """
        self._host, found = host, [await opened(host, self.own)]
        kinds = ["own"]
        others = [("shared", self.shared), *(("additional", one) for one in self.additional)]
        for kind, given in others:
            if given is not None:
                try:
                    found.append(await opened(host, given))
                    kinds.append(kind)
                except Exception as error:
                    self._tell(given, error)
        self._stores, self._kinds = found, kinds
        try:
            yield
        finally:
            self._stores = []

    def _tell(self, store: GivenStore, error: Exception) -> None:
        self._counts["failed"] += 1
        if self._host is not None:
            self._host.emit(StoreFailed(trio.current_time(), name_of_store(store), str(error)))

    def _own(self) -> Store:
        if not self._stores:
            raise StoreError("these layers are not open")
        return self._stores[0]

    async def get(self, key: str) -> Stored | None:
        """What the first of them has."""
        self._own()
        for place, store in enumerate(self._stores):
            try:
                found = await store.get(key)
            except Exception as error:
                self._tell(store, error)
                continue
            if found is not None:
                self._counts[self._kinds[place]] += 1
                if place:
                    await self._promote(found)
                return found
        return None

    async def _promote(self, found: Stored) -> None:
        try:
            await self._own().put(found.key, found.value, found.ttl, age=found.age)
            self._counts["promoted"] += 1
        except Exception as error:
            self._tell(self.own, error)

    async def put(
        self, key: str, value: bytes, ttl: float | None = None, *, age: float = 0.0
    ) -> None:
        """Keep a value in one's own."""
        await self._own().put(key, value, ttl, age=age)

    async def delete(self, key: str) -> bool:
        """Forget a value of one's own."""
        return await self._own().delete(key)

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        """All that `get` would find, in the order of the keys."""
        self._own()
        rows = [store.scan(prefix) for store in self._stores]
        heads = [await anext(row, None) for row in rows]
        while any(head is not None for head in heads):
            first = min((head for head in heads if head is not None), key=lambda head: head.key)
            yield first
            for place, head in enumerate(heads):
                if head is not None and head.key == first.key:
                    heads[place] = await anext(rows[place], None)

    async def flush(self) -> None:
        """Wait until one's own is written."""
        await self._own().flush()

    def statistics(self) -> Mapping[str, Any]:
        """Those of one's own; how often each kind was the one that had it (`own`, `shared`,
        `additional`), how many were `promoted` into one's own, and how often others `failed`."""
        return {**self._own().statistics(), **self._counts}
