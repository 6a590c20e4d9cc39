"""The journal of batches: which questions were sent, in which batch, and what came of them, in a
file of SQLite that survives whatever ends the program.

::

    question   (none) ── plan ──▶ in a batch ── outcome ──▶ answered
                  ▲                   │ not sent after all       │ its error may pass
                  └───────────────────┴──────────────────────────┘
    batch      sending ── sent, with its id ──▶ sent ── all outcomes are here ──▶ fetched

What is planned is on disk before the provider hears of it, and its id as soon as it is told: of a
batch that stands at `sending` nobody knows whether it was sent, so whoever finds it looks for it at
the provider. All of this blocks, for as long as a disk takes; `look` takes some microseconds.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from llmmw._administration import Outcome
from llmmw.errors import ConfigError

if sys.platform != "win32":
    import fcntl

__all__ = ["Journal", "JournalBatch", "Question", "batches_in", "open_journal"]

_APPLICATION = 0x6C6C6D62
_VERSION = 1
_KEPT_DAYS = 30
"""So long do providers keep what came of a batch; what is older is forgotten here, too."""
_SCHEMA = f"""
CREATE TABLE batches (
    tag TEXT PRIMARY KEY, provider TEXT NOT NULL, id TEXT, state TEXT NOT NULL,
    lines INTEGER NOT NULL,
    made REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0)
);
CREATE TABLE questions (
    name TEXT PRIMARY KEY, tag TEXT, place INTEGER, tries INTEGER NOT NULL DEFAULT 0,
    at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0),
    ending TEXT, status INTEGER, body BLOB, request_id TEXT, record BLOB
) WITHOUT ROWID;
CREATE INDEX questions_tag ON questions (tag);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


@attrs.frozen(kw_only=True)
class Question:
    """What the journal knows of a question."""

    name: str
    tag: str | None
    """The batch that it is in; `None`: it is to be asked again."""
    tries: int
    """How many batches have brought no answer of it."""
    outcome: Outcome | None
    """What came in the batch."""
    record: bytes | None
    """The answer that a live call has given."""

    @property
    def answered(self) -> bool:
        """Whether nobody need ask it."""
        return self.outcome is not None or self.record is not None


@attrs.frozen
class JournalBatch:
    """What the journal knows of a batch."""

    tag: str
    provider: str
    id: str | None
    state: str
    """`sending`, `sent`, `fetched`, or `given up`: we have it cancelled, as nobody waits for it."""
    lines: int
    made: float
    """Seconds since 1970."""


@attrs.define(eq=False)
class Journal:
    """An open journal. One connection writes, in threads; the other reads in the event loop."""

    path: Path
    _writer: sqlite3.Connection
    _reader: sqlite3.Connection
    _lock: int

    def look(self, name: str) -> Question | None:
        """What is known of a question."""
        row = self._reader.execute(
            "SELECT tag, tries, ending, status, body, request_id, record FROM questions "
            "WHERE name = ?",
            (name,),
        ).fetchone()
        if row is None:
            return None
        tag, tries, ending, status, body, request_id, record = row
        outcome = None
        if ending is not None:
            outcome = Outcome(
                id=name, ending=ending, status=status, body=body, request_id=request_id
            )
        return Question(name=name, tag=tag, tries=tries, outcome=outcome, record=record)

    def batch(self, tag: str) -> JournalBatch | None:
        """A batch by its tag."""
        row = self._reader.execute(
            "SELECT tag, provider, id, state, lines, made FROM batches WHERE tag = ?", (tag,)
        ).fetchone()
        return None if row is None else JournalBatch(*row)

    def names(self, tag: str) -> list[str]:
        """The questions of a batch, in the order of its lines."""
        rows = self._reader.execute(
            "SELECT name FROM questions WHERE tag = ? ORDER BY place", (tag,)
        )
        return [name for (name,) in rows]

    def ids(self, provider: str) -> set[str]:
        """The ids of all batches that are known."""
        rows = self._reader.execute(
            "SELECT id FROM batches WHERE provider = ? AND id IS NOT NULL", (provider,)
        )
        return {known for (known,) in rows}

    def now(self) -> float:
        """The time, in seconds since 1970."""
        (now,) = self._reader.execute("SELECT (julianday('now') - 2440587.5) * 86400.0").fetchone()
        return float(now)

    def plan(self, tag: str, provider: str, names: Sequence[str]) -> None:
        """These questions are about to be sent."""
        with self._transaction(firm=True) as db:
            db.execute(
                "INSERT INTO batches (tag, provider, state, lines) VALUES (?, ?, 'sending', ?)",
                (tag, provider, len(names)),
            )
            db.executemany(
                "INSERT INTO questions (name, tag, place) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET tag = excluded.tag, place = excluded.place, "
                "at = excluded.at, ending = NULL, status = NULL, body = NULL, request_id = NULL",
                [(name, tag, place) for place, name in enumerate(names, 1)],
            )

    def sent(self, tag: str, id: str) -> None:
        """The provider has a batch under this id."""
        with self._transaction(firm=True) as db:
            db.execute(
                "UPDATE batches SET id = ?, state = replace(state, 'sending', 'sent') "
                "WHERE tag = ?",
                (id, tag),
            )

    def give_up(self, tag: str) -> None:
        """The batch is about to be cancelled, as nobody waits for it."""
        with self._transaction() as db:
            db.execute("UPDATE batches SET state = 'given up' WHERE tag = ?", (tag,))

    def unsent(self, tag: str) -> None:
        """The provider has no such batch: its questions are to be asked again."""
        with self._transaction() as db:
            db.execute("UPDATE questions SET tag = NULL WHERE tag = ? AND ending IS NULL", (tag,))
            db.execute("DELETE FROM batches WHERE tag = ?", (tag,))

    def came(self, tag: str, outcomes: Iterable[Outcome]) -> int:
        """Keep outcomes of a batch; how many were of questions that it has. That we have had it
        cancelled is no outcome."""
        batch = self.batch(tag)
        void = "cancelled" if batch is not None and batch.state == "given up" else ""
        rows = [(o.ending, void, o.status, o.body, o.request_id, o.id, tag) for o in outcomes]
        with self._transaction() as db:
            return db.executemany(
                "UPDATE questions SET ending = nullif(?, ?), status = ?, body = ?, request_id = ? "
                "WHERE name = ? AND tag = ?",
                rows,
            ).rowcount

    def fetched(self, tag: str, ending: str) -> int:
        """All outcomes of a batch are here. Its questions that have none have come to this
        ending; how many they are."""
        with self._transaction() as db:
            db.execute("UPDATE batches SET state = 'fetched' WHERE tag = ?", (tag,))
            return db.execute(
                "UPDATE questions SET ending = ?, status = 200, body = x'' "
                "WHERE tag = ? AND ending IS NULL",
                (ending, tag),
            ).rowcount

    def again(self, question: Question) -> None:
        """What came is an error that may pass: the question is to be asked again."""
        with self._transaction() as db:
            db.execute(
                "UPDATE questions SET tag = NULL, ending = NULL, body = NULL, tries = tries + 1 "
                "WHERE name = ? AND tag IS ?",
                (question.name, question.tag),
            )

    def forget(self, question: Question) -> None:
        """Whoever asks this again, asks anew."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM questions WHERE name = ? AND tag IS ?", (question.name, question.tag)
            )

    def keep(self, name: str, record: bytes) -> None:
        """A live call has answered a question."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO questions (name, record) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET record = excluded.record",
                (name, record),
            )

    def close(self) -> None:
        """Close the file, and let others open it."""
        self._reader.close()
        self._writer.close()
        os.close(self._lock)

    @contextmanager
    def _transaction(self, *, firm: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing. What is written survives the program; `firm`: the machine, too."""
        db = self._writer
        db.execute(f"PRAGMA synchronous = {'FULL' if firm else 'NORMAL'}")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def open_journal(name: str) -> Journal:
    """Open a journal, which is made if there is none, for this program alone.

    Raises:
        ConfigError: if another program has it, or the file is something else, or damaged.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111 (it leaves an unknown home as it is)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _locked(path)
    opened: list[sqlite3.Connection] = []
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
        opened.append(_connected(path, "rw"))
        _prepare(opened[0], path)
        opened.append(_connected(path, "ro"))
        return Journal(path, opened[0], opened[1], lock)
    except sqlite3.DatabaseError as error:
        failure = ConfigError(
            f"the journal {path} can't be read ({error}): move it away to begin a new one, which "
            "asks anew what this one knew"
        )
    except BaseException:
        _close(opened, lock)
        raise
    _close(opened, lock)
    raise failure


def batches_in(path: Path) -> list[JournalBatch]:
    """The batches of a journal, the newest first; another program may be using it.

    Raises:
        ConfigError: if there is no such journal.
    """
    if not path.exists():
        raise ConfigError(f"there is no journal {path}")
    try:
        db = _connected(path, "ro")
        try:
            rows = db.execute(
                "SELECT tag, provider, id, state, lines, made FROM batches ORDER BY made DESC"
            ).fetchall()
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path} is no journal of batches: {error}") from error
    return [JournalBatch(*row) for row in rows]


def _close(opened: Iterable[sqlite3.Connection], lock: int) -> None:
    for db in opened:
        db.close()
    os.close(lock)


def _locked(path: Path) -> int:
    """Hold the journal. A file beside it: SQLite has locks of its own on the file itself."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    file = os.open(path.with_name(f"{path.name}.lock"), flags, 0o600)
    if sys.platform == "win32":
        return file  # no such locks: two programs on one file are not noticed there
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            raise ConfigError(
                f"another program, or another client of this one, uses the journal {path}: "
                "give each a journal of its own"
            ) from error
        raise
    return file


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=30.0,
        isolation_level=None,
        check_same_thread=False,
    )


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if (application, version) != (_APPLICATION, _VERSION):
        raise ConfigError(f"{path} is no journal of batches, or of another version of llmmw")
    for statement in (
        "DELETE FROM questions WHERE at < (julianday('now') - 2440587.5 - ?) * 86400.0",
        "DELETE FROM batches WHERE made < (julianday('now') - 2440587.5 - ?) * 86400.0",
    ):
        db.execute(statement, (_KEPT_DAYS,))
