"""What is kept in memory: values by key, of which the least recently used go first."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from llmmw._store import Stored
from llmmw._tasks import Host
from llmmw.errors import ConfigError

__all__ = ["Kept", "Lru", "MemoryStore", "whole"]


def whole(low: int) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """A whole number, `low` or more."""

    def check(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
        if type(given) is not int or given < low:
            raise ConfigError(
                f"{type(item).__name__}({field.name}={given!r}): "
                f"expected a whole number from {low} on"
            )

    return check


_OVERHEAD = 200
"""Bytes that an entry takes besides its key and its value, about."""


@attrs.define(eq=False)
class Kept:
    """A value with the times of a clock: when it was put, until when it may be given."""

    value: bytes
    stored: float
    expires: float
    seen: float = 0.0
    """When it was last looked for where it came from."""


@attrs.define(eq=False)
class Lru:
    """Values by key, so many and so many bytes of them at most; the least recently used go."""

    max_entries: int
    max_bytes: int
    bytes: int = attrs.field(default=0, init=False)
    evicted: int = attrs.field(default=0, init=False)
    _kept: OrderedDict[str, Kept] = attrs.field(factory=OrderedDict, init=False)

    def get(self, key: str) -> Kept | None:
        """What is there, which counts as used."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: str, kept: Kept) -> None:
        """Keep it, unless it is larger than all together may be."""
        self.pop(key)
        size = _size(key, kept)
        if size > self.max_bytes or not self.max_entries:
            return
        self._kept[key] = kept
        self.bytes += size
        while self.bytes > self.max_bytes or len(self._kept) > self.max_entries:
            self.pop(next(iter(self._kept)))
            self.evicted += 1

    def pop(self, key: str) -> Kept | None:
        """Forget it."""
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= _size(key, found)
        return found

    def shift(self, seconds: float) -> None:
        """The clock is now so far ahead of what it was."""
        for kept in self._kept.values():
            kept.stored += seconds
            kept.expires += seconds

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin so, in their order."""
        return sorted(key for key in self._kept if key.startswith(prefix))

    def __len__(self) -> int:
        return len(self._kept)


def _size(key: str, kept: Kept) -> int:
    return len(key) + len(kept.value) + _OVERHEAD


@attrs.frozen(eq=False)
class MemoryStore:
    """Keeps values in memory. Its clock is trio's.

    Args:
        max_entries: how many values are kept at most; the least recently used go first.
        max_bytes: how many bytes they may take together, keys included.
    """

    max_entries: int = attrs.field(default=10_000, validator=whole(1))
    max_bytes: int = attrs.field(default=64 * 2**20, validator=whole(1))
    _lru: Lru = attrs.field(init=False, repr=False)
    _clock: list[Any] = attrs.field(factory=list, init=False, repr=False)
    """That of the run which has opened it last, and how far it was ahead of the machine's."""

    @_lru.default
    def _make_lru(self) -> Lru:
        return Lru(self.max_entries, self.max_bytes)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """There is nothing to open. What is there stays for the next host, and goes on to age if
        that is one of another run of trio, whose clock begins anywhere."""
        clock = trio.lowlevel.current_clock()
        ahead = trio.current_time() - time.monotonic()
        if self._clock and self._clock[0] is not clock:
            self._lru.shift(ahead - self._clock[1])
        if not self._clock or self._clock[0] is not clock:
            self._clock[:] = clock, ahead
        yield

    async def get(self, key: str) -> Stored | None:
        """What is there."""
        return self._found(key, self._lru.get(key), trio.current_time())

    def _found(self, key: str, kept: Kept | None, now: float) -> Stored | None:
        if kept is None:
            return None
        if now >= kept.expires:
            self._lru.pop(key)
            return None
        ttl = None if kept.expires == math.inf else kept.expires - now
        return Stored(key, kept.value, max(0.0, now - kept.stored), ttl)

    async def put(
        self, key: str, value: bytes, ttl: float | None = None, *, age: float = 0.0
    ) -> None:
        """Keep a value."""
        now = trio.current_time()
        self._lru.put(key, Kept(value, now - age, math.inf if ttl is None else now + ttl))

    async def delete(self, key: str) -> bool:
        """Forget a value."""
        return self._lru.pop(key) is not None

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        """All under keys that begin so."""
        for key in self._lru.keys(prefix):
            found = await self.get(key)
            if found is not None:
                yield found

    async def flush(self) -> None:
        """Nothing is safer than it is."""

    def statistics(self) -> Mapping[str, Any]:
        """`entries`, `bytes`, and how many were `evicted` for want of room."""
        return {"entries": len(self._lru), "bytes": self._lru.bytes, "evicted": self._lru.evicted}
