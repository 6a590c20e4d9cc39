"""The store in a real Redis: what every store does, and what this one does of its own."""

import importlib.util
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from llmmw_redis import RedisStore

from llmmw import Cache, Client, RateLimit
from llmmw._ledger import CacheHit, StoreFailed
from llmmw._store import opened
from llmmw.errors import ConfigError
from llmmw.plugin import StoreError
from llmmw.testing import SimulatedProvider, open_host

BATTERY = Path(__file__).parents[3] / "tests" / "stores" / "test_stores.py"
spec = importlib.util.spec_from_file_location("battery_of_stores", BATTERY)
battery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(battery)

test_a_value_comes_back = battery.test_a_value_comes_back_as_it_was_put
test_all_is_told_in_order = battery.test_all_that_is_there_is_told_in_order
test_a_value_has_its_time = battery.test_a_value_has_its_time


@pytest.fixture
def store(redis):
    return RedisStore(redis.url, timeout=10)


async def test_it_is_made_by_its_name(redis):
    async with Client("sim:a", stack=[], providers=[SimulatedProvider({"a": "x"})]) as client:
        one = await opened(client.host, f"redis:{redis.url}")
        await one.put("k", b"x")
        table = {"use": "redis", "url": redis.url, "prefix": "other:"}
        two = await opened(client.host, table)
        assert await two.get("k") is None
        assert str((await opened(client.host, "redis://nowhere:1/3")).url) == "redis://nowhere:1/3"
    assert redis.cli("keys", "*") == "llmmw:v:k"


async def test_the_server_forgets_by_itself_and_tells_the_age(redis, store):
    async with open_host() as host:
        there = await opened(host, store)
        await there.put("short", b"x", 1000.5)
        await there.put("long", b"x", 1e300)
        assert 1000 < int(redis.cli("pttl", "llmmw:v:short")) / 1000 <= 1000.5
        assert redis.cli("pttl", "llmmw:v:long") == "-1"
        redis.cli("set", "llmmw:v:other", "something else")
        with pytest.raises(StoreError, match="something else than a value of ours"):
            await there.get("other")
        redis.cli("lpush", "llmmw:v:list", "x")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await there.get("list")
        assert (await there.get("long")).age < 60  # the connection is as good as before
        redis.cli("del", "llmmw:v:other", "llmmw:v:list")
        assert [one.key async for one in there.scan()] == ["long", "short"]
        assert there.statistics()["entries"] == 2


async def test_values_are_bounded(redis):
    async with open_host() as host:
        wide = await opened(host, RedisStore(redis.url, timeout=10))
        small = await opened(host, RedisStore(redis.url, max_bytes=1000))
        await small.put("k", b"x" * 1000)
        with pytest.raises(StoreError, match="1001 bytes is larger than 1000"):
            await small.put("k", b"x" * 1001)
        assert (await small.get("k")).value == b"x" * 1000
        await wide.put("k", b"x" * 1_000_000)
        with pytest.raises(StoreError, match="too long"):
            await small.get("k")


async def test_many_at_once_share_few_connections(redis):
    async with open_host() as host:
        store = await opened(host, RedisStore(redis.url, connections=3, timeout=30))

        async def use(number):
            await store.put(f"k{number}", b"%d" % number)
            assert (await store.get(f"k{number}")).value == b"%d" % number

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(use, number)
        assert int(redis.cli("info", "stats").split("connections_received:")[1].split()[0]) <= 4
    clients = redis.cli("client", "list").splitlines()
    assert len(clients) == 1  # that of the question itself


async def test_who_leaves_takes_no_reply_of_others(redis):
    async with open_host() as host:
        store = await opened(host, RedisStore(redis.url, connections=1, timeout=10))
        for number in range(30):
            await store.put(f"k{number}", b"%d" % number * 1000)
        for number in range(30):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(store.get, f"k{number}")
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            assert (await store.get(f"k{number}")).value == b"%d" % number * 1000


# --- a server that is away


def asks(store, provider, heard, **options):
    return Client(
        "sim:a", stack=[Cache(store)], providers=[provider], instruments=[heard.append], **options
    )


async def test_a_server_that_was_killed_costs_no_call(redis, caplog):
    provider, heard = SimulatedProvider({"a": "x"}), []
    store = RedisStore(redis.url, timeout=5)
    async with asks(store, provider, heard) as client:
        for _ in range(2):
            await client.ask("hello")
        assert len(provider.opened) == 1
        redis.kill()
        with caplog.at_level(logging.WARNING, "llmmw.store"):
            for _ in range(20):
                assert (await client.ask("hello")).text == "x"
        assert len(provider.opened) == 21
        failed = [event for event in heard if isinstance(event, StoreFailed)]
        assert len(failed) >= 20
        assert all(str(store.url) in event.message for event in failed)
        assert len(caplog.records) == 1
        redis.start()
        heard.clear()
        with trio.fail_after(60):
            while not any(isinstance(event, CacheHit) for event in heard):
                await client.ask("hello")
                await trio.sleep(0.01)


async def test_a_server_that_refuses_costs_no_call_and_is_told(redis, caplog):
    provider = SimulatedProvider({"a": [str(number) for number in range(9)]})
    store = RedisStore(redis.url, timeout=5)
    cache = Cache(store)
    async with Client("sim:a", stack=[cache], providers=[provider]) as client:
        assert (await client.ask("hello")).text == "0"
        redis.cli("config", "set", "maxmemory-policy", "noeviction")
        redis.cli("config", "set", "maxmemory", "1")
        with caplog.at_level(logging.WARNING, "llmmw.store"):
            assert [(await client.ask("other")).text for _ in range(3)] == ["1", "2", "3"]
        assert (await client.ask("hello")).text == "0"
        redis.cli("config", "set", "maxmemory", "0")
        assert [(await client.ask("other")).text for _ in range(2)] == ["4", "4"]
        assert store.statistics()["failed"] == cache.statistics()["failed"] == 3
    (record,) = caplog.records
    assert "the server says: OOM" in record.getMessage()


async def test_a_server_that_was_restarted_knows_no_script_and_no_answer(redis, caplog):
    provider = SimulatedProvider({"a": ["one", "two"]})
    store = RedisStore(redis.url, timeout=5)
    stack = [Cache(store), RateLimit(requests=6000, store=store)]
    async with Client("sim:a", stack=stack, providers=[provider]) as client:
        assert [(await client.ask("hello")).text for _ in range(2)] == ["one", "one"]
        redis.cli("flushall")
        redis.cli("script", "flush")
        with caplog.at_level(logging.WARNING, "llmmw.store"):
            assert [(await client.ask("hello")).text for _ in range(2)] == ["two", "two"]
        assert "llmmw:l:" in redis.cli("keys", "*")
        assert store.statistics()["failed"] == 0
    assert not caplog.records


async def test_a_server_that_hangs_holds_up_no_call(redis):
    provider, heard = SimulatedProvider({"a": "x"}), []
    store = RedisStore(redis.url, timeout=0.05)
    async with asks(store, provider, heard) as client:
        await client.ask("hello")
        redis.halt()
        begun = trio.current_time()
        for _ in range(50):
            assert (await client.ask("hello")).text == "x"
        took = trio.current_time() - begun
        redis.go_on()
        failed = [event for event in heard if isinstance(event, StoreFailed)]
        assert len(failed) >= 50
        assert "does not answer within 0.05 s" in failed[0].message
        slow = [event for event in failed if "asked again in" not in event.message]
        assert len(slow) * 0.05 <= took  # the others did not wait for it
        assert len(slow) < 10
        assert store.statistics()["failed"] >= 50


async def test_a_server_that_is_not_there_is_asked_at_ever_longer_intervals(tmp_path):
    store = RedisStore(f"unix://{tmp_path}/none")
    async with open_host() as host:
        there = await opened(host, store)
        server = there._server
        waits = []
        for _ in range(9):
            with pytest.raises(StoreError, match="No such file"):
                await there.get("k")
            waits.append(server._wait)
            with pytest.raises(StoreError, match="asked again in"):
                await there.get("k")
            server._again = 0.0  # that time is over
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    with pytest.raises(StoreError, match="is not open"):
        await there.get("k")


async def test_what_is_no_redis_is_told(tmp_path):
    async def serve(stream):
        await stream.send_all(b"SSH-2.0-OpenSSH\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        async with open_host() as host:
            there = await opened(host, RedisStore(f"redis://127.0.0.1:{port}", timeout=5))
            with pytest.raises(StoreError, match="Protocol"):
                await there.get("k")
        nursery.cancel_scope.cancel()


# --- addresses, passwords, certificates

PASSWORD = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h", "redis://h:6379/0"),
        ("//h:1/2", "redis://h:1/2"),
        (f"rediss://me:{PASSWORD}@h:7/1", "rediss://h:7/1"),
        ("redis://[::1]:7", "redis://[::1]:7/0"),
        ("unix:///a/b?db=3", "unix:///a/b"),
        (f"unix://:{PASSWORD}@/a/b", "unix:///a/b"),
    ],
)
def test_addresses(url, told):
    store = RedisStore(url)
    assert str(store.url) == told
    assert PASSWORD not in repr(store) + str(store.url) + repr(vars(type(store)))
    if PASSWORD in url:
        assert store.url.password.reveal() == PASSWORD


@pytest.mark.parametrize(
    "url",
    [
        f"http://u:{PASSWORD}@h",
        f"redis://u:{PASSWORD}@h:port",
        f"redis://u:{PASSWORD}@h/x",
        f"redis://u:{PASSWORD}@h/0?timeout=1",
        f"redis://u:{PASSWORD}@",
        "unix://",
        "unix://host",
        "redis:",
        "",
        5,
    ],
)
def test_wrong_addresses(url):
    with pytest.raises(ConfigError, match="no URL of a Redis") as raised:
        RedisStore(url)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "timeout=0"),
        ({"connections": -1}, "connections=-1"),
        ({"max_bytes": 0}, "max_bytes=0"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ConfigError, match=words):
        RedisStore(**options)


async def test_passwords(start_redis, monkeypatch, tmp_path, caplog):
    redis = start_redis("--requirepass", PASSWORD)
    monkeypatch.setenv("MY_PASSWORD", PASSWORD)
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    in_url = redis.url.replace("unix://", f"unix://default:{PASSWORD}@")
    for url, password in (
        (redis.url, PASSWORD),
        (redis.url, "env:MY_PASSWORD"),
        (redis.url, f"file:{path}"),
        (redis.url, lambda: PASSWORD),
        (in_url, None),
    ):
        async with open_host() as host:
            store = await opened(host, RedisStore(url, password=password, timeout=10))
            await store.put("k", b"x")
            assert PASSWORD not in repr(store)
    for url, password in ((redis.url, "wrong-" + PASSWORD), (redis.url, None)):
        async with open_host() as host:
            store = await opened(host, RedisStore(url, password=password, timeout=10))
            with pytest.raises(StoreError, match=r"WRONGPASS|NOAUTH") as raised:
                await store.get("k")
            assert shown(raised.value).count(PASSWORD) == 0
    assert PASSWORD not in caplog.text


def shown(error):
    """All that a traceback with the values of its variables would show, but for this file's."""
    text, seen = str(error), set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename != __file__:
                text += repr(frame.tb_frame.f_locals)
            frame = frame.tb_next
        error = error.__context__
    return text


@pytest.fixture
def certificate(tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


async def test_tls(start_redis, certificate, monkeypatch):
    key, cert = certificate
    port = free_port()
    start_redis(
        *("--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key),
        *("--tls-auth-clients", "no"),
    )
    url = f"rediss://localhost:{port}/2"
    async with open_host() as host:
        store = await opened(host, RedisStore(url, timeout=10))
        with pytest.raises(StoreError, match=r"(?i)certificate"):
            await store.get("k")
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    async with open_host() as host:
        store = await opened(host, RedisStore(url, timeout=10))
        await store.put("k", b"x" * 100_000)
        for _ in range(3):
            assert (await store.get("k")).value == b"x" * 100_000
        assert len(store._server._idle) == 1


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_the_plugin_is_light():
    code = "import llmmw_redis, sys; print([m for m in ('hiredis', 'httpx') if m in sys.modules])"
    environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.stdout.strip() == "[]", done.stderr
