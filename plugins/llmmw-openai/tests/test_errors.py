"""Errors of hosts and of the line, as a caller gets them."""

from __future__ import annotations

import socket
import ssl
import struct

import pytest
import trio

from llmmw import Client, Retry
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    ConnectionFailed,
    ContentFiltered,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing import Answer

pytestmark = pytest.mark.plugins


def told(message="no room", **more):
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, told(code="unsupported_value"), None, "unsupported_value"),
        (400, told(code="context_length_exceeded"), ContextWindowExceeded, None),
        (400, told(code="content_filter"), ContentFiltered, "content_filter"),
        (401, told(code="invalid_api_key"), AuthenticationFailed, "invalid_api_key"),
        (402, told(), QuotaExhausted, None),
        (403, told(), PermissionDenied, None),
        (404, told(code="model_not_found"), NotFound, "model_not_found"),
        (408, told(), ServerError, None),
        (409, told(), ServerError, None),
        (413, told(), ContextWindowExceeded, None),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "no room"}]}, BadRequest, None),
        (429, told(code="rate_limit_exceeded"), RateLimited, "rate_limit_exceeded"),
        (429, told(code="insufficient_quota"), QuotaExhausted, "insufficient_quota"),
        (500, told(), ServerError, None),
        (500, "no room", ServerError, None),
        (502, b"<html><h1>no room</h1></html>", ServerError, None),
        (503, told(), Overloaded, None),
        (500, b"", ServerError, None),
        (503, b"\xff\xfe\x00", Overloaded, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_status(wire, status, body, kind, code, stream):
    with pytest.raises(kind or BadRequest) as caught:
        await wire.ask(wire.whole(body, status, x_request_id="r-1"), stream=stream)
    error = caught.value
    assert kind is None or type(error) is kind
    assert (error.status, error.provider, error.model) == (status, "openai", "m")
    assert error.request_id == "r-1"
    if code:
        assert error.code == code
    if body and body[:1] != b"\xff" if isinstance(body, bytes) else True:
        assert "no room" in str(error)
    assert error.processed is (False if 400 <= status < 500 and status not in {408, 409} else None)


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"retry-after": "7"}, 7.0),
        (429, {"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        (503, {"retry-after": "1.5"}, 1.5),
        (
            429,
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"},
            360.0,
        ),
        (429, {}, None),
    ],
)
async def test_the_wait_that_a_host_asks_for(wire, status, headers, wait):
    answer = wire.whole(told(), status)
    with pytest.raises((RateLimited, Overloaded)) as caught:
        await wire.ask(Answer(status=status, headers=headers, body=answer.body))
    assert caught.value.retry_after == wait


async def test_policies_act_on_errors(wire):
    good = wire.whole(wire.chat({"content": "x"}))
    waits = [wire.whole(told(), 429, retry_after_ms="5"), good]
    async with wire.client(waits, stack=[Retry(1)]) as (client, server):
        begun = trio.current_time()
        response = await client.ask("hi")
        assert trio.current_time() - begun >= 0.005
        assert (response.text, len(server.requests)) == ("x", 2)
        assert "RateLimited" in response.explain()
    for never in (wire.whole(told(), 400), wire.whole(told(), 401)):
        async with wire.client([never, good], stack=[Retry(3)]) as (client, server):
            with pytest.raises((BadRequest, AuthenticationFailed)):
                await client.ask("hi")
            assert len(server.requests) == 1


async def test_a_fallback_goes_to_another_host(wire):
    from llmmw.testing import open_server

    async with (
        open_server(wire.whole(told(), 503)) as first,
        open_server(wire.whole(wire.chat({"content": "x"}))) as second,
    ):
        hosts = [wire.provider(first.url), wire.provider(second.url, "together")]
        async with Client("openai:a", "together:b", providers=hosts) as client:
            response = await client.ask("hi")
    assert (response.text, response.provider) == ("x", "together")
    assert second.requests[0].json()["model"] == "b"


async def fails(wire, url, kind=ConnectionFailed, **options):
    """The error of a call to an address where no host is."""
    provider = wire.provider(url, **options)
    async with Client("openai:m", stack=[], providers=[provider]) as client:
        with pytest.raises(kind) as caught:
            await client.ask("hi")
    return caught.value


async def test_a_host_that_refuses(wire):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = held.getsockname()[1]
        error = await fails(wire, f"http://127.0.0.1:{port}/v1")
    assert error.processed is False
    assert f"127.0.0.1:{port} was not reached" in str(error)
    assert "refused" in str(error).lower()


async def test_a_host_without_an_address(wire):
    error = await fails(wire, "https://nowhere.invalid/v1")
    assert error.processed is False
    assert "nowhere.invalid was not reached" in str(error)


async def test_a_host_that_does_not_accept(wire, monkeypatch):
    times = {"connect": 0.1, "read": None, "write": None, "pool": None}
    monkeypatch.setattr("llmmw.wire._asked._WHOLE", times)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # its queue is full, so that the system answers no further client
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        error = await fails(wire, f"http://127.0.0.1:{full.getsockname()[1]}")
        for one in waiting:
            one.close()
    assert error.processed is False
    assert "was not reached" in str(error)


async def raw(handle, nursery):
    """A server that treats a connection as `handle` says; its port."""
    import functools

    serve = functools.partial(trio.serve_tcp, host="127.0.0.1", port=0)
    (listener,) = await nursery.start(serve, handle)
    return listener.socket.getsockname()[1]


@pytest.mark.parametrize("how", ["reset", "closed", "no HTTP"])
async def test_a_line_that_breaks_before_the_answer(wire, how):
    async def handle(stream):
        await stream.receive_some()
        if how == "no HTTP":
            await stream.send_all(b"220 smtp.example ready\r\n")
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        port = await raw(handle, nursery)
        error = await fails(wire, f"http://127.0.0.1:{port}/v1")
        nursery.cancel_scope.cancel()
    assert error.processed is None  # nobody knows
    assert f"127.0.0.1:{port}" in str(error)


async def test_tls_to_a_host_that_speaks_none(wire):
    from llmmw.testing import open_server

    async with open_server(wire.whole({})) as server:
        error = await fails(wire, server.url.replace("http:", "https:"))
        assert error.processed is False
        assert server.requests == []


# A certificate for 127.0.0.1 until 2126 that nobody has signed but itself, and its key.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHoOrgpQ65ybhkxRv
YxgFEztiyYATpI1X7DRld1e+ERyhRANCAASa75xi/vJ9I5R42mtjzr9673hYTwRW
r5iLjtzMXjcy01EMVPtNWTESDMRDUD3jU2izRfn40bKdGG8mgU9ecBBN
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBkTCCATagAwIBAgIUOXKAsO/yTrawcL2pmxbfZh/E1kYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMTExMTAzN1oYDzIxMjYxMDI4
MTExMDM3WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASa75xi/vJ9I5R42mtjzr9673hYTwRWr5iLjtzMXjcy01EMVPtNWTES
DMRDUD3jU2izRfn40bKdGG8mgU9ecBBNo2QwYjAdBgNVHQ4EFgQU9O4swp/6ZgBv
bKzcfCc+Y7mUpp8wHwYDVR0jBBgwFoAU9O4swp/6ZgBvbKzcfCc+Y7mUpp8wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYC
IQDubhW1F9v7QfUIlKCLPikpT43RNiuP+6lmonsDaTfjgAIhAPOLR/47gZNPHGq0
Chk1fcPo64FXxfu4xDYzcLuIB/a4
-----END CERTIFICATE-----
"""


async def test_a_certificate_that_nobody_trusts(wire, tmp_path, monkeypatch):
    file = tmp_path / "own.pem"
    file.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    heard, refused = [], trio.Event()

    async def handle(stream):
        try:
            heard.append(await stream.receive_some())
            await stream.send_all(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
        except trio.BrokenResourceError:
            heard.append(b"")
            refused.set()

    async with trio.open_nursery() as nursery:
        port = await raw(lambda s: handle(trio.SSLStream(s, context, server_side=True)), nursery)
        error = await fails(wire, f"https://127.0.0.1:{port}/v1")
        assert error.processed is False
        assert "certificate" in str(error).lower()
        await refused.wait()
        assert heard == [b""]
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        async with Client(
            "openai:m", providers=[wire.provider(f"https://127.0.0.1:{port}/v1")]
        ) as c:
            with pytest.raises(BadRequest, match="HTTP 400"):
                await c.ask("hi")
        assert len(heard) == 2
        nursery.cancel_scope.cancel()


async def test_an_address_that_cannot_be_one(wire):
    answer = wire.whole({})
    async with wire.client(answer) as (client, server):
        with pytest.raises(BadRequest, match="JSON"):
            await client.ask("\ud800")
        assert server.requests == []
    with pytest.raises(ConfigError, match="'X' has signs that HTTP lacks") as caught:
        wire.provider("http://h/v1", headers={"X": "line\nend"})
    assert "line" not in str(caught.value)


async def test_a_stream_that_stops_is_cut_by_the_caller(wire):
    """No limit of the line ends a silent answer; the policies' do."""
    answer = wire.stream(wire.sse(wire.chunk({"content": "x"}), done=False), trio.sleep_forever)
    async with wire.client(answer) as (client, _):
        with trio.move_on_after(0.05) as scope:
            await client.ask("hi")
        assert scope.cancelled_caught
    with pytest.raises(StreamInterrupted):
        await wire.ask(wire.events(wire.chunk({"content": "x"}), done=False))
