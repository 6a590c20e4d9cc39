"""Between a cache and its store: answers instead of bytes, and a failure is a miss."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, cast

import attrs
import trio

from llmmw._call import Call
from llmmw._ledger import CacheStored, StoreFailed
from llmmw._record import Record, RecordError, read_record, write_record
from llmmw._response import Generation
from llmmw._store import GivenStore, Store, StoreError, name_of_store, opened
from llmmw._tasks import Host
from llmmw.errors import ConfigError, LLMError
from llmmw.policies._cache_answers import Place, several, together
from llmmw.policies._cache_counts import Counts
from llmmw.policies._cache_key import Keys

__all__ = ["Found", "Shelf"]

_WARN_EVERY = 60.0
"""Seconds between two warnings of a store that can't be used. Events tell of each time."""
_MOST = 2000
_MOST_BYTES = 2**14
_log = logging.getLogger("llmmw.store")


@attrs.define
class Found:
    """A kept answer."""

    record: Record
    age: float


@attrs.define(eq=False)
class _Read:
    """A record as it was read from these bytes, to be given again. It is frozen but for mappings
    in it; where one has something in it, perhaps by now, it is read anew."""

    value: bytes
    record: Record
    _mappings: list[Mapping[Any, Any]] | None = attrs.field(default=None, init=False)

    def is_still(self, value: bytes) -> bool:
        """Whether it is what these bytes say."""
        if value is not self.value:
            return False
        if self._mappings is None:
            record = self.record
            self._mappings = [*_mappings(record.answer), *_mappings(record.deltas)]
        return not any(self._mappings)


@attrs.define(eq=False)
class Shelf:
    """Reads and writes answers. Whatever a store raises becomes an event in the call's ledger."""

    given: GivenStore
    keys: Keys
    ttl: float | None = attrs.field(kw_only=True)
    """Seconds that answers are kept."""
    negative: float = attrs.field(kw_only=True)
    """Seconds that errors are kept."""
    max_bytes: int = attrs.field(kw_only=True)
    counts: Counts = attrs.field(factory=Counts, init=False)
    _host: Host | None = attrs.field(default=None, init=False)
    _store: Store | None = attrs.field(default=None, init=False)
    """The one that was used last, and the host that has opened it."""
    _warned: float = attrs.field(default=-math.inf, init=False)
    """When it was last said that the store can't be used."""
    _read: OrderedDict[str, _Read] = attrs.field(factory=OrderedDict, init=False)

    async def look_for(self, call: Call, key: str, sample: int) -> Found | None:
        """The answer to a call; for a request of several, of as many single ones, too."""
        request, tenant = call.request, call.tenant
        found = await self.look(call, key)
        n = several(request)
        if found is not None or not n:
            return found
        ones = await self.samples(call, sample)
        if len(ones) < n:
            return None
        answer = together([one.record for one in ones])
        return Found(Record(answer, request.model, tenant, sample), max(one.age for one in ones))

    async def samples(
        self, call: Call, sample: int, late: Callable[[Found], float] = lambda _: 0.0
    ) -> list[Found]:
        """Of the single answers that a request of several is the same as, those that are there and
        not late, as far as none is missing."""
        n, found = several(call.request), list[Found]()
        single = call.request.replace(n=None) if n else call.request
        for number in range(sample * n, (sample + 1) * n):
            one = await self.look(call, self.keys.of_sample(single, call.tenant, number))
            if one is None or not isinstance(one.record.answer, Generation) or late(one) > 0:
                break
            found.append(one)
        return found

    async def look(self, call: Call, key: str) -> Found | None:
        """The answer that is kept under a key for the call's tenant."""
        try:
            store = self._store if self._host is call.host else None
            stored = await (store or await self._opened(call)).get(key)
        except ConfigError:  # there is no such store, or not with such options
            raise
        except Exception as error:  # a store is never worth a call
            self._fail(call, error)
            return None
        if stored is None:
            return None
        read = self._read.get(key)
        if read is not None and read.is_still(stored.value):
            return Found(read.record, stored.age)
        try:
            record = read_record(stored.value)
        except RecordError as error:
            self._tell(call, f"the entry {key}: {error}")
            return None
        if record.tenant != call.tenant:
            self._tell(call, f"the entry {key} is somebody else's")
            return None
        self._remember(key, stored.value, record)
        return Found(record, stored.age)

    def _remember(self, key: str, value: bytes, record: Record) -> _Read:
        read = _Read(value, record)
        if len(value) <= _MOST_BYTES:
            self._read[key] = read
            if len(self._read) > _MOST:
                self._read.popitem(last=False)
        return read

    async def keep(self, call: Call, place: Place, old: Found | None) -> None:
        """Keep an answer, in place of an old one; an error takes the place of none."""
        record = place.record
        key = self.keys.of_sample(place.request, call.tenant, place.sample)
        beside = place.beside or isinstance(record.answer, LLMError)
        if beside and await self.look(call, key) is not None:
            return
        value = _bytes_of(record)
        ttl = self.negative if isinstance(record.answer, LLMError) else self.ttl
        if not 0 < len(value) <= self.max_bytes:
            self.counts.refused += 1
        elif await self._put(call, key, value, ttl):
            how = "new"
            if old is not None and not place.beside:
                how = "redundant" if old.record.answer == record.answer else "overwritten"
            self.counts.kept(how, place.sample)
            self._remember(key, value, read_record(value)).is_still(value)
            now, parent = trio.current_time(), call.attempt.number
            call.ledger.write(CacheStored, now, key, record.target, len(value), how, parent)

    async def _put(self, call: Call, key: str, value: bytes, ttl: float | None) -> bool:
        try:
            await (await self._opened(call)).put(key, value, ttl)
        except ConfigError:  # there is no such store, or not with such options
            raise
        except Exception as error:  # a store is never worth a call
            self._fail(call, error)
            return False
        return True

    async def _opened(self, call: Call) -> Store:
        assert call.host is not None
        self._host = None
        self._store = await opened(call.host, self.given)
        self._host = call.host
        return self._store

    def _fail(self, call: Call, error: Exception) -> None:
        """A store that is open logs by itself what it calls a `StoreError`."""
        told = isinstance(error, StoreError) and self._host is not None
        now, message = trio.current_time(), f"{type(error).__name__}: {error}"
        self._tell(call, message)
        if not told and not 0 <= now - self._warned < _WARN_EVERY:
            self._warned = now
            name = name_of_store(self.given)
            _log.warning("calls go on without the store %s: %s", name, message)

    def _tell(self, call: Call, message: str) -> None:
        self._host = None  # it may have closed
        self.counts.failed += 1
        name = name_of_store(self.given)
        call.ledger.write(StoreFailed, trio.current_time(), name, message, call.attempt.number)

    def statistics(self) -> dict[str, Any]:
        """Those of the store that was used last, if it is open."""
        try:
            return {} if self._store is None else dict(self._store.statistics())
        except Exception:  # it is closed, or out of reach
            return {}


def _bytes_of(record: Record) -> bytes:
    """An answer as bytes; none where it can't be kept."""
    try:
        return write_record(record)
    except RecordError:
        return b""


def _mappings(item: Any) -> Iterator[Mapping[Any, Any]]:
    kind = type(item)
    if kind is tuple:
        for one in item:
            if type(one) not in _ATOMS:
                yield from _mappings(one)
    elif isinstance(item, Mapping):
        yield item
    elif kind not in _ATOMS and attrs.has(kind):
        for name in _names_of(cast("Any", kind)):
            one = getattr(item, name)
            if type(one) not in _ATOMS:
                yield from _mappings(one)


_ATOMS = {str, int, float, bool, bytes, type(None)}


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))
