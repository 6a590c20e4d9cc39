"""The pool under whatever happens in whatever order: its limits, its counts, and who is next."""

from __future__ import annotations

import socket
from typing import Any

import attrs
import httpx
import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmmw.wire._http1 import Origin, Pool, Request, _pool
from llmmw.wire._http1._line import Line

HOSTS = [Origin(False, name, 80) for name in ("a", "b", "c")]
ANSWERS = {
    "kept": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "closed": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "junk": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
    "broken": b"nonsense\r\n\r\n",
}


@attrs.define(eq=False)
class Asking:
    """A request under way."""

    number: int
    origin: Origin
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    granted: bool = False
    ended: bool = False


@attrs.define(eq=False)
class Dialling:
    """A connection that is being made, until the test says how that ends."""

    asking: Asking | None
    done: trio.Event = attrs.field(factory=trio.Event)
    works: bool = False


@attrs.define(eq=False)
class World:
    pool: Pool
    nursery: trio.Nursery
    asked: list[Asking] = attrs.field(factory=list)
    dialling: list[Dialling] = attrs.field(factory=list)
    lines: list[tuple[Line, socket.socket]] = attrs.field(factory=list)
    """Both ends of each connection: the pool's, and the host's."""
    tasks: dict[trio.lowlevel.Task, Asking] = attrs.field(factory=dict)

    async def dial(self, origin: Origin, tls: Any) -> Line:
        found = Dialling(self.tasks.get(trio.lowlevel.current_task()))
        if found.asking is not None:
            found.asking.granted = True
        self.dialling.append(found)
        try:
            await found.done.wait()
        finally:
            self.dialling.remove(found)
        if not found.works:
            raise httpx.ConnectError("refused")
        near, far = socket.socketpair()
        far.setblocking(False)
        line = Line(trio.SocketStream(trio.socket.from_stdlib_socket(near)))
        self.lines.append((line, far))
        return line

    async def ask(self, origin: Origin) -> None:
        asking = Asking(len(self.asked), origin)  # trio starts tasks in no order
        self.asked.append(asking)
        self.tasks[trio.lowlevel.current_task()] = asking
        request = Request(b"POST /%d HTTP/1.1\r\n\r\n" % asking.number, b"")
        try:
            with asking.scope:
                answer = await self.pool.send(asking.origin, request)
                try:
                    assert b"".join([piece async for piece in answer])[:2] == b"ok"
                finally:
                    await answer.aclose()
        except httpx.TransportError:
            pass
        finally:
            asking.ended = True

    async def do(self, what: str, which: int) -> None:
        alive = [one for one in self.asked if not one.ended]
        far = [far for near, far in self.lines if near._socket.fileno() >= 0 and far.fileno() >= 0]
        if what == "ask":
            self.nursery.start_soon(self.ask, HOSTS[which % 3])
        elif what == "cancel" and alive:
            alive[which % len(alive)].scope.cancel()
        elif what in {"works", "fails"} and self.dialling:
            found = self.dialling[which % len(self.dialling)]
            found.works = what == "works"
            found.done.set()
        elif what == "close":
            self.pool.close()
        elif what == "hang up" and far:
            far[which % len(far)].close()
        elif what in ANSWERS and far:
            far[which % len(far)].send(ANSWERS[what])

    def check(self) -> None:
        pool, places = self.pool, self.pool._places.values()
        for _, far in self.lines:
            try:
                seen = far.recv(65_536) if far.fileno() >= 0 else b""
            except OSError:
                continue
            for line in seen.split(b"POST /")[1:]:
                self.asked[int(line.split()[0])].granted = True
        near = [near for near, _ in self.lines if near._socket.fileno() >= 0]
        assert len(near) == pool.alive, "each open socket is known"
        assert pool._count == sum(one.count for one in places)
        assert pool._count == pool.alive + len(self.dialling)
        assert pool._idle == sum(len(one.idle) for one in places) <= pool.keep
        assert pool.most is None or pool._count <= pool.most
        for origin, place in pool._places.items():
            most = pool.most_per_host
            assert most is None or place.count <= most
            if place.queue:  # else nobody has any reason to wait
                full = most is not None and place.count >= most
                assert not place.idle
                assert full or (pool.most == pool._count and not pool._idle)
            alive = [one for one in self.asked if one.origin == origin and not one.ended]
            waiting = [one for one in alive if not one.granted]
            assert len(waiting) == len(place.queue)
            assert alive[len(alive) - len(waiting) :] == waiting, "first come, first served"
        if pool.most_per_host is None:
            alive = [one for one in self.asked if not one.ended]
            waiting = [one for one in alive if not one.granted]
            assert alive[len(alive) - len(waiting) :] == waiting, "to whatever host"


async def play(steps: list[tuple[str, int]], together: int, options: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with trio.open_nursery() as nursery:
            world = World(Pool(tls=lambda: None, **options), nursery)
            patch.setattr(_pool, "dial", world.dial)
            for number, step in enumerate(steps):
                await world.do(*step)
                if number % together == 0:
                    await trio.testing.wait_all_tasks_blocked()
                    world.check()
            nursery.cancel_scope.cancel()
        world.check()
        assert world.pool._count == world.pool._idle == world.pool.alive
        world.pool.close()
        world.check()
        assert world.pool.alive == world.pool._count == 0
        for _, far in world.lines:
            far.close()


LIMIT = st.none() | st.integers(1, 3)
STEP = st.tuples(
    st.sampled_from(["ask"] * 4 + ["works"] * 3 + ["kept"] * 3 + ["fails", "cancel", "hang up"])
    | st.sampled_from([*ANSWERS, "close"]),
    st.integers(0, 8),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(STEP, min_size=10, max_size=80),
    st.integers(1, 4),
    st.fixed_dictionaries({"most": LIMIT, "most_per_host": LIMIT, "keep": st.integers(0, 4)}),
)
@example(  # one host that is full holds up no other
    [("ask", 0), ("works", 0), ("ask", 0), ("ask", 1)], 1, {"most_per_host": 1}
)
@example(  # who waits longer goes first, to whatever host
    [*[("ask", 0), ("works", 0), ("ask", 1), ("ask", 0), ("kept", 0), ("works", 0)]], 1, {"most": 1}
)
@example(  # who gives up when it has just been given a connection, or room for one
    [*[("ask", 0), ("works", 0), ("ask", 0), ("kept", 0), ("cancel", 1), ("ask", 0)]],
    2,
    {"most": 1},
)
@example(  # who waits when all is closed gets an error
    [("ask", 0), ("works", 0), ("ask", 0), ("close", 0)], 1, {"most": 1}
)
def test_whatever_happens_counts_are_right_and_nobody_waits_for_nothing(
    steps: list[tuple[str, int]], together: int, options: dict[str, Any]
) -> None:
    trio.run(play, steps, together, options)
