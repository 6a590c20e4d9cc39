"""Connections under TLS, and how they are made."""

from __future__ import annotations

import socket
import ssl
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
import trustme

from llmmw.errors import ConfigError
from llmmw.wire import Http1Transport
from llmmw.wire._client import tls
from llmmw.wire._http1 import Origin, Pool, Request
from llmmw.wire._http1._dial import dial
from tests.wire.pools import HEAD, OK, ask, contexts, opened, secured


def port_of(listener: socket.socket) -> int:
    return listener.getsockname()[1]


async def test_a_host_that_never_takes_up_is_given_up_in_time() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()  # TLS is never answered

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, silent, listeners)
        port = listeners[0].socket.getsockname()[1]
        pool = Pool(tls=tls)
        hasty = Request(HEAD, b"", times={"connect": 0.05})
        with pytest.raises(httpx.ConnectTimeout):
            await pool.send(Origin(True, "127.0.0.1", port), hasty)
        assert pool.alive == 0
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_nobody_trusts_is_refused() -> None:
    authority, other = trustme.CA(), trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)

    async def serve(stream: trio.SSLStream) -> None:
        try:
            await stream.receive_some()
            await stream.send_all(OK)
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, server, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].transport_listener.socket.getsockname()[1]
        for trusted, name, error in [
            (authority, "localhost", None),
            (other, "localhost", "certificate verify failed"),
            (authority, "127.0.0.1", "certificate verify failed"),
        ]:
            context = ssl.create_default_context()
            trusted.configure_trust(context)
            pool = Pool(tls=lambda context=context: context)
            if error is None:
                answer = await pool.send(Origin(True, name, port), Request(HEAD, b"{}"))
                assert [piece async for piece in answer] == [b"ok"]
            else:
                with pytest.raises(httpx.ConnectError, match=error):
                    await pool.send(Origin(True, name, port), Request(HEAD, b"{}"))
            pool.close()
        nursery.cancel_scope.cancel()


async def test_addresses_of_version_6_are_dialled_without_their_brackets() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(b"x")

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="::1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        line = await dial(Origin(False, "[::1]", port), tls)
        assert await line.receive() == b"x"
        line.close()
        nursery.cancel_scope.cancel()


async def test_what_can_not_be_secured_is_closed() -> None:
    def none() -> ssl.SSLContext:
        raise RuntimeError("no certificates")

    async with opened() as (_, far):
        pool = Pool(tls=none)
        with pytest.raises(RuntimeError):
            await pool.send(attrs.evolve(far.origin, secure=True), Request(HEAD, b"{}"))
        await far.until(lambda: far.streams and not far.alive)
        assert pool._count == 0


async def test_what_comes_behind_an_answer_is_seen_under_tls() -> None:
    """It has left the socket with the answer, and waits within TLS."""
    wrong = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
    async with secured([[OK, wrong], [OK], [OK]]) as (pool, origin, asked):
        for _ in range(3):
            answer = await pool.send(origin, Request(HEAD, b"{}"))
            assert b"".join([piece async for piece in answer]) == b"ok"
        assert asked == [1, 2, 2]


async def test_a_connection_made_ahead_is_used_under_tls() -> None:
    """Its host has sent tickets meanwhile, which are no answer."""
    server, client = contexts()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> int:  # in a thread: trio's own TLS keeps its tickets back
        with server.wrap_socket(listener.accept()[0], server_side=True) as line:
            for number in range(3):
                if not line.recv(65_536):
                    return number
                line.sendall(OK)
        return 3

    with listener:
        async with trio.open_nursery() as nursery:
            count: list[int] = []

            async def run() -> None:
                count.append(await trio.to_thread.run_sync(serve))

            nursery.start_soon(run)
            pool, origin = Pool(tls=lambda: client), Origin(True, "localhost", port_of(listener))
            await pool.warm(origin, {})
            line = next(iter(pool._open)).line._socket
            await trio.lowlevel.wait_readable(line)  # the tickets are there
            for _ in range(2):
                answer = await pool.send(origin, Request(HEAD, b"{}"))
                assert b"".join([piece async for piece in answer]) == b"ok"
            assert next(iter(pool._open)).line._socket is line
            pool.close()
        assert count == [2]


class TwoFamilies(trio.abc.HostnameResolver):
    """A name with two addresses, of which the first may refuse."""

    async def getaddrinfo(self, host: Any, port: Any, *args: object, **options: object) -> Any:
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET6, *kind, ("::1", port, 0, 0)),
            (socket.AF_INET, *kind, ("127.0.0.1", port)),
        ]

    async def getnameinfo(self, *args: object) -> Any:
        raise NotImplementedError


async def test_an_address_that_refuses_is_followed_by_the_next_at_once() -> None:
    trio.socket.set_custom_hostname_resolver(TwoFamilies())
    async with opened() as (pool, far):
        origin = attrs.evolve(far.origin, host="two.example")
        with trio.fail_after(10):  # long before the bound of the connection
            answer = await pool.send(origin, Request(HEAD, b"{}", times={"connect": 60}))
        assert b"".join([piece async for piece in answer]) == b"ok"


async def test_a_connection_is_made_for_a_name_that_is_asked_for() -> None:
    """And it is not used for another."""
    server, client = contexts()
    asked: list[str | None] = []
    server.sni_callback = lambda line, name, context: asked.append(name)
    async with secured([[OK]] * 3, server, client) as (pool, origin, connections):
        named = attrs.evolve(origin, host="127.0.0.1", name="localhost")
        for one in (named, named, origin):
            answer = await pool.send(one, Request(HEAD, b"{}"))
            assert b"".join([piece async for piece in answer]) == b"ok"
        assert asked == ["localhost"] * 2
        assert connections == [1, 1, 2]


async def test_the_environment_says_who_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # it is in no form that OpenSSL finds there
    async with secured([[OK]], server, server) as (_, origin, connections):
        pool = Pool(tls=tls)
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await pool.send(origin, Request(HEAD, b"{}"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        answer = await pool.send(origin, Request(HEAD, b"{}"))
        assert b"".join([piece async for piece in answer]) == b"ok"
        assert connections == [2]
        pool.close()


async def test_certificates_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE='/nowhere/ca.pem'.*No such file"):
        tls()


async def test_one_context_serves_all_connections() -> None:
    """The system's certificates take long to read."""
    assert tls() is tls()


async def test_one_connection_at_a_time_is_made_ahead() -> None:
    server, client = contexts()
    async with secured([[OK]], server, client) as (pool, origin, connections):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(pool.warm, origin, {})
        assert pool.alive == 1
        answer = await pool.send(origin, Request(HEAD, b"{}"))
        assert b"".join([piece async for piece in answer]) == b"ok"
        assert connections == [1]


async def test_what_is_made_ahead_takes_nobodys_place() -> None:
    async with opened(most=1) as (pool, far), opened() as (_, other):
        await ask(pool, far)
        await pool.warm(other.origin, {})
        assert pool.alive == 1
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0, 0]
        await far.streams[0].aclose()
        await far.until(lambda: far.alive == 0)
        await pool.warm(far.origin, {})  # the idle one has died
        await far.until(lambda: len(far.streams) == 2)
        assert pool.alive == pool._count == 1


async def secured_by_hand(plain: trio.SocketStream, context: ssl.SSLContext, data: bytes) -> bytes:
    """What a host sends for an answer and the end of its TLS, both at once."""
    come, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    line = context.wrap_bio(come, leaving, server_side=True)
    for step in (line.do_handshake, lambda: line.read(65_536)):
        while True:
            try:
                step()
                break
            except ssl.SSLWantReadError:
                await plain.send_all(leaving.read())
                come.write(await plain.receive_some())
    await plain.send_all(leaving.read())
    line.write(data)
    told = leaving.read()
    with suppress(ssl.SSLWantReadError):  # the other side has not said that it ends, too
        line.unwrap()
    return told + leaving.read()


GARBAGE = b"\x17\x03\x03\x00\x20" + b"x" * 32
"""A record that nobody has made."""


@pytest.mark.parametrize(
    ("head", "behind", "error"),
    [
        (b"", b"", None),
        (b"Content-Length: 5\r\n", b"", None),
        (b"Content-Length: 5\r\n", GARBAGE, None),
        (b"Content-Length: 9\r\n", b"", httpx.RemoteProtocolError),
        (b"Content-Length: 9\r\n", GARBAGE, httpx.ReadError),
    ],
)
@pytest.mark.parametrize("how", ["ours", "theirs"])
async def test_tls_may_end_or_break_behind_an_answer_while_the_line_stays(
    head: bytes, behind: bytes, error: Any, how: str
) -> None:
    """What came before that is heard, and nothing is waited for that can't come."""
    server, client = contexts()
    heard: list[bytes] = []

    async def serve(plain: trio.SocketStream) -> None:
        told = await secured_by_hand(plain, server, b"HTTP/1.1 200 OK\r\n" + head + b"\r\nhello")
        if behind:
            told = told[: told.rindex(b"\x17\x03\x03")] + behind
        await plain.send_all(told)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        url = f"https://localhost:{port_of(listeners[0].socket)}"
        line: Any = {"transport": Http1Transport(verify=client)} if how == "ours" else {}
        with trio.fail_after(10):
            async with httpx.AsyncClient(verify=client, timeout=None, **line) as asking:
                async with asking.stream("GET", url) as answer:
                    with nullcontext() if error is None else pytest.raises(error):
                        async for piece in answer.aiter_raw():
                            heard.append(piece)
                assert heard == [b"hello"]
        nursery.cancel_scope.cancel()


async def test_a_connection_whose_tls_is_over_is_not_used_again() -> None:
    server, client = contexts()
    made: list[trio.SocketStream] = []

    async def serve(plain: trio.SocketStream) -> None:
        made.append(plain)
        await plain.send_all(await secured_by_hand(plain, server, OK))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        origin = Origin(True, "localhost", port_of(listeners[0].socket))
        pool = Pool(tls=lambda: client)
        with trio.fail_after(10):
            for _ in range(2):
                answer = await pool.send(origin, Request(HEAD, b"{}"))
                assert b"".join([piece async for piece in answer]) == b"ok"
        assert len(made) == 2
        pool.close()
        nursery.cancel_scope.cancel()
