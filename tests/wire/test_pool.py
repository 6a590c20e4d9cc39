"""Connections that are kept: which is used, which is closed, what is asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest
import trio

from llmmw.wire._client import tls
from llmmw.wire._http1 import Origin, Pool, Request
from llmmw.wire._http1._line import Line
from tests.wire.pools import HALF, HEAD, OK, ask, opened


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
    async with opened() as (pool, far):
        await ask(pool, far)
        monkeypatch.setattr(Line, "is_quiet", lambda line: True)
        pool._places[far.origin].idle[0].line._socket.shutdown(trio.socket.SHUT_WR)
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


async def test_a_connection_made_ahead_is_used() -> None:
    async with opened() as (pool, far):
        await pool.warm(far.origin, {})
        await pool.warm(far.origin, {})
        await far.until(lambda: len(far.streams) == 1)
        assert await ask(pool, far) == b"ok"
        assert far.requests == [0]
        assert len(far.streams) == 1


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


async def test_a_connection_that_was_idle_too_long_is_not_used() -> None:
    """What stands between may have forgotten it, and tells nobody."""
    async with opened(idle=30) as (pool, far):
        await ask(pool, far)
        pool._places[far.origin].idle[0].idle_since -= 31
        await ask(pool, far)
        assert far.requests == [0, 1]
        assert pool.alive == 1


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
