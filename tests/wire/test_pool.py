"""Connections that are kept: who gets one, which is closed, what is asked again."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio
import trustme

from llmmw.wire._client import tls
from llmmw.wire._http1 import Origin, Pool, Request
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
    answer = await pool.send(far.origin, Request(HEAD, b"{}"))
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
                    answer = await pool.send(far.origin, Request(HEAD, b"{}"))
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
            answer = await pool.send(other.origin, Request(HEAD, b"{}"))
            assert [piece async for piece in answer] == [b"ok"]
        assert pool.alive == 2
        third = await _third(other)
        answer = await pool.send(third, Request(HEAD, b"{}"))
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
        await pool.warm(far.origin, {})
        await pool.warm(far.origin, {})
        await far.until(lambda: len(far.streams) == 1)
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0]
        assert len(far.streams) == 1


async def test_no_connection_is_an_error_and_leaves_no_place_taken() -> None:
    pool = Pool(tls=tls, most_per_host=1)
    dead = Origin(False, "127.0.0.1", 1)
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            await pool.send(dead, Request(HEAD, b""))
    with pytest.raises(httpx.ConnectError):
        await pool.send(Origin(False, "no-such-host.invalid", 80), Request(HEAD, b""))
    pool.close()
    with pytest.raises(httpx.ConnectError, match="closed"):
        await pool.send(dead, Request(HEAD, b""))


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
            answer = await pool.send(Origin(False, "127.0.0.1", port), Request(HEAD, b"x" * 50_000))
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
        stream, _ = await dial(Origin(False, "[::1]", port), tls)
        assert await stream.receive_some() == b"x"
        await stream.aclose()
        nursery.cancel_scope.cancel()


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"


@pytest.mark.parametrize("fate", ["lost", "kept", "kept, then spoiled"])
@pytest.mark.parametrize("gives_up", [True, False])
async def test_a_turn_that_ends_as_it_comes_goes_to_the_next(fate: str, gives_up: bool) -> None:
    async with opened(most_per_host=1) as (pool, far), trio.open_nursery() as nursery:
        far.answer = HALF
        first = await pool.send(far.origin, Request(HEAD, b"{}"))
        far.answer = OK
        done: list[int] = []
        scope = trio.CancelScope()

        async def wait(number: int, within: trio.CancelScope) -> None:
            with within:
                assert await ask(pool, far) == b"ok"
                done.append(number)

        nursery.start_soon(wait, 1, scope)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait, 2, trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()
        if gives_up:
            scope.cancel()
        if fate == "lost":
            await first.aclose()
        else:
            pool._give(first._connection, True)
            if fate != "kept":
                os.write(far.streams[0].socket.fileno(), OK)
        await far.until(lambda: len(far.requests) == (2 if gives_up else 3))
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert done == ([2] if gives_up else [1, 2])
        assert len(far.streams) == (1 if fate == "kept" else 2)
        assert pool.alive == 1


async def test_a_connection_that_was_idle_too_long_is_not_used() -> None:
    """What stands between may have forgotten it, and tells nobody."""
    async with opened(idle=30) as (pool, far):
        await ask(pool, far)
        pool._places[far.origin].idle[0].idle_since -= 31
        await ask(pool, far)
        assert far.requests == [0, 1]
        assert pool.alive == 1


async def test_closing_ends_what_runs_and_what_waits_with_an_error_of_the_line() -> None:
    async with opened(most_per_host=1) as (pool, far), trio.open_nursery() as nursery:
        ended: list[str] = []

        async def one() -> None:
            with pytest.raises(httpx.TransportError) as caught:
                await pool.send(far.origin, Request(HEAD, b"x" * 50_000_000))
            ended.append(str(caught.value))

        await ask(pool, far)  # so that the first byte goes over one that was idle
        far.held = trio.Event()
        for _ in range(3):
            nursery.start_soon(one)
        await far.until(lambda: len(far.requests) == 2)
        await trio.testing.wait_all_tasks_blocked(0.02)
        pool.close()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert sorted(ended)[1:] == ["the client is closed"] * 2
        assert len(ended) == 3
        assert pool.alive == pool._count == 0
        far.held.set()


async def test_what_can_not_be_secured_is_closed() -> None:
    def none() -> ssl.SSLContext:
        raise RuntimeError("no certificates")

    async with opened() as (_, far):
        pool = Pool(tls=none)
        with pytest.raises(RuntimeError):
            await pool.send(attrs.evolve(far.origin, secure=True), Request(HEAD, b"{}"))
        await far.until(lambda: far.streams and not far.alive)
        assert pool._count == 0


class Corked(trio.abc.Stream):
    """What is written while it is corked leaves at once later."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream, self.held = stream, bytearray()
        self.corked = False

    async def send_all(self, data: bytes) -> None:
        self.held += data
        if not self.corked:
            told, self.held = self.held, bytearray()
            await self.stream.send_all(told)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    client = ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def port_of(listener: socket.socket) -> int:
    return listener.getsockname()[1]


@asynccontextmanager
async def secured(answers: list[list[bytes]]) -> AsyncIterator[tuple[Pool, Origin, list[int]]]:
    """A host under TLS; the parts of an answer are sent at once, in a record each."""
    server, client = contexts()
    asked: list[int] = []
    connections = 0

    async def serve(plain: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        number, corked = connections, Corked(plain)
        stream = trio.SSLStream(corked, server, server_side=True, https_compatible=True)
        try:
            while await stream.receive_some():
                asked.append(number)
                corked.corked = True
                for part in answers.pop(0):
                    await stream.send_all(part)
                corked.corked = False
                await corked.send_all(b"")
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(corked)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        pool = Pool(tls=lambda: client)
        try:
            yield pool, Origin(True, "localhost", port), asked
        finally:
            pool.close()
            nursery.cancel_scope.cancel()


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
            line = next(iter(pool._open))._socket
            await trio.lowlevel.wait_readable(line)  # the tickets are there
            for _ in range(2):
                answer = await pool.send(origin, Request(HEAD, b"{}"))
                assert b"".join([piece async for piece in answer]) == b"ok"
            assert next(iter(pool._open))._socket is line
            pool.close()
        assert count == [2]


class AtStep(trio.abc.Instrument):
    """Cancels a task before it runs for the n-th time."""

    def __init__(self, step: int) -> None:
        self.left, self.scope = step, trio.CancelScope()
        self.task: trio.lowlevel.Task | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()


@pytest.mark.parametrize("first", [True, False])
async def test_a_cancel_at_any_step_leaves_nothing_open_or_counted(first: bool) -> None:
    """While names are looked up, TLS is made, a request is sent, and an answer is read."""
    ended = False
    async with secured([[OK[:-2], b"o", b"k"]] * 200) as (pool, origin, _):

        async def one(at: AtStep) -> None:
            at.task = trio.lowlevel.current_task()
            with at.scope:
                answer = await pool.send(origin, Request(HEAD, b"x" * 100_000))
                try:
                    async for _ in answer:
                        pass
                finally:
                    await answer.aclose()

        step = 0
        while not ended:
            step += 1
            if not first:
                answer = await pool.send(origin, Request(HEAD, b"{}"))
                assert b"".join([piece async for piece in answer]) == b"ok"
            at = AtStep(step)
            trio.lowlevel.add_instrument(at)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one, at)
            trio.lowlevel.remove_instrument(at)
            ended = at.left > 0
            kept = [one for one in pool._open if one._socket.fileno() >= 0]
            assert len(kept) == pool.alive == pool._count == pool._idle <= 1
            for place in pool._places.values():
                while first and place.idle:
                    pool._drop(pool._popped(place.idle.pop))
        assert step > (4 if first else 2)


@pytest.mark.parametrize("pieces", [[b"{"], [b"{", b"}", b"POST /stolen HTTP/1.1\r\n\r\n"]])
async def test_a_body_that_is_not_as_long_as_it_says_ends_its_connection(
    pieces: list[bytes],
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async with opened() as (pool, far):
        async with aclosing(body()) as given:
            with pytest.raises(httpx.LocalProtocolError, match="than it says"):
                await pool.send(far.origin, Request(HEAD, given, size=2))
        assert pool.alive == 0
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0, 1]


async def test_an_answer_has_one_reader_and_none_once_it_is_closed() -> None:
    async with opened() as (pool, far), trio.open_nursery() as nursery:
        far.answer = HALF
        answer = await pool.send(far.origin, Request(HEAD, b"{}"))
        assert await anext(answer) == b"ok"

        async def read() -> None:
            with pytest.raises(httpx.ReadError):
                await anext(answer)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(answer)
        await answer.aclose()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(httpx.StreamClosed):
            await anext(answer)


async def test_an_answer_that_has_come_need_not_be_read_for_its_connection_to_be_kept() -> None:
    async with opened() as (pool, far):
        answer = await pool.send(far.origin, Request(HEAD, b"{}"))
        await answer.aclose()
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0, 0]
