"""What the environment decides: proxies; and odd addresses."""

import pytest
import trio

from llmmw.errors import ConfigError, ConnectionFailed, LLMError
from llmmw.testing import Answer, open_server
from llmmw.wire import Http, Key

KEY, PASSWORD = "sk-one-0123456789abcdef", "hunter2-0123456789"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def ask(url: str) -> bytes:
    http = Http(base_url=url, key=Key(KEY))
    async with http.open(), http.post("/p", b"{}") as reply:
        return await reply.read()


async def test_a_proxy_is_used_unless_it_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_server(Answer(body=b"host")) as host, open_server(Answer(body=b"proxy")) as one:
        monkeypatch.setenv("HTTP_PROXY", one.url.replace("//", f"//me:{PASSWORD}@"))
        assert await ask(host.url) == b"proxy"
        assert one.requests[0].headers["proxy-authorization"].startswith("Basic ")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert await ask(host.url) == b"host"


@pytest.mark.parametrize("status", [407, 502])
async def test_a_proxy_that_refuses(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with open_server(Answer(status=status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//me:{PASSWORD}@"))
        with pytest.raises(ConnectionFailed, match=f"host.invalid was not reached: {status}") as e:
            await ask("https://host.invalid/v1")
    assert PASSWORD not in str(e.value)
    assert PASSWORD not in caplog.text
    assert e.value.processed is False


@pytest.mark.parametrize("place", ["h:port", "h:1:2"])
@pytest.mark.parametrize("scheme", ["http", "ftp"])
async def test_a_proxy_that_is_none(
    scheme: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:{PASSWORD}@{place}")
    with pytest.raises(ConfigError, match=r"HTTPS_PROXY.* can't be used") as caught:
        await ask("https://host.invalid/v1")
    assert PASSWORD not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["https://me:{}@h:port/v1", "{}@h", "http://me:{}@h", "x://me:{}@h"]
)
def test_an_address_with_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        Http(base_url=url.format(PASSWORD))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["a" * 70 + ".invalid", "a..b", "ü" * 70 + ".invalid", "-.invalid"]
)
async def test_a_name_that_no_host_has(host: str) -> None:
    with pytest.raises((LLMError, ConfigError)):
        await ask(f"http://{host}/v1")


async def test_an_address_of_version_6() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        asked.append(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await stream.aclose()

    asked: list[bytes] = []
    listeners = await trio.open_tcp_listeners(0, host="::1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        assert await ask(f"http://[::1]:{port}/v1") == b"{}"
        nursery.cancel_scope.cancel()
    assert f"Host: [::1]:{port}".encode() in asked[0]
