"""Which hosts are asked by way of a proxy: those that httpx asks so."""

from __future__ import annotations

import ssl

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmmw.testing import Answer, open_server
from llmmw.wire import Http
from llmmw.wire._proxies import Proxies

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HOSTS = [
    *["example.com", "api.example.com", "myexample.com", "com", "localhost", "a.localhost"],
    *["127.0.0.1", "10.0.0.1", "[::1]", "EXAMPLE.com", "xn--bcher-kva.example"],
]
EXCEPTED = [
    *["example.com", ".example.com", "*.example.com", "api.example.com:8443", "com", "*", ""],
    *["localhost", "LOCALHOST", "127.0.0.1", "10.0.0.0/8", "::1", "[::1]", "127.0.0.1:8443"],
    *["http://example.com", "https://", "all://*.example.com", "all://example.com:8443", "*com"],
    *["Example.Com", " example.com ", "exam.le.com", "bücher.example"],
]
URLS = st.builds(
    "{}://{}{}/v1".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(HOSTS),
    st.sampled_from(["", ":8443", ":80"]),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.sampled_from(VARIABLES[:3])), st.lists(st.sampled_from(EXCEPTED), max_size=4), URLS
)
def test_a_proxy_is_chosen_as_httpx_chooses_it(
    monkeypatch: pytest.MonkeyPatch, named: set[str], excepted: list[str], url: str
) -> None:
    with monkeypatch.context() as patch:
        for name in named:
            patch.setenv(name, "http://proxy.invalid:3128")
        patch.setenv("NO_PROXY", ",".join(excepted))
        try:
            client = httpx.AsyncClient(verify=TLS)
        except httpx.InvalidURL:
            return  # then no provider opens
        theirs = client._transport_for_url(httpx.URL(url)) is not client._transport
        assert Proxies().take(httpx.URL(url)) is theirs


async def test_what_is_excepted_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_server(Answer(body=b"host")) as host, open_server(Answer()) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        http = Http(base_url=host.url)
        async with http.open():
            await http.warm()
            assert http.client._pool.alive == 1, "it is a connection of ours"
            async with http.post("/p", b"{}") as reply:
                assert await reply.read() == b"host"
            assert http.client._pool.alive == 1
    assert not proxy.requests


async def test_what_goes_by_a_proxy_has_nothing_made_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_server(Answer()) as host, open_server(Answer(body=b"proxy")) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        http = Http(base_url=host.url)
        async with http.open():
            await http.warm()
            assert http.client._pool.alive == 0
            async with http.post("/p", b"{}") as reply:
                assert await reply.read() == b"proxy"
