"""What every store does, whatever it keeps its values in."""

from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import attrs
import pytest
import trio

from llmmw._store import Store, StoreError, opened
from llmmw.errors import ConfigError
from llmmw.stores import Layers, MemoryStore, SqliteStore
from llmmw.testing import open_host


@pytest.fixture(params=["memory", "sqlite", "layers"])
def store(request, tmp_path):
    made = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "a.db"),
        "layers": lambda: Layers(MemoryStore(), MemoryStore(), additional=[MemoryStore()]),
    }
    return made[request.param]()


async def test_a_value_comes_back_as_it_was_put(store):
    assert isinstance(store, Store)
    async with open_host() as host:
        there = await opened(host, store)
        assert await there.get("k") is None
        for value in (b"one", b"two", b"", bytes(range(256)) * 1000):
            await there.put("k", value)
            found = await there.get("k")
            assert (found.key, found.value, found.ttl) == ("k", value, None)
            assert 0 <= found.age < 60
        await there.flush()
        assert (await there.get("k")).value == value
        assert await there.delete("k")
        assert await there.get("k") is None
        assert not await there.delete("k")
        await there.flush()
        assert await there.get("k") is None


async def test_all_that_is_there_is_told_in_order(store):
    async with open_host() as host:
        there = await opened(host, store)
        for number in range(250):
            await there.put(f"a{number:03}", b"%d" % number)
        await there.put("b", b"x")
        await there.put("é%_", b"y")
        found = [one async for one in there.scan()]
        assert [one.key for one in found] == [*(f"a{k:03}" for k in range(250)), "b", "é%_"]
        assert [one.value for one in found[:3]] == [b"0", b"1", b"2"]
        assert [one.key async for one in there.scan("a01")] == [f"a01{k}" for k in range(10)]
        assert [one.key async for one in there.scan("é%")] == ["é%_"]
        assert [one.key async for one in there.scan("%")] == []
        async for one in there.scan("a"):
            await there.delete(one.key)
        assert [one.key async for one in there.scan()] == ["b", "é%_"]
        assert there.statistics()["bytes"] > 0


async def test_a_value_has_its_time(store):
    async with open_host() as host:
        there = await opened(host, store)
        await there.put("gone", b"x", 0)
        await there.put("k", b"x", 1000, age=50)
        assert await there.get("gone") is None
        found = await there.get("k")
        assert 50 <= found.age < 100
        assert 900 < found.ttl <= 1000
        assert [one.key async for one in there.scan()] == ["k"]


async def test_all_who_mean_the_same_store_share_it(tmp_path):
    made = []

    def make(name, options, *items):
        made.append((name, options, items))
        return MemoryStore()

    async with open_host() as host:
        host.make_store = make
        one = await opened(host, "memory:x")
        assert await opened(host, "memory:x") is one
        assert await opened(host, {"use": "memory", "max_entries": 5}) is not one
    assert made == [("memory", {}, ("x",)), ("memory", {"max_entries": 5}, ())]


async def test_many_who_need_it_at_once_open_it_once(tmp_path):
    store = SqliteStore(tmp_path / "a.db")
    found = []

    async def need():
        found.append(await opened(host, store))

    async with open_host() as host:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(need)
    assert found == [store] * 20


@attrs.frozen(eq=False)
class Shut(MemoryStore):
    """It can't be opened before it has been tried so often, each time for so long."""

    tries: int = 0
    slow: float = 0.0
    opened: list[float] = attrs.field(factory=list)

    @asynccontextmanager
    async def open(self, host):
        self.opened.append(trio.current_time())
        await trio.sleep(self.slow)
        if len(self.opened) <= self.tries:
            raise OSError("no way")
        yield


@pytest.mark.virtual
@pytest.mark.parametrize(("slow", "waits"), [(0, [0.1, 0.2, 0.4, 0.8]), (1, [5, 5, 5, 5])])
async def test_an_opening_that_failed_is_tried_anew_ever_later(slow, waits):
    store = Shut(tries=4, slow=slow)
    async with open_host() as host:
        while len(store.opened) < 5:
            before = trio.current_time()
            with suppress(OSError, StoreError):
                assert await opened(host, store) is store
            assert trio.current_time() - before <= slow
            await trio.sleep(1 / 64)
        assert host.shut_stores == {}
    found = [later - one for one, later in pairwise(store.opened)]
    assert found == pytest.approx(waits, abs=1 / 32)


@pytest.mark.virtual
async def test_why_a_store_can_t_be_opened_is_said_again_and_when_it_is_tried():
    async with open_host() as host:
        store = Shut(tries=1)
        with pytest.raises(OSError, match="no way"):
            await opened(host, store)
        with pytest.raises(StoreError, match=r"OSError: no way; it is opened anew in 0\.1 s"):
            await opened(host, store)
        await trio.sleep(0.2)
        assert await opened(host, store) is store


async def test_what_is_no_store_is_refused():
    async with open_host() as host:
        with pytest.raises(ConfigError, match="only a name"):
            await opened(host, "memory")
        host.make_store = lambda *given: "nothing"
        with pytest.raises(ConfigError, match="made a str"):
            await opened(host, "memory")


@pytest.mark.virtual
async def test_memory_forgets_what_was_used_least():
    store = MemoryStore(max_entries=3)
    for key in "abc":
        await store.put(key, b"x")
    await store.get("a")
    await store.put("d", b"x")
    assert [one.key async for one in store.scan()] == ["a", "c", "d"]
    assert store.statistics()["evicted"] == 1
    store = MemoryStore(max_bytes=3000)
    for key in "abc":
        await store.put(key, b"x" * 1000)
    assert [one.key async for one in store.scan()] == ["b", "c"]
    await store.put("d", b"x" * 4000)
    assert await store.get("d") is None
    assert store.statistics()["bytes"] <= 3000
    await store.put("e", b"x", 5)
    await trio.sleep(4)
    assert (await store.get("e")).age == 4
    await trio.sleep(1)
    assert await store.get("e") is None


class Broken(MemoryStore):
    async def get(self, key):
        raise OSError("out of reach")


@pytest.mark.virtual
async def test_layers_read_all_and_write_their_own():
    own, shared, other = MemoryStore(), MemoryStore(), MemoryStore()
    await shared.put("s", b"shared", 100)
    await other.put("s", b"other")
    await other.put("o", b"other")
    await own.put("w", b"own")
    await trio.sleep(10)
    heard = []
    async with open_host([heard.append]) as host:
        layers = await opened(host, Layers(own, shared, additional=[Broken(), other]))
        assert [one.value async for one in layers.scan()] == [b"other", b"shared", b"own"]
        assert (await layers.get("s")).value == b"shared"
        found = await own.get("s")  # it is as old here, and is kept no longer
        assert (found.value, found.age, found.ttl) == (b"shared", 10, 90)
        assert (await layers.get("o")).value == b"other"
        assert await layers.get("nothing") is None
        assert [event.message for event in heard] == ["out of reach"] * 2
        await layers.put("s", b"mine")
        assert (await layers.get("s")).value == b"mine"
        assert (await shared.get("s")).value == b"shared"
        assert await layers.delete("s")
        assert (await shared.get("s")).value == b"shared"
        counts = layers.statistics()
        assert [counts[n] for n in ("own", "shared", "additional", "promoted")] == [1, 1, 1, 2]


async def test_layers_go_on_without_one_s_own(tmp_path):
    path = tmp_path / "own.db"
    async with open_host() as host:
        await (await opened(host, SqliteStore(path))).put("w", b"own")
    shared, heard = MemoryStore(), []
    await shared.put("s", b"shared")
    async with open_host([heard.append]) as host:
        read_only = Layers(SqliteStore(path, read_only=True), additional=[shared])
        layers = await opened(host, read_only)
        assert (await layers.get("s")).value == b"shared"
        assert (await layers.get("w")).value == b"own"
        assert "read-only" in heard[0].message
        broken = await opened(host, Layers(Broken(), shared))
        assert (await broken.get("s")).value == b"shared"
        assert broken.statistics()["shared"] == 1


async def test_layers_go_on_without_one_that_can_t_be_opened(tmp_path):
    async with open_host() as host:
        missing = SqliteStore(tmp_path / "none.db", read_only=True)
        layers = Layers(MemoryStore(), missing)
        there = await opened(host, layers)
        await there.put("k", b"x")
        assert (await there.get("k")).value == b"x"
        assert there.statistics()["failed"] == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MemoryStore(max_entries=0), "max_entries=0"),
        (lambda: SqliteStore("x", max_bytes=5), "max_bytes=5"),
        (lambda: Layers(5), "a int is no store"),
        (lambda: Layers("memory", additional=[5]), "a int is no store"),
    ],
)
def test_wrong_options(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
