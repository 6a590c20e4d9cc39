"""The store in a file: several processes, damage, and other people's files."""

import functools
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from llmmw import Cache, Client, load_config, to_toml
from llmmw._ledger import CacheHit, StoreFailed
from llmmw._store import StoreError, opened
from llmmw.errors import ConfigError
from llmmw.stores import SqliteStore
from llmmw.stores import sqlite as module
from llmmw.stores._database import open_database
from llmmw.testing import SimulatedProvider, open_host
from tests.stores import kill_writers


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sub" / "a.db"


async def write(path, **values):
    async with open_host() as host:
        store = await opened(host, SqliteStore(path))
        for key, value in values.items():
            await store.put(key, value)


async def read(path, *keys, **options):
    async with open_host() as host:
        store = await opened(host, SqliteStore(path, **options))
        found = [await store.get(key) for key in keys]
        return [None if one is None else one.value for one in found]


async def test_it_is_written_when_its_host_closes(path):
    await write(path, a=b"1", b=b"2")
    assert await read(path, "a", "b", "c") == [b"1", b"2", None]


async def test_its_files_are_its_owner_s_alone(path):
    os.umask(os.umask(0o022))
    async with open_host() as host:
        store = await opened(host, SqliteStore(path))
        await store.put("k", b"x")
        await store.flush()
        files = list(path.parent.iterdir())
        assert len(files) >= 2
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_another_process_reads_what_was_written(path):
    await write(path, a=b"1")
    program = (
        "import sys, trio\n"
        "from llmmw._store import opened\n"
        "from llmmw._tasks import open_host\n"
        "from llmmw.stores import SqliteStore\n"
        "async def main():\n"
        "    async with open_host() as host:\n"
        "        store = await opened(host, SqliteStore(sys.argv[1]))\n"
        "        assert (await store.get('a')).value == b'1'\n"
        "        await store.put('b', b'2')\n"
        "trio.run(main)\n"
    )
    async with open_host() as host:
        store = await opened(host, SqliteStore(path))
        assert await store.get("b") is None
        run = [sys.executable, "-c", program, str(path)]
        done = await trio.run_process(run, capture_stderr=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert (await store.get("b")).value == b"2"


async def test_what_another_process_has_changed_is_seen_a_second_later(path, monkeypatch):
    async with open_host() as host, open_host() as second:
        one = await opened(host, SqliteStore(path))
        other = await opened(second, SqliteStore(path))
        await one.put("k", b"old")
        await one.flush()
        assert (await other.get("k")).value == b"old"
        await one.put("k", b"new")
        await one.flush()
        now = time.time()
        monkeypatch.setattr(module.time, "time", lambda: now + 1.5)
        assert (await other.get("k")).value == b"new"
        await one.delete("k")
        await one.flush()
        monkeypatch.setattr(module.time, "time", lambda: now + 3)
        assert await other.get("k") is None


def damage_of(kind, path):
    data = bytearray(path.read_bytes())
    if kind == "head":
        data[:100] = b"x" * 100
    elif kind == "middle":
        data[4096 : len(data)] = b"x" * (len(data) - 4096)
    elif kind == "half":
        del data[len(data) // 2 :]
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("kind", ["head", "middle", "half"])
async def test_a_damaged_file_is_set_aside_and_the_call_goes_on(path, kind, caplog):
    await write(path, **{f"k{k}": b"x" * 1000 for k in range(100)})
    damage_of(kind, path)
    provider = SimulatedProvider({"a": "fresh"})
    heard = []
    cache = Cache(SqliteStore(path))
    with caplog.at_level(logging.WARNING, "llmmw.store"):
        async with Client(
            "sim:a", stack=[cache], providers=[provider], instruments=[heard.append]
        ) as client:
            assert (await client.ask("hello")).text == "fresh"
            assert (await client.ask("hello")).text == "fresh"
    assert len(provider.opened) == 1
    (failed,) = [event for event in heard if isinstance(event, StoreFailed)]
    assert "was damaged" in failed.message
    assert "is set aside as" in caplog.text
    (aside,) = path.parent.glob("a.db.damaged-*[0-9]")
    assert aside.exists()
    assert len([event for event in heard if isinstance(event, CacheHit)]) == 1


async def test_damage_that_is_met_later_is_met_as_well(path):
    await write(path, **{f"k{k:03}": b"x" * 3000 for k in range(200)})
    async with open_host() as host:
        store = await opened(host, SqliteStore(path, memory=0))
        assert (await store.get("k000")).value
        with path.open("r+b") as file:  # all but the head, under its feet
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        subprocess.run([sys.executable, "-c", ""], check=True)
        found = [await store.get(f"k{k:03}") for k in range(200)]
        assert all(one is None or one.value == b"x" * 3000 for one in found)
        assert None in found
        await store.put("new", b"y")
        await store.flush()
        assert (await store.get("new")).value == b"y"
    assert list(path.parent.glob("*damaged*"))
    assert await read(path, "new") == [b"y"]


async def test_the_file_of_something_else_is_left_alone(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    was = path.read_bytes()
    with pytest.raises(StoreError, match="is the database of something else"):
        await read(path, "k")
    later = path.with_name("later.db")
    await write(later, a=b"1")
    with sqlite3.connect(later) as changed:
        changed.execute("PRAGMA user_version = 2")
    changed.close()
    with pytest.raises(StoreError, match="is of version 2; this llmmw knows version 1"):
        await read(later, "a")
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM mine").fetchone() == (0,)
    other.close()
    assert not list(path.parent.glob("*damaged*"))
    assert path.read_bytes() == was


async def test_read_only(path):
    with pytest.raises(StoreError, match="is not there"):
        await read(path, "a", read_only=True)
    assert not path.exists()
    await write(path, a=b"1")
    async with open_host() as host:
        store = await opened(host, SqliteStore(path, read_only=True))
        assert (await store.get("a")).value == b"1"
        assert [one.key async for one in store.scan()] == ["a"]
        with pytest.raises(StoreError, match="is read-only"):
            await store.put("b", b"2")


async def test_a_full_disk_loses_entries_and_no_call(path, monkeypatch, caplog):
    async with open_host() as host:
        store = await opened(host, SqliteStore(path))
        await store.put("k", b"x")
        await store.flush()

        def fails(*_):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(module.Database, "write", fails)
        await store.put("k", b"y")
        await store.flush()
        assert (await store.get("k")).value == b"x"
        assert store.statistics()["lost"] == 1
        assert "1 entries are lost: database or disk is full" in caplog.text


async def test_it_closes_though_another_process_holds_the_file(path, monkeypatch, caplog):
    monkeypatch.setattr("llmmw.stores._database._HURRY", 0.0)
    await write(path, a=b"1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with trio.fail_after(10):  # a writer waits three times as long while nobody is in a hurry
        async with open_host() as host:
            await (await opened(host, SqliteStore(path))).put("b", b"2")
    other.execute("ROLLBACK")
    other.close()
    assert "1 entries are lost: database is locked" in caplog.text
    assert await read(path, "a") == [b"1"]


async def test_a_forked_process_opens_it_anew(path, monkeypatch):
    store = SqliteStore(path)
    async with open_host() as parent:
        await (await opened(parent, store)).put("a", b"1")
        await store.flush()
        parent_s, parent_id = store._database, os.getpid()
        monkeypatch.setattr(module.os, "getpid", lambda: parent_id + 1)
        async with open_host() as child:
            found = await opened(child, store)
            assert store._database is not parent_s
            assert (await found.get("a")).value == b"1"
            await found.put("b", b"2")
        assert parent_s.read("b")[0] == b"2"  # it was not closed
        store._database = parent_s


async def test_a_key_that_is_none_ends_no_store(path, caplog):
    async with open_host() as host:
        store = await opened(host, SqliteStore(path))
        await store.put("k\ud800", b"x")
        await store.flush()
        await store.put("k", b"x")
        await store.flush()
    assert "1 entries are lost" in caplog.text
    assert await read(path, "k") == [b"x"]


async def test_what_waits_to_be_written_is_bounded(path, monkeypatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 1000)
    async with open_host() as host:
        store = await opened(host, SqliteStore(path))
        await store.put("a", b"x" * 900)
        with pytest.raises(StoreError, match="1000 bytes wait"):
            await store.put("b", b"x" * 200)
        await store.flush()
        await store.put("b", b"x" * 200)


async def test_what_was_used_least_goes_when_it_is_full(path, monkeypatch):
    monkeypatch.setattr(module, "_TRIM_EVERY", 10)
    async with open_host() as host:
        store = await opened(host, SqliteStore(path, max_bytes=500_000, memory=0))
        now = time.time()
        for number in range(300):
            monkeypatch.setattr(module.time, "time", lambda now=now, k=number: now + 10_000 * k)
            await store.put(f"k{number:03}", b"x" * 5000)
            assert (await store.get("k000")).value  # used all the time
            await store.flush()
        found = store.statistics()
        assert found["bytes"] < 700_000
        assert found["evicted"] > 100
        kept = [one.key async for one in store.scan()]
        assert kept[0] == "k000"
        assert kept[-1] == "k299"
        assert "k001" not in kept


async def test_what_is_too_old_is_removed(path, monkeypatch):
    async with open_host() as host:
        store = await opened(host, SqliteStore(path))
        await store.put("a", b"x", 0)
        await store.put("b", b"x")
        await store.flush()
        monkeypatch.setattr(module, "_TRIM_EVERY", 1)
        await store.put("c", b"x")
        await store.flush()
        assert store.statistics()["entries"] == 2


async def test_two_hosts_can_t_open_one_store_object(path):
    store = SqliteStore(path)
    async with open_host() as host, open_host() as second:
        await opened(host, store)
        with pytest.raises(StoreError, match="is open already"):
            await opened(second, store)
    with pytest.raises(StoreError, match="is not open"):
        await store.get("k")


async def test_the_default_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    provider = SimulatedProvider({"a": ["one", "two"]})
    for _ in range(2):
        cache = Cache("sqlite")
        async with Client("sim:a", stack=[cache], providers=[provider]) as client:
            assert (await client.ask("hello")).text == "one"
    assert (tmp_path / "llmmw" / "cache.db").exists()


def test_writers_that_are_killed_lose_nothing_and_do_no_harm(tmp_path):
    found = kill_writers.run(Path(tmp_path), entries=800, kills=8)
    assert found["lost"] == found["wrong"] == found["damaged"] == 0
    assert found["safe"] == found["entries"] == 800
    assert found["kills"] == 8


async def test_a_file_of_configuration_names_stores(path, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        'model = "sim:a"\n[[stack]]\nuse = "cache"\nttl = 60\n'
        f'store = {{ use = "layers", own = "memory", shared = "sqlite:{path}" }}\n'
        f'[[stack]]\nuse = "cache"\nstore = "sqlite:{path}"\n'
    )
    config = load_config(file)
    assert to_toml(config) == to_toml(load_config(_written(tmp_path / "d.toml", to_toml(config))))
    provider = SimulatedProvider({"a": ["one", "two"]})
    for _ in range(2):
        async with Client.from_config(load_config(file), providers=[provider]) as client:
            assert (await client.ask("hello")).text == "one"
    assert len(provider.opened) == 1
    file.write_text('[[stack]]\nuse = "cache"\nstore = 5\n')
    with pytest.raises(ConfigError, match=r"stack\[0\].store.*a int is no store"):
        load_config(file)


def _written(file, text):
    file.write_text(text)
    return file


def test_another_process_may_make_the_file_between_two_looks_at_it(tmp_path, monkeypatch):
    path, connect, looks = tmp_path / "cache.db", sqlite3.connect, []

    class Slow(sqlite3.Connection):
        def execute(self, *statement):
            looks.append(statement)
            if len(looks) == 2:
                with monkeypatch.context() as patch:
                    patch.setattr(sqlite3, "connect", connect)
                    open_database(path)[0].close()
            return super().execute(*statement)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(connect, factory=Slow))
    database, message = open_database(path)
    database.close()
    assert message == ""
    assert len(looks) > 1
