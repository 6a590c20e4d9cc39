"""How many connections there may be, and who waits for one."""

from __future__ import annotations

import os

import httpx
import pytest
import trio

from llmmw.wire._client import tls
from llmmw.wire._http1 import Origin, Pool, Request
from tests.wire.pools import HALF, HEAD, OK, Far, ask, opened


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


async def test_what_nobody_asks_for_any_more_is_closed_when_another_host_is_asked() -> None:
    async with opened(idle=30) as (pool, far), opened() as (_, other):
        await ask(pool, far)
        pool._places[far.origin].idle[0].idle_since -= 31
        await ask(pool, other)
        with trio.fail_after(10):
            await far.until(lambda: far.alive == 0)
        assert pool.alive == pool._count == 1
        assert list(pool._places) == [other.origin]


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
