"""The file of a journal: a database of SQLite with one row for each row of the input that has its
answer or its error. All of it blocks.

The connection holds the file for itself as long as it is open, and lets go of it however the
program ends. What was committed survives the program; after a loss of power, the last rows may
be missing, and are asked again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from llmmw._record import Record, RecordError, read_record
from llmmw._response import Response
from llmmw._store import StoreError
from llmmw.errors import ConfigError, LLMError

__all__ = ["JobFile", "JobRow", "open_job_file"]

_APPLICATION = 0x6C6C6D6A
_VERSION = 1
_PATIENCE = 2.0
"""Seconds that a program which is just ending may still hold the file."""
_PAGE = 500
_AT_ONCE = 1000
_SCHEMA = f"""
CREATE TABLE rows (
    place INTEGER PRIMARY KEY, key BLOB NOT NULL, failed INTEGER NOT NULL,
    id TEXT NOT NULL, seconds REAL, record BLOB NOT NULL
);
CREATE TABLE about (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


@attrs.frozen
class JobRow:
    """What came of a row of the input."""

    place: int
    """Where in the input it stands, from 0."""
    key: bytes
    """Of its request; empty for what could not be asked."""
    failed: bool
    id: str
    """As JSON."""
    seconds: float | None
    record: bytes

    @property
    def answer(self) -> Response | LLMError:
        """The answer or the error.

        Raises:
            StoreError: if it can't be read.
        """
        try:
            found: Record = read_record(self.record)
        except RecordError as error:
            raise StoreError(
                f"row {self.place} of the journal can't be read: {error}; take a new journal"
            ) from error
        return found.answer


@attrs.define(eq=False)
class JobFile:
    """An open journal. One thread at a time may use it."""

    path: Path
    _db: sqlite3.Connection = attrs.field(repr=False)

    def page(self, first: int) -> tuple[list[JobRow], int]:
        """What is known of some rows from this place on, and the place after them."""
        found = self._read(
            "SELECT * FROM rows WHERE place >= ? AND place < ? ORDER BY place",
            first,
            first + _PAGE,
        )
        return [_row(one) for one in found], first + _PAGE

    def rows(self) -> Iterator[JobRow]:
        """All rows, in the order of the input."""
        after = -1
        while found := self._read(
            "SELECT * FROM rows WHERE place > ? ORDER BY place LIMIT ?", after, _PAGE
        ):
            yield from map(_row, found)
            after = found[-1][0]

    def counts(self) -> tuple[int, int, int]:
        """How many rows have an answer, how many an error, and the place after the last."""
        ((failed, every, last),) = self._read(
            "SELECT coalesce(sum(failed), 0), count(*), coalesce(max(place), -1) FROM rows"
        )
        return every - failed, failed, last + 1

    def failed(self) -> dict[int, JobRow]:
        """The rows that have an error, by their places."""
        found = self._read("SELECT * FROM rows WHERE failed")
        return {row.place: row for row in map(_row, found)}

    def is_numbered(self) -> bool:
        """Whether all ids are whole numbers of 64 bits."""
        other = "CAST(CAST(id AS INTEGER) AS TEXT) != id"
        return not self._read(f"SELECT 1 FROM rows WHERE {other} LIMIT 1")  # noqa: S608 (ours)

    def about(self) -> dict[str, Any]:
        """What is known of the whole."""
        return dict(self._read("SELECT name, value FROM about"))

    def _read(self, statement: str, *given: object) -> list[Any]:
        """What a statement finds.

        Raises:
            ConfigError: if the file is damaged.
        """
        try:
            return self._db.execute(statement, given).fetchall()
        except sqlite3.Error as error:
            raise ConfigError(_problem(self.path, error)) from error

    def write(self, rows: Sequence[JobRow], about: Mapping[str, Any]) -> None:
        """Keep rows, and what is known of the whole: all or nothing.

        Raises:
            StoreError: if that can't be done.
        """
        try:
            with self._transaction():
                for first in range(0, len(rows), _AT_ONCE):
                    some = rows[first : first + _AT_ONCE]
                    self._insert("rows", [attrs.astuple(row) for row in some])
                self._insert("about", [*about.items()])
        except sqlite3.Error as error:
            raise StoreError(
                f"the journal {self.path} can't be written: {error}; the rows that it has are safe"
            ) from error

    def _insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        # One statement for all: between two, a busy event loop may hold the interpreter for 5 ms.
        marks = ", ".join([f"({', '.join('?' * len(row))})" for row in rows])
        values = [value for row in rows for value in row]
        statement = f"INSERT OR REPLACE INTO {table} VALUES {marks}"  # noqa: S608 (names of ours)
        self._db.execute(statement, values)

    def clear(self) -> None:
        """Forget all.

        Raises:
            ConfigError: if the file is damaged.
        """
        try:
            with self._transaction() as db:
                db.execute("DELETE FROM rows")
                db.execute("DELETE FROM about")
        except sqlite3.Error as error:
            raise ConfigError(_problem(self.path, error)) from error

    def close(self) -> None:
        """Close the file, and let others open it."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _row(found: tuple[Any, ...]) -> JobRow:
    place, key, failed, name, seconds, record = found
    return JobRow(place, key, bool(failed), name, seconds, record)


def open_job_file(path: Path) -> JobFile:
    """Open a journal, which is made if there is none, for this program alone.

    Raises:
        ConfigError: if another program has it, or the file is something else, or damaged, or
            can't be made.
    """
    db: sqlite3.Connection | None = None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
        db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        _prepare(db, path)
        return JobFile(path, db)
    except (OSError, sqlite3.DatabaseError) as error:
        problem = ConfigError(_problem(path, error))
    except BaseException:
        if db is not None:
            db.close()
        raise
    if db is not None:
        db.close()
    raise problem


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 4000")  # each waits for the disk
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if (application, version) != (_APPLICATION, _VERSION):
        raise ConfigError(f"{path} is no journal of a job, or of another version of llmmw")
    db.execute("BEGIN IMMEDIATE")  # takes the file for this connection
    db.execute("COMMIT")


def _problem(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"can't write the journal {path}: {error.strerror or error}"
    if (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return f"another run uses the journal {path}: give each a journal of its own"
    return (
        f"the journal {path} can't be read ({error}): move it away to begin a new one, which asks "
        "anew what this one knew"
    )
