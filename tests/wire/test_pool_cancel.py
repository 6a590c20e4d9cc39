"""A cancelled call has closed its connection when it returns, wherever it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import trio

from llmmw.wire._http1 import Origin, Pool, Request
from llmmw.wire._http1._line import Line
from tests.wire.pools import HALF, HEAD, OK, ask, contexts, opened, secured


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


async def test_many_calls_that_are_cancelled_at_once_leave_nothing() -> None:
    async with opened() as (pool, far):
        far.held = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(ask, pool, far)
            await far.until(lambda: len(far.requests) == 200)
            lines = [connection.line for connection in pool._open]
            nursery.cancel_scope.cancel()
        assert len(lines) == 200
        assert all(is_closed(line) for line in lines)
        assert pool.alive == pool._count == 0
        far.held.set()
        await far.until(lambda: far.alive == 0)


def is_closed(line: Line) -> bool:
    return line._socket.fileno() < 0


async def reached(so: Callable[[], object]) -> None:
    while not so():
        await trio.testing.wait_all_tasks_blocked()


class NoNames(trio.abc.HostnameResolver):
    """Names are looked up without end."""

    asked = 0

    async def getaddrinfo(self, *args: object) -> Any:
        self.asked += 1
        await trio.sleep_forever()

    async def getnameinfo(self, *args: object) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def stuck(where: str, secure: bool) -> AsyncIterator[tuple[Pool, Origin, list[bytes]]]:
    """A host that comes as far as `where`, and no further."""
    server, client = contexts()
    seen: list[bytes] = []

    async def serve(plain: trio.SocketStream) -> None:
        stream: trio.abc.Stream = plain
        if secure and where != "handshake":
            stream = trio.SSLStream(plain, server, server_side=True, https_compatible=True)
            await stream.do_handshake()
        if where != "sending":
            seen.append(await stream.receive_some(1))
        if where == "body":
            await stream.send_all(HALF)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        pool = Pool(tls=lambda: client, most=1 if where == "turn" else None)
        yield pool, Origin(secure, "localhost", port), seen
        pool.close()
        nursery.cancel_scope.cancel()


PLAIN = ["names", "turn", "sending", "head", "body"]


@pytest.mark.parametrize(
    ("where", "secure"),
    [*[(where, False) for where in PLAIN], *[(where, True) for where in [*PLAIN, "handshake"]]],
)
async def test_wherever_it_is_cancelled_its_line_is_closed_before_it_returns(
    where: str, secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Line] = []
    begin, names, pieces = Line.__init__, NoNames(), []

    def noted(line: Line, stream: trio.SocketStream) -> None:
        lines.append(line)
        begin(line, stream)

    def writing() -> bool:
        return trio.lowlevel.current_statistics().io_statistics.tasks_waiting_write > 0

    monkeypatch.setattr(Line, "__init__", noted)
    if where == "names":
        trio.socket.set_custom_hostname_resolver(names)
    async with stuck(where, secure) as (pool, origin, seen), trio.open_nursery() as nursery:
        there = {
            "names": lambda: names.asked,
            "turn": lambda: any(place.queue for place in pool._places.values()),
            "sending": writing,
            "handshake": lambda: seen,
            "head": lambda: seen,
            "body": lambda: pieces,
        }[where]

        async def one(scope: trio.CancelScope) -> None:
            with scope:
                body = b"x" * (50_000_000 if where == "sending" else 2)
                answer = await pool.send(origin, Request(HEAD, body))
                async with aclosing(answer):
                    async for piece in answer:
                        pieces.append(piece)
            assert scope.cancelled_caught
            left = [line for line in lines if not is_closed(line)]
            assert len(left) == pool.alive == pool._count == len(nursery.child_tasks) - 1

        steps = [lambda: seen, there] if where == "turn" else [there]
        scopes = [trio.CancelScope() for _ in steps]
        for scope, is_there in zip(scopes, steps, strict=True):
            nursery.start_soon(one, scope)
            await reached(is_there)
        while scopes:
            scopes.pop().cancel()
            await reached(lambda: len(nursery.child_tasks) == len(scopes))
        assert len(lines) == (0 if where == "names" else 1)


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
            kept = [one for one in pool._open if one.line._socket.fileno() >= 0]
            assert len(kept) == pool.alive == pool._count == pool._idle <= 1
            for place in pool._places.values():
                while first and place.idle:
                    pool._drop(pool._popped(place.idle.pop))
        assert step > (4 if first else 2)
