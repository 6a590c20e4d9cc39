"""The way to a host, without any provider: what is sent, what is read, what is left behind."""

import functools
import gc
import gzip
import socket
import struct
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from llmmw.errors import (
    BadRequest,
    ConfigError,
    ConnectionFailed,
    LLMError,
    ProtocolError,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing import Answer, Server, open_server
from llmmw.wire import Http, Key, SSEEvent

KEY, OTHER = "sk-one-0123456789abcdef", "sk-two-fedcba9876543210"
SSE = {"Content-Type": "text/event-stream"}


@asynccontextmanager
async def opened(answers: Any, **options: Any) -> AsyncIterator[tuple[Http, Server]]:
    async with open_server(answers) as server:
        http = Http(base_url=server.url, key=Key(KEY), **options)
        async with http.open():
            yield http, server


async def test_what_is_sent() -> None:
    marks = []
    async with opened(Answer(body=b"{}"), headers={"X-A": "b"}) as (http, server):
        async with http.post("/p", b'{"a":1}', sent=lambda: marks.append(1)) as reply:
            assert await reply.read() == b"{}"
            assert reply.status == 200
    (one,) = server.requests
    assert (one.method, one.path, one.body) == ("POST", "/p", b'{"a":1}')
    assert one.headers["authorization"] == f"Bearer {KEY}"
    assert one.headers["content-type"] == "application/json"
    assert (one.headers["content-length"], one.headers["x-a"]) == ("7", "b")
    assert "transfer-encoding" not in one.headers
    assert marks == [1]


async def test_what_is_only_looked_at() -> None:
    async with open_server(Answer(body=b"{}")) as server:
        http = Http(base_url=f"{server.url}/v1?api-version=3", key=Key(KEY))
        async with http.open(), http.get("/r/1", {"after": "7 8"}) as reply:
            assert await reply.read() == b"{}"
    (one,) = server.requests
    assert (one.method, one.body) == ("GET", b"")
    assert one.path == "/v1/r/1?api-version=3&after=7+8"
    assert one.headers["authorization"] == f"Bearer {KEY}"
    assert "content-type" not in one.headers


async def test_a_header_and_a_word_of_the_host() -> None:
    async with opened(Answer(), header="x-goog-api-key", scheme="") as (http, server):
        async with http.post("/", b"") as reply:
            await reply.read()
    assert server.requests[0].headers["x-goog-api-key"] == KEY
    assert "authorization" not in server.requests[0].headers


async def test_what_has_no_body_whatever_its_head_says() -> None:
    """Its length is that of the body that a GET would have."""

    async def serve(stream: trio.SocketStream) -> None:
        async for request in stream:
            assert request.startswith(b"HEAD /p HTTP/1.1\r\n")
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        http = Http(base_url=f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        with trio.fail_after(10):
            async with http.open():
                for method in ("HEAD", "head"):
                    async with http.request(method, "/p") as reply:
                        assert await reply.read() == b""
        nursery.cancel_scope.cancel()


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 20_000
    async with opened(Answer(body=body)) as (http, server):
        async with http.post("/", body) as reply:
            assert await reply.read() == body
    assert server.requests[0].body == body


async def test_a_compressed_body() -> None:
    headers = {"Content-Encoding": "gzip"}
    packed = gzip.compress(b"data: a\n\n" * 3)
    async with opened(Answer(headers=headers | SSE, body=packed)) as (http, _):
        async with http.post("/", b"") as reply:
            assert [event async for event in reply.events()] == [SSEEvent("a")] * 3
    async with opened(Answer(headers=headers, body=b"no gzip")) as (http, _):
        async with http.post("/", b"") as reply:
            with pytest.raises(ProtocolError, match="not compressed as its header says"):
                await reply.read()
    async with opened(Answer(headers={"Content-Encoding": "br"}, body=b"?")) as (http, server):
        async with http.post("/", b"") as reply:
            with pytest.raises(ProtocolError, match="encoded as 'br'"):
                await reply.read()
        assert server.requests[0].headers["accept-encoding"] == "gzip"


async def test_a_body_larger_than_any_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that unpacks to much more than it is is left in time."""
    monkeypatch.setattr("llmmw.wire._reply._MOST_BYTES", 2**20)
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(bytes(2**20)) for _ in range(32)] + [packer.flush()]
    headers = {"Content-Encoding": "gzip"}
    async with opened(Answer(headers=headers, body=b"".join(packed))) as (http, _):
        async with http.post("/", b"") as reply:
            tracemalloc.start()
            try:
                size = 0
                with pytest.raises(ProtocolError, match="larger than 1048576 bytes"):
                    while piece := await reply.next_piece():
                        size += len(piece)
                most = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    assert size <= 2**20
    assert most < 8 * 2**20


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
async def test_deflate_of_both_kinds(window: int) -> None:
    """Nobody asks for it, and some servers send it all the same."""
    packer = zlib.compressobj(wbits=window)
    packed = packer.compress(b"hello " * 100) + packer.flush()
    for pieces in ([packed], [packed[:1], packed[1:]]):
        async with opened(Answer(headers={"Content-Encoding": "deflate"}, pieces=pieces)) as (
            http,
            _,
        ):
            async with http.post("/", b"{}") as reply:
                assert await reply.read() == b"hello " * 100


async def test_gzip_behind_gzip() -> None:
    """What stands behind an end is read too, and piles up nowhere."""
    headers = {"Content-Encoding": "gzip"}
    members = [gzip.compress(b"a" * size) for size in (3, 0, 5)]
    body = b"".join(members)
    for pieces in ([body], [body[at : at + 1] for at in range(len(body))]):
        async with opened(Answer(headers=headers, pieces=pieces)) as (http, _):
            async with http.post("/", b"") as reply:
                assert await reply.read() == b"a" * 8
    async with opened(Answer(headers=headers, pieces=[members[0], b"x" * 2**20])) as (http, _):
        async with http.post("/", b"") as reply:
            with pytest.raises(ProtocolError, match="not compressed"):
                await reply.read()


async def test_an_event_larger_than_any() -> None:
    row = b"data: " + b"x" * 2**20
    async with opened(Answer(headers=SSE, pieces=[row] * 20)) as (http, _):
        async with http.post("/", b"") as reply:
            with pytest.raises(ProtocolError, match="more than 16,777,216 bytes"):
                async for _ in reply.events():
                    pass


async def test_an_error_with_an_endless_body(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def many() -> Iterator[bytes]:
        nonlocal taken
        for taken in range(10_000):  # noqa: B007
            yield b"no room " * 8192

    slow = Answer(status=500, pieces=[b'{"error":"no room', trio.sleep_forever])
    for answer, limit in ((slow, 0.05), (Answer(status=500, pieces=many()), 60)):
        monkeypatch.setattr("llmmw.wire._reply.CLEAN_UP", limit)
        async with opened(answer) as (http, server):
            with trio.fail_after(2), pytest.raises(ServerError, match="no room") as caught:
                async with http.post("/", b""):
                    pass
            assert len(str(caught.value)) < 1000
            with trio.fail_after(2):
                await server.idle.wait()
    assert taken < 200  # as many as the system holds for a reader


@pytest.mark.parametrize("read", ["nothing", "a piece", "an event", "all but the end"])
async def test_leaving_the_block_closes_what_is_unread(read: str) -> None:
    answer = Answer(headers=SSE, pieces=[b"data: a\n\ndata: b\n\n", trio.sleep_forever])
    async with opened(answer) as (http, server):
        async with http.post("/", b"") as reply:
            if read == "a piece":
                await reply.next_piece()
            if read == "an event":
                async with aclosing(reply.events()) as events:
                    async for event in events:
                        assert event.data == "a"
                        break
            if read == "all but the end":
                with trio.move_on_after(0.02):
                    await reply.read()
        begun = trio.current_time()
        with trio.fail_after(2):
            await server.idle.wait()
        assert server.left_at - begun < 0.1


async def test_what_follows_the_end_is_drained_or_left() -> None:
    async with opened(Answer(headers=SSE, pieces=[b"data: a\n\n", b": bye\n\n"])) as (http, server):
        for _ in range(3):
            async with http.post("/", b"") as reply:
                assert await reply.next_piece()
                await reply.drain()
        assert server.connections == 1
    for pieces in ([b"data: a\n\n", trio.sleep_forever], [b"data: a\n\n"]):
        async with opened(Answer(headers=SSE, pieces=pieces, cut=True)) as (http, server):
            async with http.post("/", b"") as reply:
                await reply.next_piece()
                with trio.fail_after(2):
                    await reply.drain()


async def test_a_line_that_breaks_while_the_body_is_sent() -> None:
    """It leaves nothing behind that complains when garbage is collected; nor does a cancel."""
    body = bytes(2**24)

    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some(10)
        linger = struct.pack("ii", 1, 0)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await stream.aclose()

    async def ignore(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    for handle in (reset, ignore):
        async with trio.open_nursery() as nursery:
            serve = functools.partial(trio.serve_tcp, host="127.0.0.1", port=0)
            (listener,) = await nursery.start(serve, handle)
            url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            http = Http(base_url=url, key=Key(KEY))
            async with http.open():
                with trio.move_on_after(5 if handle is reset else 0.05) as scope:
                    with pytest.raises(ConnectionFailed, match="broke before an answer came"):
                        async with http.post("/", body):
                            pass
            assert scope.cancelled_caught == (handle is ignore)
            nursery.cancel_scope.cancel()
    gc.collect()


async def test_a_line_that_breaks() -> None:
    for read in ("read", "events"):
        async with opened(Answer(headers=SSE, pieces=[b"data: a\n\n"], cut=True)) as (http, _):
            async with http.post("/", b"") as reply:
                with pytest.raises(StreamInterrupted, match=r"the line broke: .*closed"):
                    if read == "read":
                        await reply.read()
                    else:
                        async for event in reply.events():
                            assert event.data == "a"


async def test_what_the_host_said_before_the_line_broke() -> None:
    told = b'data: {"a":1}\n\n', b'{"error":{"message":"no room"}}\n', b'data: {"b":2}\n'
    for pieces, seen, kind in (
        (told[:2], ['{"a":1}'], ServerError),
        ((told[0], told[2]), ['{"a":1}', '{"b":2}'], StreamInterrupted),
        ((told[0], told[2][:9]), ['{"a":1}'], StreamInterrupted),
    ):
        async with opened(Answer(headers=SSE, pieces=pieces, cut=True)) as (http, _):
            events = []
            with pytest.raises(kind):
                async with http.post("/", b"") as reply:
                    async for event in reply.events():
                        events.append(event.data)
        assert events == seen


async def test_each_error_of_an_answer_has_the_id_of_its_request() -> None:
    headers = {"X-Request-Id": f"r-{KEY}"}
    for answer in (
        Answer(status=500, headers=headers),
        Answer(headers=headers, pieces=[b"{"], cut=True),
        Answer(headers=headers | {"Content-Encoding": "br"}, body=b"?"),
    ):
        async with opened(answer) as (http, _):
            with pytest.raises(LLMError) as caught:
                async with http.post("/", b"") as reply:
                    await reply.read()
        assert caught.value.request_id == "r-[key]"


@pytest.mark.parametrize("again", [False, True])
async def test_a_cancel_at_any_time_shows_no_key_and_leaves_no_connection(again: bool) -> None:
    caught: list[BaseException] = []

    async def call(http: Http) -> None:
        try:
            async with http.post("/", b"{}" * 10) as reply:
                await reply.read()
        except trio.Cancelled as error:
            caught.append(error)
            raise

    async with opened(Answer(body=b"{}"), headers={"X-My-Token": OTHER}) as (http, server):
        for ticks in range(60):
            if again:  # on a connection that is there already
                async with http.post("/", b"") as reply:
                    await reply.read()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call, http)
                for _ in range(ticks):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
    for error in caught:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert KEY not in "".join(told.format())
        assert OTHER not in "".join(told.format())
    assert len(caught) >= 2
    with trio.fail_after(2):
        await server.idle.wait()


async def test_what_a_response_may_keep() -> None:
    headers = {
        "X-Request-Id": f"r-{KEY}",
        "Set-Cookie": "session=secret",
        "X-Echo": f"Bearer {KEY}; {OTHER}",
        "x-ratelimit-remaining-tokens": "5",
        "Content-Type": "Application/JSON; charset=utf-8",
    }
    async with opened(Answer(headers=headers), headers={"X-My-Token": OTHER}) as (http, _):
        async with http.post("/", b"") as reply:
            info = reply.info
            assert reply.content_type == "application/json"
            assert reply.request_id == "r-[key]"
    assert info.headers["x-echo"] == "Bearer [key]; [key]"
    assert "set-cookie" not in info.headers
    assert info.rate == {"tokens_remaining": 5.0}
    assert KEY not in repr(http)
    assert OTHER not in repr(http)


async def test_a_key_in_use_is_known_whatever_others_come_by() -> None:
    """Few secrets are kept in mind, so that keys that are renewed do not pile up."""
    echo = Answer(body=b"{}", headers={"X-Echo": f"you are {KEY}"})
    async with opened(echo) as (http, _):
        for number in range(3):
            async with http.post("/p", b"{}") as reply:
                assert KEY not in str(reply.info.headers)
            for other in range(8):
                http.scrub.add(f"{number}{other}" * 12)


async def test_no_log_shows_a_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    refused = Answer(status=401, body=f"wrong key {KEY}".encode())
    headers = {"X-My-Token": OTHER}
    async with httpx.AsyncClient() as client:  # its lower parts tell their loggers much
        for given in (None, client):
            async with opened(refused, headers=headers, client=given) as (http, _):
                with pytest.raises(LLMError):
                    async with http.post("/", b""):
                        pass
            with pytest.raises(LLMError):
                dead = "http://127.0.0.1:1"
                http = Http(base_url=dead, key=Key(KEY), headers=headers, client=given)
                async with http.open(), http.post("/", b""):
                    pass
    assert "httpcore" in caplog.text
    assert KEY not in caplog.text
    assert OTHER not in caplog.text


async def test_two_clients_of_one_host() -> None:
    """Neither closes what the other still uses."""
    async with open_server(Answer(body=b"{}")) as server:
        http = Http(base_url=server.url, key=Key(KEY))
        async with AsyncExitStack() as later:
            async with http.open():
                await later.enter_async_context(http.open())
            async with http.post("/", b"") as reply:
                await reply.read()
        with pytest.raises(ConfigError, match="not open"):
            async with http.post("/", b""):
                pass
        with trio.fail_after(2):
            await server.idle.wait()
        async with http.open(), http.post("/", b"") as reply:
            await reply.read()


async def test_a_host_that_is_not_open() -> None:
    with pytest.raises(ConfigError, match="not open"):
        async with Http(base_url="http://127.0.0.1:1").post("/", b""):
            pass


@pytest.mark.parametrize(
    ("base", "path", "headers", "kind"),
    [
        ("http://127.0.0.1:1/v1", "/x", {}, ConnectionFailed),
        ("http://127.0.0.1:1/v1", "/x", {"X-Key": f"{OTHER}é"}, ConfigError),
        ("http://127.0.0.1:1/v1", "/" + "x" * 70_000, {}, BadRequest),
        ("http://127.0.0.1:1/\x00", "/x", {}, ConfigError),
        ("https://nowhere.invalid", "/x", {}, ConnectionFailed),
    ],
)
async def test_no_frame_of_an_error_shows_a_key(
    base: str, path: str, headers: dict[str, str], kind: type[Exception]
) -> None:
    secret = {"X-Api-Key": OTHER} | headers
    try:
        http = Http(base_url=base, key=Key(KEY), headers=secret)
        del secret, headers
        async with http.open(), http.post(path, b"{}"):
            pass
    except (LLMError, ConfigError) as error:
        caught = error
    whole = traceback.TracebackException.from_exception(caught, capture_locals=True)
    told = "".join(whole.format())
    assert type(caught) is kind
    assert getattr(caught, "processed", False) is False
    assert caught.__context__ is None
    assert KEY not in told
    assert OTHER not in told or kind is ConfigError  # then the caller's own options are all there


async def test_stray_json_is_an_error_at_the_end() -> None:
    body = b'data: {"a":1}\n\n{"error":{"message":"no room"}}\n'
    async with opened(Answer(headers=SSE, body=body)) as (http, _):
        async with http.post("/", b"") as reply:
            seen = []
            with pytest.raises(ServerError, match="no room"):
                async for event in reply.events():
                    seen.append(event.data)
            assert seen == ['{"a":1}']


async def test_a_mistake_below_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to those who print the locals of each frame."""
    from llmmw.wire._http1._line import Line

    def odd(self: object, data: bytes) -> None:
        try:
            raise KeyError("below")
        except KeyError as error:
            raise RuntimeError("a mistake") from error

    async with opened(Answer(body=b"{}"), headers={"X-My-Token": OTHER}) as (http, _):
        monkeypatch.setattr(Line, "begin", odd)
        with pytest.raises(RuntimeError, match="a mistake") as caught:
            async with http.post("/", b"{}"):
                pass
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert "in _begin" in shown
    assert KEY not in shown
    assert OTHER not in shown


async def test_a_cancel_while_what_has_not_left_is_sent_anew_shows_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its error remembers the one before it."""
    from llmmw.wire._http1 import _pool
    from llmmw.wire._http1._line import Line

    again = trio.Event()

    async def dial(*given: Any) -> Any:
        again.set()
        await trio.sleep_forever()

    async with opened(Answer(body=b"{}"), headers={"X-My-Token": OTHER}) as (http, _):
        async with http.post("/", b"") as reply:
            await reply.read()
        (place,) = http.client._pool._places.values()
        place.idle[0].line._socket.shutdown(socket.SHUT_WR)
        monkeypatch.setattr(Line, "is_quiet", lambda line: True)
        monkeypatch.setattr(_pool, "dial", dial)
        caught: list[BaseException] = []

        async def call() -> None:
            try:
                async with http.post("/", b"{}"):
                    pass
            except trio.Cancelled as error:
                caught.append(error)
                raise

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await again.wait()
            nursery.cancel_scope.cancel()
    (error,) = caught
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    assert "Cancelled" in shown
    assert KEY not in shown
    assert OTHER not in shown


async def test_a_host_learns_who_asks() -> None:
    async with opened([Answer(body=b"{}")] * 2) as (http, server):
        async with http.post("/", b""):
            pass
        http.headers = {"User-Agent": "mine"}
        async with http.post("/", b""):
            pass
    told = [one.headers["user-agent"] for one in server.requests]
    assert told[0].startswith("llmmw/")
    assert told[1] == "mine"
