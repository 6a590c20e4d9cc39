"""What a file that can't be used costs: misses and one warning, and never a call."""

import fcntl
import logging
import os
import resource
import shutil
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest
import trio

from llmmw import Cache, Client
from llmmw._ledger import CacheHit, StoreFailed
from llmmw._store import opened
from llmmw.stores import SqliteStore
from llmmw.testing import SimulatedProvider, open_host

NOBODY = 65534
QUESTIONS = [f"question {number}" for number in range(5)]


class Asked:
    """What came of asking each question twice through a cache with a file."""

    def __init__(self, path, caplog, size=10):
        self.path, self.caplog, self.size = path, caplog, size
        self.heard = []
        self.provider = SimulatedProvider({"a": "x" * size})

    async def __call__(self):
        with trio.fail_after(20), self.caplog.at_level(logging.WARNING, "llmmw.store"):
            async with Client(
                "sim:a",
                stack=[Cache(SqliteStore(self.path, memory=0))],
                providers=[self.provider],
                instruments=[self.heard.append],
            ) as client:
                for question in QUESTIONS * 2:
                    assert (await client.ask(question)).text == "x" * self.size
        return self

    @property
    def hits(self):
        return sum(isinstance(event, CacheHit) for event in self.heard)

    @property
    def failures(self):
        return [event.message for event in self.heard if isinstance(event, StoreFailed)]

    @property
    def warnings(self):
        return [record.getMessage() for record in self.caplog.records]


@pytest.fixture
def folder(tmp_path, caplog):
    """A folder of a user to whom modes of files mean something."""
    trio.run(Asked(tmp_path / "other.db", caplog))  # imports all that is imported late
    root = os.geteuid() == 0
    place = Path(tempfile.mkdtemp())
    if root:
        os.chown(place, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield place
    finally:
        if root:
            os.seteuid(0)
        place.chmod(0o700)
        shutil.rmtree(place)


@pytest.mark.parametrize("name", ["a.db", "sub/a.db"])
async def test_a_folder_that_can_t_be_written(folder, caplog, name):
    folder.chmod(0o500)
    asked = await Asked(folder / name, caplog)()
    assert len(asked.provider.opened) == 10
    assert asked.hits == 0
    assert all("PermissionError" in message for message in asked.failures)
    assert len(asked.failures) == 20
    (warning,) = asked.warnings
    assert warning.startswith("calls go on without the store SqliteStore: PermissionError")


@pytest.mark.parametrize("mode", [0o700, 0o500])
async def test_a_file_that_has_become_read_only(folder, caplog, mode):
    path = folder / "a.db"
    before = await Asked(path, caplog)()
    assert (before.hits, before.warnings) == (5, [])
    path.chmod(0o400)
    folder.chmod(mode)
    was = path.read_bytes()
    asked = await Asked(path, caplog)()
    assert asked.hits == 0
    assert len(asked.warnings) == 1
    path.chmod(0o600)
    assert path.read_bytes() == was
    folder.chmod(0o700)
    caplog.clear()
    again = await Asked(path, caplog)()
    assert (again.hits, again.warnings) == (10, [])


@pytest.fixture
def limit():
    """Says how large a file may become, as a disk does that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_is_full(tmp_path, caplog, limit):
    path = tmp_path / "a.db"
    async with open_host() as host:
        store = await opened(host, SqliteStore(path, memory=0))
        await store.put("old", b"x" * 1000)
        await store.flush()
        limit(200_000)
        for number in range(20):
            await store.put(f"k{number}", b"y" * 50_000)
            await store.flush()
        found = [number for number in range(20) if await store.get(f"k{number}") is not None]
        assert 0 < store.statistics()["lost"] == 20 - len(found)
        assert (await store.get("old")).value == b"x" * 1000
        (record,) = caplog.records
        assert "1 entries are lost: disk I/O error" in record.getMessage()
        limit(resource.RLIM_INFINITY)
        await store.put("new", b"z" * 50_000)
        await store.flush()
        assert (await store.get("new")).value == b"z" * 50_000
    assert not list(tmp_path.glob("*damaged*"))
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (len(found) + 2,)
    db.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_disk_that_was_always_full(tmp_path, caplog, limit):
    limit(100)
    asked = await Asked(tmp_path / "a.db", caplog)()
    limit(resource.RLIM_INFINITY)
    assert asked.hits == 0
    assert len(asked.provider.opened) == 10
    assert len(asked.warnings) == 1
    caplog.clear()
    again = await Asked(tmp_path / "a.db", caplog)()
    assert (again.hits, again.warnings) == (5, [])


@pytest.fixture
def other(tmp_path):
    """Another that uses the file."""
    db = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    yield db
    db.close()


async def test_a_file_in_which_another_writes_without_end(tmp_path, caplog, monkeypatch, other):
    monkeypatch.setattr("llmmw.stores._database._PATIENCE", 0.0)
    monkeypatch.setattr("llmmw.stores._database._HURRY", 0.0)
    path = tmp_path / "a.db"
    await Asked(path, caplog)()
    other.execute("BEGIN IMMEDIATE")
    asked = await Asked(path, caplog)()
    assert (asked.hits, asked.failures) == (10, [])  # to read, nobody waits
    other.execute("UPDATE entries SET key = key || 'x'")
    other.execute("COMMIT")
    other.execute("BEGIN IMMEDIATE")
    asked = await Asked(path, caplog)()
    assert len(asked.provider.opened) + asked.hits == 10
    other.execute("ROLLBACK")
    (warning,) = asked.warnings
    assert "entries are lost: database is locked" in warning
    assert (await Asked(path, caplog)()).hits == 5


async def test_a_file_that_another_keeps_for_itself(tmp_path, caplog, monkeypatch, other):
    monkeypatch.setattr("llmmw.stores._database._OPENING", 0.05)
    path = tmp_path / "a.db"
    await Asked(path, caplog)()
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("DELETE FROM entries WHERE key = ''")
    before = trio.current_time()
    asked = await Asked(path, caplog)()
    taken = trio.current_time() - before
    assert asked.hits == 0
    assert len(asked.provider.opened) == 10
    assert {"database is locked" in message for message in asked.failures} == {True}
    assert len([one for one in asked.failures if "StoreError" not in one]) * 0.25 <= taken
    assert len(asked.warnings) == 1
    other.execute("ROLLBACK")
    other.close()
    assert (await Asked(path, caplog)()).hits == 10


async def test_damage_that_somebody_else_mends_for_ever(tmp_path, caplog, monkeypatch):
    """Who sets a damaged file aside keeps others from it; if that one hangs, they do not."""
    monkeypatch.setattr("llmmw.stores._database._OPENING", 0.05)
    path = tmp_path / "a.db"
    path.write_bytes(b"no database at all " * 500)
    with (tmp_path / "a.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asked = await Asked(path, caplog)()
        assert asked.hits == 0
        assert len(asked.warnings) == 1
    caplog.clear()
    again = await Asked(path, caplog)()
    assert again.hits == 5
    (warning,) = again.warnings
    assert "was damaged" in warning
