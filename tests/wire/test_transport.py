"""The transport of ours against httpx's own: hostile servers, random bytes and cuts."""

from __future__ import annotations

import gzip
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import httpx
import pytest
import trio
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmmw.wire import Http1Transport

Script = Sequence[bytes]
"""What a server sends, piece by piece, before it closes."""


@attrs.define(eq=False)
class Far:
    """A server that reads each request to its end, then plays the next script."""

    url: str = ""
    scripts: list[Script] = attrs.field(factory=list)
    requests: list[bytes] = attrs.field(factory=list)
    connections: int = 0
    alive: int = 0
    stays: bool = False
    """The line stays open behind a script, for the next request."""
    gone: trio.Event = attrs.field(factory=trio.Event)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.alive += 1
        try:
            async with stream:
                while await self._exchange(stream):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.alive -= 1
            self.gone.set()

    async def _exchange(self, stream: trio.SocketStream) -> bool:
        request = b""
        while not _is_whole(request):
            piece = await stream.receive_some()
            if not piece:
                return False
            request += piece
        self.requests.append(request)
        for piece in self.scripts.pop(0) if self.scripts else ():
            await stream.send_all(piece)
        return self.stays


def _is_whole(request: bytes) -> bool:
    head, found, body = request.partition(b"\r\n\r\n")
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return bool(found) and len(body) >= int(length[1] if length else 0)


@asynccontextmanager
async def far(**options: Any) -> AsyncIterator[Far]:
    async with trio.open_nursery() as nursery:
        found = Far(**options)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        found.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1"
        nursery.start_soon(trio.serve_listeners, found.serve, listeners)
        yield found
        nursery.cancel_scope.cancel()


def ours(**options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Http1Transport(**options), timeout=2)


def theirs() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=2)


async def outcome(client: httpx.AsyncClient, url: str) -> tuple[Any, ...]:
    """What a client makes of an answer, or of none."""
    try:
        answer = await client.post(url, content=b"{}")
    except httpx.TransportError as error:
        return ("error", type(error).__name__)
    except httpx.DecodingError:
        return ("undecodable",)
    rows = [(name.lower(), value) for name, value in answer.headers.raw]
    return answer.status_code, rows, answer.content


async def both(script: Script) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    async with far(scripts=[script, script]) as server:
        async with ours() as mine, theirs() as other:
            return await outcome(mine, server.url), await outcome(other, server.url)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted({one % (len(data) + 1) for one in places}), len(data)]
    return [data[a:b] for a, b in pairwise(bounds) if a < b]


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = {
    "length": OK + b"Content-Length: 5\r\nX-A:  b \r\nx-a: c\r\n\r\nhello",
    "chunks": CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "an extension of a chunk": CHUNKED + b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "a trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX-T: u\r\n\r\n",
    "until the end": OK + b"\r\nhello",
    "version 1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "nothing": OK + b"Content-Length: 0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\n\r\nok",
    "no reason": b"HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nno",
    "an empty header": OK + b"X-A:\r\nContent-Length: 2\r\n\r\nok",
    "letters beyond ASCII": OK + b"X-A: gr\xc3\xbc\xc3\x9f\r\nContent-Length: 2\r\n\r\nok",
    "letters of Latin-1": OK + b"X-A: gr\xfc\xdf\r\nContent-Length: 2\r\n\r\nok",
    "gzip": OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello", mtime=0),
    "other status": b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
    "large": OK + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000,
}
BAD = {
    "nothing at all": b"",
    "half a status": b"HTTP/1.1 2",
    "half a head": OK + b"Content-Le",
    "half a body": OK + b"Content-Length: 50\r\n\r\nhello",
    "half a chunk": CHUNKED + b"5\r\nhel",
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "a size that is none": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "a size beyond all": CHUNKED + b"fffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a negative length": OK + b"Content-Length: -5\r\n\r\nhello",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "words": b"SSH-2.0-OpenSSH_9\r\n",
    "a header without a colon": OK + b"nonsense\r\nContent-Length: 0\r\n\r\n",
    "a header with a space in its name": OK + b"X A: b\r\nContent-Length: 0\r\n\r\n",
    "a header without a name": OK + b": b\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello",
    "another protocol, without its name": b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    + OK
    + b"\r\n",
    "an interim answer with a body": b"HTTP/1.1 199 X\r\nContent-Length: 5\r\n\r\nhello"
    + OK
    + b"Content-Length: 2\r\n\r\nok",
    "an interim answer in chunks": b"HTTP/1.1 199 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"5\r\nhello\r\n0\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\n\r\nok",
    "interim answers without end": b"HTTP/1.1 103 Hints\r\nX: a\r\n\r\n" * 10_000,
    "chunks in chunks": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "a status that is none": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "extensions of chunks without end": CHUNKED + (b"1;" + b"a" * 2000 + b"\r\nx\r\n") * 100,
    "trailers without end": CHUNKED + b"0\r\n" + b"X: a\r\n" * 60_000,
    "a head without end": OK + b"X: " + b"a" * 300_000,
    "headers without end": OK + b"X: a\r\n" * 60_000,
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("size", [1, 7, 10**9])
async def test_what_is_well_formed_is_read_as_httpx_reads_it(name: str, size: int) -> None:
    data = GOOD[name]
    if size < 10 and len(data) > 10_000:
        size = 4096
    mine, other = await both([data[at : at + size] for at in range(0, len(data), size)])
    assert mine == other
    assert mine[0] != "error"


@pytest.mark.parametrize("name", BAD)
async def test_what_is_broken_is_an_error_for_both(name: str) -> None:
    mine, other = await both([BAD[name]])
    assert mine[0] == other[0] == "error"


STRICTER = {
    "version 3.7": b"HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "both lengths": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "the same length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "line feeds alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a folded header": OK + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
    "an interim answer that says close": b"HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\n\r\nok",
    "an interim answer of version 1.0": b"HTTP/1.0 100 Continue\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\n\r\nok",
    "a length in a trailer": CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("name", STRICTER)
async def test_what_readers_read_differently_is_refused(name: str) -> None:
    """Where two readers of one answer may disagree, something can be smuggled between them."""
    mine, _ = await both([STRICTER[name]])
    assert mine[0] == "error"


async def test_why_it_is_refused_is_said_while_another_error_is_handled() -> None:
    async with far(scripts=[[OK + b"Transfer-Encoding: br\r\n\r\n"]]) as server, ours() as client:
        try:
            raise ConnectionError("another host is away")
        except ConnectionError:
            with pytest.raises(httpx.RemoteProtocolError, match="a form that nobody asked for"):
                await client.get(server.url)


FIVE = {
    "a size that is none": CHUNKED + b"5\r\nhello\r\nzz\r\n",
    "no line behind a chunk": CHUNKED + b"5\r\nhello!",
    "trailers without end": CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: a\r\n" * 30_000,
    "too early an end": OK + b"Content-Length: 50\r\n\r\nhello",
}


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("size", [1, 10**9])
@pytest.mark.parametrize("make", [ours, theirs])
async def test_what_comes_before_what_is_broken_is_heard(name: str, size: int, make: Any) -> None:
    """Whether they come together or not: a line cuts as it likes."""
    data, heard = FIVE[name], b""
    if size < 10:
        size = max(size, len(data) // 500)
    async with far(scripts=[[data[at : at + size] for at in range(0, len(data), size)]]) as server:
        async with make() as client, client.stream("POST", server.url, content=b"{}") as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                async for piece in answer.aiter_raw():
                    heard += piece
    assert heard == b"hello"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpx's own
@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([*GOOD, *BAD, *STRICTER]),
    st.lists(
        st.tuples(
            st.integers(0, 400),
            st.integers(0, 3),
            st.sampled_from(
                [b"", b"\r\n", b"\n", b"\0", b" ", b"0", b"9", b":", b"\xff", b"a", b"chunked"]
            ),
        ),
        max_size=3,
    ),
    st.none() | st.integers(0, 400),
    st.lists(st.integers(0, 10_000), max_size=4),
)
def test_any_bytes_and_cuts_are_read_as_httpx_reads_them_or_refused(
    name: str, edits: list[tuple[int, int, bytes]], end: int | None, places: list[int]
) -> None:
    data = {**GOOD, **BAD, **STRICTER}[name]
    for at, length, new in edits:
        place = at % (len(data) + 1)
        data = data[:place] + new + data[place + length :]
    mine, other = trio.run(both, cut(data[:end], places))
    if mine[0] != "error" and not LAXER.search(data[:end]):
        assert mine == other


LAXER = re.compile(rb"HTTP/1\.\d 1\d\d[^\r\n]*(\r\n[^\r\n]+)*\r\n\r\n[\r\n]")
"""Where ours gives an answer and httpx none: empty lines behind an interim answer are skipped. They
hold nothing, and RFC 9112 (2.2) has servers skip such lines, too."""


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for one in given:
        yield one


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
@pytest.mark.parametrize("make", [ours, theirs])
async def test_a_body_is_framed_as_its_headers_say(make: Any, headers: dict[str, str]) -> None:
    """In pieces it is chunked, unless its length is told."""
    async with far(scripts=[[GOOD["nothing"]]]) as server, make() as client:
        await client.put(server.url, content=pieces(b"hel", b"", b"lo"), headers=headers)
        body = server.requests[0].partition(b"\r\n\r\n")[2]
        assert body == (b"hello" if "Content-Length" in headers else CHUNKS)


CHUNKS = b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "4"},
        {"Content-Length": "6"},
        {"Content-Length": "x"},
        {"Transfer-Encoding": "gzip"},
        {"Transfer-Encoding": "chunked"},  # with a length besides, which httpx sets
        {"X Y": "z"},
        {"X:": "z"},
        {"": "z"},
        {"X": "a\r\nY: b"},
        {"X": "a\0b"},
    ],
)
async def test_a_request_that_could_be_read_as_another_is_refused(headers: dict[str, str]) -> None:
    async with far(scripts=[[GOOD["nothing"]]]) as server, ours() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.put(server.url, content=b"hello", headers=headers)
        assert server.requests == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "gopher://127.0.0.1/", "127.0.0.1/a"])
@pytest.mark.parametrize("make", [ours, theirs])
async def test_what_is_not_http_goes_nowhere(make: Any, url: str) -> None:
    async with make() as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get(url)


async def test_who_says_close_asks_nothing_more_on_that_connection() -> None:
    async with far(scripts=[[GOOD["nothing"]]] * 2, stays=True) as server, ours() as client:
        await client.get(server.url, headers={"Connection": "close"})
        await client.get(server.url)
        assert server.connections == 2


async def test_each_step_has_its_own_bound_and_error() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, silent, listeners)
        place = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with ours() as client:
            for url, body, step, error in [
                (f"https://{place}", b"", "connect", httpx.ConnectTimeout),
                (f"http://{place}", b"x" * 50_000_000, "write", httpx.WriteTimeout),
                (f"http://{place}", b"", "read", httpx.ReadTimeout),
            ]:
                limit = httpx.Timeout(None, **{step: 0.05})
                with pytest.raises(error):
                    await client.post(url, content=body, timeout=limit)
        async with ours(most=1) as client:
            nursery.start_soon(partial(client.get, f"http://{place}", timeout=None))
            await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(httpx.PoolTimeout):
                await client.get(f"http://{place}", timeout=httpx.Timeout(None, pool=0.05))
            nursery.cancel_scope.cancel()


async def test_a_body_that_ends_with_an_error_leaves_no_connection() -> None:
    class Body(httpx.AsyncByteStream):
        def __init__(self) -> None:
            self.pieces = pieces(b"{", b"}")

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            return await anext(self.pieces)

        async def aclose(self) -> None:
            raise ValueError("the file is gone")

    transport = Http1Transport()
    async with far(scripts=[[GOOD["length"][:-1]]], stays=True) as server:
        async with httpx.AsyncClient(transport=transport) as client:
            headers = {"Transfer-Encoding": "chunked"}
            request = httpx.Request("POST", server.url, headers=headers, stream=Body())
            with pytest.raises(ValueError, match="gone"):
                await client.send(request)
            assert transport._pool.alive == 0


async def test_a_target_of_ones_own_is_sent() -> None:
    async with far(scripts=[[GOOD["nothing"]]] * 2) as server, ours() as client:
        target = b"http://other.example/a?b"
        await client.post(server.url, extensions={"target": target})
        assert server.requests[0].startswith(b"POST http://other.example/a?b HTTP/1.1\r\n")
        with pytest.raises(httpx.LocalProtocolError):
            await client.post(server.url, extensions={"target": b"/a HTTP/1.1\r\nX: y"})


async def test_a_context_of_ones_own_is_used() -> None:
    """With a certificate for the host, too."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    client = ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(server)
    authority.configure_trust(client)
    server.verify_mode = ssl.CERT_REQUIRED

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(GOOD["length"])

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, server, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        url = f"https://localhost:{listeners[0].transport_listener.socket.getsockname()[1]}"
        async with ours(verify=client) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get(url)
        authority.issue_cert("me@example.com").configure_cert(client)
        async with ours(verify=client) as known:
            assert (await known.get(url)).content == b"hello"
            address = url.replace("localhost", "127.0.0.1")
            found = await known.get(address, extensions={"sni_hostname": "localhost"})
            assert found.content == b"hello"
            with pytest.raises(httpx.ConnectError, match=r"127\.0\.0\.1"):
                await known.get(address)
        nursery.cancel_scope.cancel()
