"""Keys and addresses: where they come from, and that nobody sees them."""

from __future__ import annotations

import pytest

from llmmw import Client
from llmmw.errors import AuthenticationFailed
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

OTHER = "co-two-fedcba9876543210"


async def headers_sent(wire, **options):
    async with wire.client(wire.whole(wire.message("x")), **options) as (client, server):
        await client.ask("hi")
    (received,) = server.requests
    assert wire.key not in received.path
    return received.headers


async def test_a_key_goes_into_its_header_alone(wire):
    headers = await headers_sent(wire, headers={"X-Client-Name": "me"})
    assert headers["authorization"] == f"Bearer {wire.key}"
    assert headers["x-client-name"] == "me"
    assert headers["user-agent"].startswith("llmmw-cohere/")


async def test_variables(wire, monkeypatch):
    with pytest.raises(AuthenticationFailed, match="set CO_API_KEY or COHERE_API_KEY"):
        await headers_sent(wire, api_key=None)
    monkeypatch.setenv("COHERE_API_KEY", OTHER)
    assert (await headers_sent(wire, api_key=None))["authorization"] == f"Bearer {OTHER}"
    monkeypatch.setenv("CO_API_KEY", wire.key)
    assert (await headers_sent(wire, api_key=None))["authorization"] == f"Bearer {wire.key}"


async def test_addresses(wire, monkeypatch):
    def address(given=None):
        return wire.provider(given)._http.base_url

    assert address() == "https://api.cohere.com"
    for given in ("http://x", "http://x/", "http://x/v1", "http://x/v2/"):
        assert address(given) == "http://x"
    assert address("http://x/proxy/v2?a=v1") == "http://x/proxy?a=v1"
    monkeypatch.setenv("CO_API_URL", "http://y/v1")
    assert address() == "http://y"


async def test_a_key_that_the_host_echoes_is_told_to_nobody(wire):
    told = wire.whole({"message": f"invalid api token {wire.key}"}, status=401)
    with pytest.raises(AuthenticationFailed) as caught:
        await wire.ask(told)
    assert wire.key not in str(caught.value)
    assert wire.key not in repr(wire.provider("http://x"))


async def test_it_is_found_by_its_name(wire):
    async with open_server(wire.whole(wire.message("x"))) as server:
        options = {"cohere": {"api_key": wire.key, "base_url": server.url}}
        async with Client("cohere:command-a-03-2025", options=options) as client:
            assert (await client.ask("hi")).text == "x"
