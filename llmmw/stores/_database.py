"""The file of a store in SQLite: opened, checked, read and written. All of it blocks; it is called
in threads, but for the reading of a single row.

A file that SQLite finds damaged is renamed, never deleted, and a new one takes its place. Several
processes may use one file; what one has committed, another reads at once.
"""

from __future__ import annotations

import math
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from llmmw._memory import Kept
from llmmw._store import StoreError

if sys.platform != "win32":
    import fcntl

__all__ = ["Database", "Row", "is_busy", "is_damage", "open_database"]

_APPLICATION = 0x6C6C6D77
_VERSION = 1
_PATIENCE = 30.0
"""Seconds that a thread waits for another process that writes."""
_OPENING = 3.0
"""The same, when the file is opened, for which calls wait."""
_HURRY = 2.0
"""The same, from when the store is to close."""
_LOOK = 250
"""Milliseconds after which it looks whether it is."""
_CHECKED_BYTES = 64 * 2**20
"""A file up to this size is checked as a whole when it is opened; of a larger one, its head."""
_SCHEMA = f"""
CREATE TABLE entries (
    key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, stored REAL NOT NULL,
    expires REAL, used INTEGER NOT NULL
);
CREATE INDEX entries_used ON entries (used);
CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""
_SELECT = "SELECT value, stored, expires, used FROM entries WHERE key = ?"
_PAGE = 100
_AT_ONCE = 100
"""Rows of one statement; some builds of SQLite take no more than 999 values in one."""

Row = tuple[bytes, float, float | None, int]
"""Of an entry: value, when it was stored, when it expires, when it was last used."""


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process is in the way, for a moment."""
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is wrong."""
    return _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


@attrs.define(eq=False)
class Database:
    """An open file: one connection for the event loop, which never waits, one for threads."""

    path: Path
    reader: sqlite3.Connection
    writer: sqlite3.Connection
    _until: float = attrs.field(default=math.inf, init=False)
    """When nobody waits for another process any more."""
    _cursor: sqlite3.Cursor = attrs.field(init=False)
    """One for all rows, since to make one takes as long as to read a row."""

    @_cursor.default
    def _make_cursor(self) -> sqlite3.Cursor:
        return self.reader.cursor()

    def read(self, key: str) -> Row | None:
        """A row, at once.

        Raises:
            sqlite3.OperationalError: if somebody is in the way.
        """
        rows: Sequence[Row] = self._cursor.execute(_SELECT, (key,)).fetchall()
        return rows[0] if rows else None

    def page(self, after: str, prefix: str) -> list[tuple[str, bytes, float, float | None]]:
        """The next rows under keys that begin so."""
        return self.writer.execute(
            "SELECT key, value, stored, expires FROM entries WHERE key > ? AND key >= ? "
            "AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?",
            (after, prefix, len(prefix), prefix, _PAGE),
        ).fetchall()

    def write(self, batch: Mapping[str, Kept | None], used: Mapping[str, int]) -> None:
        """Write values, or (`None`) forget them, and note when others were used: all or none."""
        now = int(time.time())
        put = [
            (key, kept.value, kept.stored, None if kept.expires == math.inf else kept.expires, now)
            for key, kept in batch.items()
            if kept is not None
        ]
        gone = [(key,) for key, kept in batch.items() if kept is None]
        uses = list(used.items())
        with self._transaction() as db:
            _for_rows(db, "INSERT OR REPLACE INTO entries VALUES {}", put)
            _for_rows(db, "DELETE FROM entries WHERE key IN (VALUES {})", gone)
            _for_rows(
                db,
                "WITH uses (one, at) AS (VALUES {}) UPDATE entries "
                "SET used = (SELECT at FROM uses WHERE one = key) "
                "WHERE key IN (SELECT one FROM uses)",
                uses,
            )

    def trim(self, max_bytes: int) -> int:
        """Forget what is too old, and of the rest what was used least until it fits; how many of
        those there were."""
        with self._transaction() as db:
            db.execute("DELETE FROM entries WHERE expires <= ?", (time.time(),))
        evicted = 0
        while self.bytes(self.writer) > max_bytes:
            with self._transaction() as db:
                (count,) = db.execute("SELECT count(*) FROM entries").fetchone()
                found = db.execute(
                    "DELETE FROM entries WHERE rowid IN "
                    "(SELECT rowid FROM entries ORDER BY used LIMIT ?)",
                    (count // 10 + 1,),
                )
                if not found.rowcount:
                    break
                evicted += found.rowcount
        return evicted

    def bytes(self, db: sqlite3.Connection) -> int:
        """What the entries take of the file."""
        page, count, free = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(page * (count - free))

    def count(self) -> int:
        """How many entries there are, those that are too old among them."""
        (count,) = self.reader.execute("SELECT count(*) FROM entries").fetchone()
        return int(count)

    def hurry(self) -> None:
        """Wait for others no longer than a client may take to close; whoever waits already, too."""
        self._until = time.monotonic() + _HURRY

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self.writer.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > min(until, self._until):
                    raise
        with _committed(self.writer) as db:
            yield db

    def close(self) -> None:
        """Close it."""
        self.reader.close()
        self.writer.close()


def _for_rows(db: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """One statement for many rows: after each, a thread has to wait for its turn anew."""
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        one = f"({', '.join('?' * len(some[0]))})"
        values = [given for row in some for given in row]
        db.execute(statement.format(", ".join([one] * len(some))), values)


@contextmanager
def _committed(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def open_database(path: Path, *, read_only: bool = False) -> tuple[Database, str]:
    """Open a file, which is made if there is none, and what there is to say of it.

    Raises:
        StoreError: if it is the database of something else, or of a later version.
        OSError: if there is no way to it.
        sqlite3.Error: likewise.
    """
    if read_only:
        if not path.exists():
            raise StoreError(f"{path} is not there")
        return _patiently(path, read_only=True), ""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _patiently(path), ""
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        reason = str(error)
    with _alone(path):
        try:
            return _patiently(path), ""  # another process was quicker
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        aside = _set_aside(path)
        return _patiently(path), (
            f"{path} was damaged ({reason}); it is set aside as {aside}, and a new one is begun"
        )


def _patiently(path: Path, *, read_only: bool = False) -> Database:
    """Connected, though others do the same: some of what that takes SQLite itself won't wait
    for."""
    until = time.monotonic() + _OPENING
    while True:
        try:
            return _connected(path, read_only=read_only)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _connected(path: Path, *, read_only: bool = False) -> Database:
    if not read_only:  # for its owner alone; SQLite gives its other files the same mode
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    opened = []
    try:
        for timeout in (_LOOK / 1000, 0.0):
            mode = "ro" if read_only else "rw"
            db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=timeout,
                isolation_level=None,
                check_same_thread=False,
            )
            opened.append(db)
            if timeout:
                _prepare(db, path, read_only=read_only)
        writer, reader = opened
        reader.execute(_SELECT, ("",)).fetchall()
    except BaseException:
        for db in opened:
            db.close()
        raise
    return Database(path, reader, writer)


def _prepare(db: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Check a file, and make of an empty one what it should be."""
    # In this order: another process may make them between the two, together.
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if tables and application != _APPLICATION:
        raise StoreError(f"{path} is the database of something else")
    if not read_only:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 67108864")
        if not tables:
            _create(db)
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise StoreError(f"{path} is the database of something else")
    if version != _VERSION:
        raise StoreError(f"{path} is of version {version}; this llmmw knows version {_VERSION}")
    if path.stat().st_size <= _CHECKED_BYTES:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            error = sqlite3.DatabaseError(found.splitlines()[-1])
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    with _committed(db):
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Of all processes that find a file damaged, one sets it aside."""
    lock = path.with_name(f"{path.name}.lock")
    file = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if sys.platform != "win32":
            _lock(file)
        yield
    finally:
        os.close(file)


def _lock(file: int) -> None:
    until = time.monotonic() + _OPENING
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _set_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}-{os.getpid()}")
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return path.rename(aside)
