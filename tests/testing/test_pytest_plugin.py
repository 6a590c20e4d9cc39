"""The plugin of pytest as an outsider uses it: in a process of its own."""

from __future__ import annotations

import re
import socket

import pytest

from llmmw.testing._network import NetworkBlocked, no_network

pytest_plugins = ["pytester"]

OPTIONS = ("-p", "llmmw.testing.pytest", "-p", "no:cacheprovider", "--strict-markers", "-Werror")

GOOD = """
import asyncio, re, socket, threading
import httpx, pytest, trio
from llmmw import Attempts, Client, Retry
from llmmw.testing import Answer, Script, SimulatedProvider, Fault, open_server

@pytest.mark.virtual
async def test_virtual():
    await trio.sleep(50_000)
    assert trio.current_time() == 50_000

async def test_real():
    assert trio.current_time() != 0

@pytest.mark.virtual
async def test_a_simulated_client(simulated_client, simulated_provider):
    simulated_provider.scripts = {"a": [Script(first=3, error=Fault("busy")), "hello"]}
    assert (await simulated_client.ask("x")).text == "hello"
    assert simulated_provider.statistics() == {"a": {"opened": 2, "Overloaded": 1, "ok": 1}}

@pytest.mark.virtual
async def test_each_test_has_its_own(simulated_provider, simulated_client):
    assert simulated_provider.statistics() == {}
    simulated_provider.scripts = {"a": Script(error=Fault("busy")), "b": "hi"}
    client = simulated_client.replace("sim:a", "sim:b")
    assert (await client.ask("x")).text == "hi"

@pytest.fixture
def mine():
    provider = SimulatedProvider({re.compile(""): "yes"}, name="openai")
    return Client("openai:gpt-4o", stack=[], providers=[provider])

async def test_a_client_of_a_fixture_is_open(mine):
    assert (await mine.ask("x")).text == "yes"

@pytest.fixture
def here():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]

async def test_this_machine_may_be_reached(here):
    async with open_server(Answer(body=b"yes")) as server, httpx.AsyncClient() as client:
        assert (await client.get(server.url)).text == "yes"
    for host in ("127.0.0.1", "localhost"):
        with socket.create_connection((host, here), timeout=5):
            pass
    stream = await trio.open_tcp_stream("localhost", here)
    await stream.aclose()

def test_a_plain_test(here):
    a, b = socket.socketpair()
    with a, b:
        a.sendall(b"x")
        assert b.recv(1) == b"x"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"x", ("127.0.0.1", here))
        udp.connect(("127.0.0.1", here))
        udp.sendmsg([b"x"])
        udp.close()
    asyncio.run(asyncio.sleep(0))

@pytest.mark.network
def test_marked():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("192.0.2.1", 80))  # no packet is sent
"""

BAD = """
import socket
import httpx, pytest, trio
from llmmw import Client
from llmmw.errors import LLMError
from llmmw.testing._network import NetworkBlocked

def test_plain():
    socket.create_connection(("192.0.2.1", 443))

def test_by_name():
    socket.create_connection(("api.example.com", 443))

def test_version_6():
    with socket.socket(socket.AF_INET6) as six:
        six.connect(("2001:db8::1", 443))

def test_connect_ex():
    with socket.socket() as one:
        one.connect_ex(("192.0.2.2", 443))

def test_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"x", ("192.0.2.3", 53))

def test_message():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendmsg([b"x"], [], 0, ("192.0.2.4", 53))

def test_swallowed():
    try:
        socket.create_connection(("swallowed.example.com", 443))
    except Exception:
        pass

def test_something_else():
    try:
        socket.create_connection(("other.example.com", 443))
    except NetworkBlocked:
        raise ZeroDivisionError from None

def test_skipped():
    try:
        socket.create_connection(("skipped.example.com", 443))
    except NetworkBlocked:
        pytest.skip("no network")

async def test_trio():
    await trio.open_tcp_stream("trio.example.com", 443)

async def test_httpx():
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get("http://httpx.example.com")

@pytest.fixture
def far():
    return socket.create_connection(("fixture.example.com", 443))

def test_fixture(far):
    pass

@pytest.fixture
def late():
    yield
    socket.create_connection(("teardown.example.com", 443))

def test_teardown(late):
    pass
"""


def test_what_it_gives(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(GOOD)
    done = pytester.runpytest_subprocess(*OPTIONS)
    done.assert_outcomes(passed=8)


def test_a_test_that_wants_the_network_fails_and_says_where(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BAD)
    # What httpx leaves open is no part of this, and is found whenever the collector comes by.
    quiet = ("-W", "ignore::pytest.PytestUnraisableExceptionWarning")
    done = pytester.runpytest_subprocess(*OPTIONS, *quiet, "-rA", "--tb=short")
    done.assert_outcomes(failed=11, errors=2, passed=1)
    text = done.stdout.str()
    for where in (
        "192.0.2.1 port 443",
        "api.example.com port 443",
        "2001:db8::1 port 443",
        "192.0.2.2 port 443",
        "192.0.2.3 port 53",
        "192.0.2.4 port 53",
        "swallowed.example.com port 443",
        "other.example.com port 443",
        "skipped.example.com port 443",
        "trio.example.com port 443",
        "httpx.example.com port 80",
        "fixture.example.com port 443",
        "teardown.example.com port 443",
    ):
        assert re.search(rf"NetworkBlocked: the test wanted to reach {re.escape(where)}: ", text)
    assert "mark the test with @pytest.mark.network" in text


@pytest.mark.plugins
def test_a_provider_of_a_host_is_blocked_and_no_fallback_hides_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("""
from llmmw import Client
from llmmw.testing import SimulatedProvider

async def test_it(simulated_provider):
    simulated_provider.scripts = {"b": "hidden"}
    options = {"openai": {"base_url": "http://openai.example.com/v1", "api_key": "none"}}
    targets = ("openai:m", "sim:b")
    async with Client(*targets, providers=[simulated_provider], options=options) as client:
        await client.ask("x")
""")
    done = pytester.runpytest_subprocess(*OPTIONS)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*NetworkBlocked: *openai.example.com port 80*"])


def test_sockets_are_as_before_afterwards() -> None:
    before = [socket.socket.connect, socket.socket.sendto, socket.getaddrinfo]
    with no_network() as tried:
        with socket.socket() as one, pytest.raises(NetworkBlocked):
            one.connect(("192.0.2.1", 1))
        assert len(tried) == 1
        assert socket.socket.connect is not before[0]
    assert [socket.socket.connect, socket.socket.sendto, socket.getaddrinfo] == before
