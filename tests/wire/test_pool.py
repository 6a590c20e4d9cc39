"""Connections that are kept: who gets one, which is closed, what is asked again."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio

from llmmw.wire._client import tls
from llmmw.wire._http1 import Origin, Pool
from llmmw.wire._http1._dial import dial

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"


@attrs.define(eq=False)
class Far:
    """A server whose connections a test holds in its hands."""

    origin: Origin = attrs.field(default=None)
    streams: list[trio.SocketStream] = attrs.field(factory=list)
    requests: list[int] = attrs.field(factory=list)
    """The number of the connection of each."""
    held: trio.Event | None = None
    """Answers wait for it."""
    answer: bytes = OK
    alive: int = 0
    changed: trio.Condition = attrs.field(factory=trio.Condition)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.streams.append(stream)
        number = len(self.streams) - 1
        self.alive += 1
        await self._tell()
        try:
            async for data in stream:
                for _ in range(data.count(b"POST")):
                    self.requests.append(number)
                    await self._tell()
                    if self.held is not None:
                        await self.held.wait()
                    await stream.send_all(self.answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.alive -= 1
            await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, so: Any) -> None:
        async with self.changed:
            while not so():
                await self.changed.wait()


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[tuple[Pool, Far]]:
    async with trio.open_nursery() as nursery:
        far = Far()
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        far.origin = Origin(False, "127.0.0.1", listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, far.serve, listeners)
        pool = Pool(tls=tls, **options)
        try:
            yield pool, far
        finally:
            pool.close()
        nursery.cancel_scope.cancel()


async def ask(pool: Pool, far: Far) -> bytes:
    answer = await pool.send(far.origin, HEAD, b"{}")
    return b"".join([piece async for piece in answer])


async def test_the_connection_that_was_used_last_is_used_next() -> None:
    async with opened() as (pool, far):
        far.held = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask, pool, far)
            await far.until(lambda: len(far.requests) == 3)
            far.held.set()
        far.requests.clear()
        for _ in range(5):
            assert await ask(pool, far) == b"ok"
        assert len(set(far.requests)) == 1
        assert len(far.streams) == 3


async def test_a_connection_that_died_idle_is_not_used() -> None:
    async with opened() as (pool, far):
        await ask(pool, far)
        await far.streams[0].aclose()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0, 1]
        assert pool.alive == 1


async def test_what_comes_unasked_on_an_idle_connection_is_never_an_answer() -> None:
    async with opened() as (pool, far):
        await ask(pool, far)
        await trio.testing.wait_all_tasks_blocked(0.02)
        await far.streams[0].send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0, 1]


async def test_what_comes_behind_an_answer_spoils_its_connection() -> None:
    async with opened() as (pool, far):
        far.answer = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
        assert await ask(pool, far) == b"ok"
        far.answer = OK
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0, 1]


async def test_only_what_has_not_left_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host closes between the look at the connection and the first byte; and right after."""
    from llmmw.wire._http1._connection import Connection

    async with opened() as (pool, far):
        await ask(pool, far)
        monkeypatch.setattr(Connection, "is_dead", False)
        pool._places[far.origin].idle[0]._socket.shutdown(trio.socket.SHUT_WR)
        assert await ask(pool, far) == b"ok", "no byte could leave, so another connection is used"
        assert far.requests == [0, 1]
        await far.streams[1].aclose()
        with pytest.raises(httpx.TransportError):
            await ask(pool, far)  # it left: whether the host has done it is not known
        assert far.requests == [0, 1]


async def test_an_answer_that_says_close_is_the_last_on_its_connection() -> None:
    async with opened() as (pool, far):
        far.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
        for _ in range(2):
            assert await ask(pool, far) == b"ok"
        assert far.requests == [0, 1]
        assert pool.alive == 0


@pytest.mark.parametrize("when", ["connected", "asked", "read"])
async def test_a_cancelled_call_has_closed_its_connection_when_it_returns(when: str) -> None:
    async with opened() as (pool, far):
        far.held = trio.Event() if when == "asked" else None
        if when == "read":
            far.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"
        began = trio.Event()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def one() -> None:
                    answer = await pool.send(far.origin, HEAD, b"{}")
                    try:
                        async for _ in answer:
                            began.set()
                    finally:
                        await answer.aclose()

                nursery.start_soon(one)
                if when == "asked":
                    await far.until(lambda: far.requests)
                elif when == "read":
                    await began.wait()
                scope.cancel()
        assert pool.alive == 0
        if far.held is not None:
            far.held.set()
        await far.until(lambda: far.alive == 0)


async def test_a_thousand_cancelled_calls_leave_nothing() -> None:
    async with opened() as (pool, far):
        far.held = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(ask, pool, far)
            await far.until(lambda: len(far.requests) == 200)
            nursery.cancel_scope.cancel()
        assert pool.alive == 0
        far.held.set()
        await far.until(lambda: far.alive == 0)


@pytest.mark.parametrize("limit", ["most", "most_per_host"])
async def test_a_limit_lets_the_first_go_first(limit: str) -> None:
    async with opened(**{limit: 1}) as (pool, far):
        far.held = trio.Event()
        order: list[int] = []

        async def one(number: int) -> None:
            await ask(pool, far)
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(one, number)
                await trio.testing.wait_all_tasks_blocked(0.002)
            assert pool.alive == 1
            far.held.set()
        assert order == list(range(8))
        assert len(far.streams) == 1


async def test_who_gives_up_waiting_takes_no_place() -> None:
    async with opened(most_per_host=1) as (pool, far):
        far.held = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, pool, far)
            await far.until(lambda: far.requests)
            with trio.move_on_after(0.02):
                await ask(pool, far)
            far.held.set()
        for _ in range(3):
            assert await ask(pool, far) == b"ok"
        assert len(far.streams) == 1


async def test_a_waiter_takes_the_place_of_a_connection_that_failed() -> None:
    async with opened(most_per_host=1) as (pool, far):
        far.answer = b"nonsense\r\n\r\n"
        failed: list[BaseException] = []

        async def one() -> None:
            try:
                await ask(pool, far)
            except httpx.RemoteProtocolError as error:
                failed.append(error)
                far.answer = OK

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(one)
        assert len(failed) == 1
        assert len(far.streams) == 2


async def test_room_in_all_is_made_by_closing_what_is_idle_the_longest() -> None:
    async with opened(most=2) as (pool, far), opened() as (_, other):
        await ask(pool, far)
        for _ in range(2):
            answer = await pool.send(other.origin, HEAD, b"{}")
            assert [piece async for piece in answer] == [b"ok"]
        assert pool.alive == 2
        third = await _third(other)
        answer = await pool.send(third, HEAD, b"{}")
        assert [piece async for piece in answer] == [b"ok"]
        assert pool.alive == 2
        await far.until(lambda: far.alive == 0)


async def _third(far: Far) -> Origin:
    """The same server by another name."""
    return Origin(False, "localhost", far.origin.port)


async def test_idle_connections_are_bounded_and_grow_old() -> None:
    async with opened(keep=2, idle=0.05) as (pool, far):
        far.held = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask, pool, far)
            await far.until(lambda: len(far.requests) == 5)
            far.held.set()
        assert pool.alive == 2
        for connection in pool._places[far.origin].idle:
            connection.idle_since -= 1  # as if a second had passed
        await ask(pool, far)
        assert pool.alive == 1


async def test_a_connection_made_ahead_is_used() -> None:
    async with opened() as (pool, far):
        await pool.warm(far.origin)
        await pool.warm(far.origin)
        await far.until(lambda: len(far.streams) == 1)
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0]
        assert len(far.streams) == 1


async def test_no_connection_is_an_error_and_leaves_no_place_taken() -> None:
    pool = Pool(tls=tls, most_per_host=1)
    dead = Origin(False, "127.0.0.1", 1)
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            await pool.send(dead, HEAD, b"")
    with pytest.raises(httpx.ConnectError):
        await pool.send(Origin(False, "no-such-host.invalid", 80), HEAD, b"")
    pool.close()
    with pytest.raises(httpx.ConnectError, match="closed"):
        await pool.send(dead, HEAD, b"")


async def test_a_host_that_never_takes_up_is_given_up_in_time() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()  # TLS is never answered

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, silent, listeners)
        port = listeners[0].socket.getsockname()[1]
        pool = Pool(tls=tls, connect=0.05)
        with pytest.raises(httpx.ConnectTimeout):
            await pool.send(Origin(True, "127.0.0.1", port), HEAD, b"")
        assert pool.alive == 0
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_nobody_trusts_is_refused() -> None:
    trustme = pytest.importorskip("trustme")
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
                answer = await pool.send(Origin(True, name, port), HEAD, b"{}")
                assert [piece async for piece in answer] == [b"ok"]
            else:
                with pytest.raises(httpx.ConnectError, match=error):
                    await pool.send(Origin(True, name, port), HEAD, b"{}")
            pool.close()
        nursery.cancel_scope.cancel()


async def test_early_answers_are_read_though_the_body_could_not_be_sent() -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        stream.socket.shutdown(trio.socket.SHUT_RD)
        with trio.move_on_after(1):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, refuse, listeners)
        port = listeners[0].socket.getsockname()[1]
        pool = Pool(tls=tls)
        with trio.move_on_after(5) as scope:
            answer = await pool.send(Origin(False, "127.0.0.1", port), HEAD, b"x" * 50_000)
            assert answer.status_code == 413
            assert [piece async for piece in answer] == [b"no"]
        assert not scope.cancelled_caught
        pool.close()
        nursery.cancel_scope.cancel()


async def test_addresses_of_version_6_are_dialled_without_their_brackets() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(b"x")

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="::1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        stream = await dial(Origin(False, "[::1]", port), tls)
        assert await stream.receive_some() == b"x"
        await stream.aclose()
        nursery.cancel_scope.cancel()
