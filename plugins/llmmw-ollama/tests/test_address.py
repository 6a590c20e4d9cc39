"""Where a server is, in all the forms in which people write it; and who gets the key."""

from __future__ import annotations

import logging
import traceback

import pytest
from llmmw_ollama._address import address_of, is_cloud

from llmmw import Client
from llmmw.errors import AuthenticationFailed, ConfigError

pytestmark = pytest.mark.plugins

KEY = "ollama-key-0123456789abcdef"
HERE = "http://127.0.0.1:11434"
FORMS = {
    "": HERE,
    "  ": HERE,
    '"127.0.0.1"': HERE,
    "'127.0.0.1:11434' ": HERE,
    "localhost": "http://localhost:11434",
    "1.2.3.4": "http://1.2.3.4:11434",
    "1.2.3.4:56789": "http://1.2.3.4:56789",
    ":56789": "http://127.0.0.1:56789",
    "56789": "http://127.0.0.1:56789",
    "0.0.0.0": HERE,
    "0.0.0.0:8080": "http://127.0.0.1:8080",
    "http://0.0.0.0:11434": HERE,
    "[::]:11434": "http://[::1]:11434",
    "[::1]": "http://[::1]:11434",
    "::1": "http://[::1]:11434",
    "::": "http://[::1]:11434",
    "http://::1/x": "http://[::1]:80/x",
    "ollama.com": "https://ollama.com:443",
    "Ollama.com/": "https://ollama.com:443",
    "api.ollama.com:443": "https://api.ollama.com:443",
    "[0001:002:003:0004::1]:56789/path": "http://[1:2:3:4::1]:56789/path",
    "http://1.2.3.4": "http://1.2.3.4:80",
    "https://1.2.3.4": "https://1.2.3.4:443",
    "HTTPS://Example.com:56789/": "https://example.com:56789",
    "example.com": "http://example.com:11434",
    "example.com:56789/path/": "http://example.com:56789/path",
    "http://localhost:11434/api": "http://localhost:11434",
    "https://ollama.com/api/": "https://ollama.com:443",
    "https://host/x?key=1": "https://host:443/x?key=1",
}


@pytest.mark.parametrize(("told", "address"), FORMS.items())
def test_forms(told, address):
    assert address_of(told, "OLLAMA_HOST") == address
    assert address_of(address, "OLLAMA_HOST") == address


@pytest.mark.parametrize("told", ["ftp://x", "http://", "x:port", "x:99999", "http://[::1"])
def test_what_is_no_address_is_named(told):
    with pytest.raises(ConfigError, match="expected host, host:port") as caught:
        address_of(told, "OLLAMA_HOST")
    assert str(caught.value).startswith(f"OLLAMA_HOST={told!r}")


def test_a_password_is_shown_to_nobody(wire):
    for told in (f"http://u:{KEY}@host", f"u:{KEY}@host", f"ftp://u:{KEY}@host"):
        with pytest.raises(ConfigError) as caught:
            wire.provider(told)
        assert KEY not in str(caught.value)
    with pytest.raises(ConfigError, match=r"^base_url=7"):
        wire.provider(7)
    with pytest.raises(ConfigError, match=r"^options=\[\]: expected names"):
        wire.provider("", options=[])


def test_whose_is_whose():
    assert is_cloud(address_of("https://ollama.com", ""))
    assert is_cloud(address_of("https://api.ollama.com", ""))
    assert is_cloud(address_of("ollama.com", ""))
    assert not is_cloud(address_of("https://ollama.com.example", ""))
    assert not is_cloud(address_of("notollama.com", ""))


async def test_the_variable_says_where(wire, monkeypatch):
    async with wire.client(wire.whole(wire.end(content="x"))) as (_, server):
        monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
        async with Client("ollama:m") as client:
            assert (await client.ask("hi")).text == "x"
    (received,) = server.requests
    assert received.path == "/api/chat"
    assert "authorization" not in received.headers


async def test_who_gets_a_key(wire, monkeypatch):
    """The key of ollama.com is for nobody else; one that is given is sent where it is said."""
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    answer = wire.whole(wire.end(content="x"))
    for options, header in [
        ({}, None),
        ({"api_key": KEY}, f"Bearer {KEY}"),
        ({"api_key": "env:OLLAMA_API_KEY"}, f"Bearer {KEY}"),
        ({"headers": {"Authorization": "Basic x"}}, "Basic x"),
    ]:
        async with wire.client(answer, **options) as (client, server):
            await client.ask("hi")
        assert server.requests[0].headers.get("authorization") == header
    assert wire.provider("https://ollama.com").key.where == "OLLAMA_API_KEY"
    assert wire.provider("ollama.com").key.where == "OLLAMA_API_KEY"
    for other in ("https://example.com", "http://ollama.com"):  # the latter, for all to read
        assert wire.provider(other).key.where == "nowhere"
    assert KEY not in repr(wire.provider("", api_key=KEY))


async def test_a_key_is_in_nothing_that_leaves(wire, caplog):
    caplog.set_level(logging.DEBUG)
    echo = wire.whole({"error": f"the key {KEY} is wrong"}, status=401)
    async with wire.client(echo, api_key=KEY) as (client, _):
        for ask in (
            lambda: client.ask("hi"),
            lambda: client.embed(["hi"]),
            lambda: client.models.get("x"),
            lambda: client.models.list(),
            lambda: client.models.pull("x"),
            lambda: client.models.delete("x"),
        ):
            with pytest.raises(AuthenticationFailed) as caught:
                await ask()
            held = [
                repr(frame.f_locals)
                for frame, _ in traceback.walk_tb(caught.value.__traceback__)
                if frame.f_globals["__name__"].partition(".")[0] in {"llmmw", "llmmw_ollama"}
            ]
            assert held
            for told in (repr(caught.value), str(caught.value), *held):
                assert KEY not in told
    assert KEY not in repr(wire.provider("", api_key=KEY).models)
    assert KEY not in caplog.text


async def test_the_cloud_needs_a_key():
    options = {"ollama": {"base_url": "https://ollama.com"}}
    async with Client("ollama:m", options=options, stack=[]) as client:
        with pytest.raises(AuthenticationFailed, match="set OLLAMA_API_KEY, or pass the option"):
            await client.ask("hi")
