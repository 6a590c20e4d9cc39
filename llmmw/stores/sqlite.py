"""A store in a file of SQLite, which several processes may use at once.

::

    get   front of memory (1 s) ──▶ what waits to be written ──▶ the file, in the event loop
    put   what waits to be written ──▶ one thread ──▶ the file, as many at once as there are

A row is read in some microseconds, less than it takes to hand the work to a thread. What a killed
program has not written yet is asked for again; what is written survives it whole.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from llmmw._cache_events import StoreFailed
from llmmw._memory import Kept, Lru, whole
from llmmw._store import Stored, StoreError
from llmmw._tasks import Host, open_nursery
from llmmw.stores._database import Database, Row, is_busy, is_damage, open_database

__all__ = ["SqliteStore"]

T = TypeVar("T")

_FRESH = 1.0
"""Seconds that a value in memory is given without a look at the file, which others may change."""
_TOUCH = 3600
"""Seconds after which another use of an entry is noted."""
_MOST_WAITING = 64 * 2**20
_MOST_AT_ONCE = 500
_TRIM_EVERY = 1000
_WARN_EVERY = 60.0
"""Seconds between two warnings that entries are lost. Events tell of all of them."""
_inherited: list[object] = []
_log = logging.getLogger("llmmw.store")


def _path(given: str | Path | None) -> Path:
    if given is not None:
        return Path(os.path.expanduser(given))  # noqa: PTH111 (it leaves an unknown home as it is)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(base or os.path.expanduser("~/.cache")) / "llmmw" / "cache.db"  # noqa: PTH111


@attrs.define(eq=False)
class _Waiting:
    """What is to be written."""

    batch: dict[str, Kept | None] = attrs.field(factory=dict)
    used: dict[str, int] = attrs.field(factory=dict)
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.batch or self.used)


@attrs.define(eq=False)
class SqliteStore:
    """Keeps values in a file, for its owner alone to read. Its clock is the machine's.

    A damaged file is renamed, and a new one begun; a warning says so.

    Args:
        path: the file; it is made if it is not there. Default: `llmmw/cache.db` in the user's
            folder for caches.
        max_bytes: how large the file may become, about; what was used least goes first.
        memory: bytes of what was used last that are kept in memory, too. A value there may be
            one second behind what another process has written.
        read_only: nothing is written, and the file must be there.
    """

    path: Path = attrs.field(default=None, converter=_path)
    max_bytes: int = attrs.field(default=2**30, validator=whole(2**16), kw_only=True)
    memory: int = attrs.field(default=16 * 2**20, validator=whole(0), kw_only=True)
    read_only: bool = attrs.field(default=False, kw_only=True)
    _front: Lru = attrs.field(init=False, repr=False)
    _waiting: _Waiting = attrs.field(factory=_Waiting, init=False, repr=False)
    _written: _Waiting = attrs.field(factory=_Waiting, init=False, repr=False)
    """What is being written just now."""
    _news: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _thread: trio.CapacityLimiter = attrs.field(init=False, repr=False)
    _database: Database | None = attrs.field(default=None, init=False, repr=False)
    _host: Host | None = attrs.field(default=None, init=False, repr=False)
    _healing: trio.Lock = attrs.field(factory=trio.Lock, init=False, repr=False)
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False, repr=False)
    _counts: dict[str, int] = attrs.field(init=False, repr=False)
    _warned: float = attrs.field(default=-math.inf, init=False, repr=False)
    """When it was last said that entries are lost."""
    _process: int = attrs.field(default=0, init=False, repr=False)
    """Where it was opened."""

    def __attrs_post_init__(self) -> None:
        self._front = Lru(100_000, self.memory)
        self._counts = dict.fromkeys(("written", "batches", "evicted", "lost", "waited"), 0)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """The lifetime: the file is open, and what is put is written behind.

        Raises:
            StoreError: if the file is something else, or the store is open already.
        """
        if self._database is not None:
            if self._process == os.getpid():
                raise StoreError(f"{self.path} is open already")
            self._forget_parent()
        self._process = os.getpid()
        self._host, self._thread = host, trio.CapacityLimiter(1)
        await self._connect()
        try:
            async with open_nursery() as nursery:
                if not self.read_only:
                    nursery.start_soon(self._write_behind)
                try:
                    yield
                finally:
                    self._open().hurry()
                    nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._close()

    def _forget_parent(self) -> None:
        """What a forked process has of its parent's: no connection may be used there, or closed."""
        _inherited.append(self._database)
        self._database, self._front = None, Lru(100_000, self.memory)
        self._waiting, self._written, self._news = _Waiting(), _Waiting(), trio.Event()
        self._turn, self._healing = trio.Lock(), trio.Lock()

    async def _connect(self) -> None:
        opening = self.path, self.read_only
        self._database, message = await trio.to_thread.run_sync(
            lambda: open_database(opening[0], read_only=opening[1]), limiter=self._thread
        )
        if message:
            self._tell(message)

    async def _close(self) -> None:
        database = self._open()
        with suppress(sqlite3.Error):  # a file that could not be replaced is closed already
            await self._write()
        self._database = None
        self._front = Lru(100_000, self.memory)
        await trio.to_thread.run_sync(database.close, limiter=self._thread)

    def _open(self) -> Database:
        if self._database is None:
            raise StoreError(f"the store {self.path} is not open")
        return self._database

    def _tell(self, message: str, level: int = logging.WARNING) -> None:
        _log.log(level, "%s", message)
        if self._host is not None:
            self._host.emit(StoreFailed(trio.current_time(), str(self.path), message))

    async def _in_thread(self, work: Callable[[Database], T]) -> T:
        """Work that blocks, one after the other. A damaged file is replaced before it is done."""
        database = self._open()
        try:
            return await trio.to_thread.run_sync(work, database, limiter=self._thread)
        except sqlite3.DatabaseError as error:
            if not is_damage(error) or self.read_only:
                raise
        await self._heal(database)
        return await trio.to_thread.run_sync(work, self._open(), limiter=self._thread)

    async def _heal(self, damaged: Database) -> None:
        async with self._healing:
            if self._database is damaged:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(damaged.close, limiter=self._thread)
                    await self._connect()

    async def get(self, key: str) -> Stored | None:
        """What is there."""
        self._open()
        now = time.time()
        kept = self._recent(key, now)
        if kept is None:
            try:
                row = self._open().read(key)
            except sqlite3.DatabaseError:
                row = await self._row(key)
            if row is None:
                self._front.pop(key)
                return None
            value, stored, expires, used = row
            kept = Kept(value, stored, math.inf if expires is None else expires, now)
            self._front.put(key, kept)
            if now - used > _TOUCH and not self.read_only:
                self._waiting.used[key] = int(now)
                self._news.set()
        if kept is _GONE or now >= kept.expires:
            return None
        ttl = None if kept.expires == math.inf else kept.expires - now
        return Stored(key, kept.value, max(0.0, now - kept.stored), ttl)

    def _recent(self, key: str, now: float) -> Kept | None:
        """What this process knows better than the file, or as well; `_GONE`: that it is gone."""
        if self._waiting.batch or self._written.batch:
            for waiting in (self._waiting, self._written):
                if key in waiting.batch:
                    return waiting.batch[key] or _GONE
        kept = self._front.get(key)
        return kept if kept is not None and 0 <= now - kept.seen < _FRESH else None

    async def _row(self, key: str) -> Row | None:
        """A row that somebody is in the way of."""
        for pause in (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, None):
            database = self._open()
            try:
                return database.read(key)
            except sqlite3.DatabaseError as error:
                damaged = is_damage(error) and not self.read_only
                if not damaged and (pause is None or not is_busy(error)):
                    raise
            self._counts["waited"] += 1
            if damaged:
                await self._heal(database)
            else:
                await trio.sleep(pause or 0)
        return None

    async def put(
        self, key: str, value: bytes, ttl: float | None = None, *, age: float = 0.0
    ) -> None:
        """Keep a value; it is written soon.

        Raises:
            StoreError: if the store is read-only, or 64 MiB wait to be written already.
        """
        now = time.time()
        kept = Kept(value, now - age, math.inf if ttl is None else now + ttl, now)
        self._let_wait(key, kept, len(value))
        self._front.put(key, kept)

    def _let_wait(self, key: str, kept: Kept | None, size: int) -> None:
        self._open()
        if self.read_only:
            raise StoreError(f"the store {self.path} is read-only")
        if self._waiting.bytes + size > _MOST_WAITING:
            raise StoreError(f"{_MOST_WAITING} bytes wait to be written to {self.path} already")
        self._waiting.bytes += size
        self._waiting.batch[key] = kept
        self._news.set()

    async def delete(self, key: str) -> bool:
        """Forget a value."""
        there = await self.get(key) is not None
        if there:
            self._front.pop(key)
            self._let_wait(key, None, 0)
        return there

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        """All under keys that begin so."""
        if not self.read_only:
            await self.flush()
        after = ""
        while page := await self._in_thread(partial(Database.page, after=after, prefix=prefix)):
            now = time.time()
            for key, value, stored, expires in page:
                if expires is None or now < expires:
                    ttl = None if expires is None else expires - now
                    yield Stored(key, value, max(0.0, now - stored), ttl)
            after = page[-1][0]

    async def flush(self) -> None:
        """Wait until what was put is written; it then survives this program, however it ends."""
        while self._waiting or self._written:
            await self._write()

    async def _write_behind(self) -> None:
        while True:
            await self._news.wait()
            await self._write()

    async def _write(self) -> None:
        """Write what waits."""
        async with self._turn:
            if not self._waiting:
                return
            batch = self._written = self._taken()
            try:
                with trio.CancelScope(shield=True):  # half of it can't be taken back
                    await self._in_thread(lambda database: database.write(batch.batch, batch.used))
                    await self._trim(len(batch.batch))
            except (OSError, ValueError, sqlite3.Error, StoreError) as error:
                self._lose(batch.batch, error)
            finally:
                self._written = _Waiting()

    def _lose(self, keys: Collection[str], error: Exception) -> None:
        self._counts["lost"] += len(keys)
        for key in keys:
            self._front.pop(key)
        now, level = time.monotonic(), logging.DEBUG
        if now - self._warned >= _WARN_EVERY:
            self._warned, level = now, logging.WARNING
        self._tell(f"{self.path}: {len(keys)} entries are lost: {error}", level)

    def _taken(self) -> _Waiting:
        """What is written next: not so much that the thread would be in the way of readers."""
        waiting = self._waiting
        if len(waiting.batch) <= _MOST_AT_ONCE:
            self._waiting, self._news = _Waiting(), trio.Event()
            return waiting
        keys = list(islice(waiting.batch, _MOST_AT_ONCE))
        taken = _Waiting({key: waiting.batch.pop(key) for key in keys}, waiting.used)
        waiting.used = {}
        waiting.bytes -= sum(len(kept.value) for kept in taken.batch.values() if kept)
        return taken

    async def _trim(self, count: int) -> None:
        before, self._counts["written"] = self._counts["written"], self._counts["written"] + count
        self._counts["batches"] += 1
        if before == 0 or before // _TRIM_EVERY != self._counts["written"] // _TRIM_EVERY:
            evicted = await self._in_thread(lambda database: database.trim(self.max_bytes))
            self._counts["evicted"] += evicted

    def statistics(self) -> Mapping[str, Any]:
        """`entries` and `bytes` of the file; of this process, how many were `written`, in how many
        `batches`, `evicted` for want of room and `lost` to failures, and how often a read has
        `waited` for others."""
        database = self._open()
        return {
            "entries": database.count(),
            "bytes": database.bytes(database.reader),
            **self._counts,
        }


_GONE = Kept(b"", 0.0, math.inf)
