"""Connections that are kept: the one that was used last is used next, so that few stay open, and
those are fresh.

::

    a request ── an idle connection that is alive?  it
              ── room for one more?                 a new one
              ── else wait; first come, first served
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable

import attrs
import httpx
import trio

from llmmw.wire._http1._connection import Answer, Connection, Unsent
from llmmw.wire._http1._dial import Origin, dial

__all__ = ["Pool"]


@attrs.define(eq=False)
class _Place:
    """The connections to one origin."""

    idle: deque[Connection] = attrs.field(factory=deque)
    count: int = 0
    """Those that are open, or being made."""


@attrs.define(eq=False)
class _Waiter:
    origin: Origin
    event: trio.Event = attrs.field(factory=trio.Event)
    connection: Connection | None = None


@attrs.define(eq=False, kw_only=True)
class Pool:
    """Connections to hosts.

    Args:
        tls: gives the context of secure ones.
        connect: seconds that making one may take, with TLS.
        most: how many may be open in all; `None`: any number.
        most_per_host: how many may be open to one host.
        keep: how many idle ones are kept in all.
        idle: seconds that one is kept idle.
    """

    tls: Callable[[], ssl.SSLContext]
    connect: float | None = 5.0
    most: int | None = None
    most_per_host: int | None = None
    keep: int = 1024
    idle: float = 30.0
    _places: dict[Origin, _Place] = attrs.field(factory=dict, init=False, repr=False)
    _waiters: deque[_Waiter] = attrs.field(factory=deque, init=False, repr=False)
    _open: set[Connection] = attrs.field(factory=set, init=False, repr=False)
    _making: int = attrs.field(default=0, init=False)
    _idle: int = attrs.field(default=0, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @property
    def alive(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def send(self, origin: Origin, head: bytes, body: bytes | AsyncIterator[bytes]) -> Answer:
        """Send a request; its answer, once its head is there.

        A connection that turns out to be closed before any byte has left is replaced, once.

        Raises:
            httpx.TransportError: if there is no connection, or no answer.
        """
        connection, used = await self._take(origin)
        try:
            try:
                reading = await connection.exchange(head, body, used=used)
            except Unsent:
                connection.close()
                self._open.discard(connection)
                connection = await self._new(origin)
                reading = await connection.exchange(head, body, used=False)
        except BaseException:
            self._give(connection, False)
            raise
        return Answer(connection, reading, self._give)

    async def warm(self, origin: Origin) -> None:
        """Have an idle connection there, if there is none.

        Raises:
            httpx.ConnectError: if none can be made.
        """
        place = self._place(origin)
        if not place.idle and self._has_room(place):
            place.count += 1
            self._give(await self._made(origin), True)

    def close(self) -> None:
        """Close all connections, and make no more."""
        self._closed = True
        for connection in list(self._open):
            connection.close()
        self._open.clear()
        self._places.clear()
        self._idle = 0

    def _place(self, origin: Origin) -> _Place:
        if self._closed:
            raise httpx.ConnectError("the client is closed")
        found = self._places.get(origin)
        if found is None:
            found = self._places[origin] = _Place()
        return found

    async def _take(self, origin: Origin) -> tuple[Connection, bool]:
        """A connection, and whether it was used before."""
        place = self._place(origin)
        while place.idle and not self._waiters:
            connection = place.idle.pop()
            self._idle -= 1
            if not connection.is_dead:
                return connection, True
            self._drop(connection)
        if not self._waiters and self._has_room(place):
            place.count += 1
            return await self._made(origin), False
        return await self._wait(origin)

    def _has_room(self, place: _Place) -> bool:
        if self.most_per_host is not None and place.count >= self.most_per_host:
            return False
        if self.most is None or len(self._open) + self._making < self.most:
            return True
        return self._make_room()

    def _make_room(self) -> bool:
        """Close an idle connection of another host, the one that is idle the longest."""
        oldest = [place.idle[0] for place in self._places.values() if place.idle]
        if not oldest:
            return False
        connection = min(oldest, key=lambda one: one.idle_since)
        self._places[connection.origin].idle.popleft()
        self._idle -= 1
        self._drop(connection)
        return True

    async def _wait(self, origin: Origin) -> tuple[Connection, bool]:
        waiter = _Waiter(origin)
        self._waiters.append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.connection is not None:
                self._give(waiter.connection, True)
            elif waiter.event.is_set():
                self._leave(origin)
            else:
                self._waiters.remove(waiter)
            raise
        if waiter.connection is not None:
            return waiter.connection, True
        return await self._made(origin), False

    async def _made(self, origin: Origin) -> Connection:
        """A new connection; its place was counted."""
        try:
            return await self._new(origin)
        except BaseException:
            self._leave(origin)
            raise

    async def _new(self, origin: Origin) -> Connection:
        self._making += 1
        try:
            with trio.move_on_after(self.connect if self.connect is not None else float("inf")):
                stream = await dial(origin, self.tls)
                connection = Connection(origin, stream)
                self._open.add(connection)
                return connection
        finally:
            self._making -= 1
        raise httpx.ConnectTimeout(f"no connection within {self.connect:g} s")

    def _give(self, connection: Connection, reusable: bool) -> None:
        """Take a connection back."""
        if self._closed or not reusable or connection.is_dead:
            self._drop(connection)
            return
        place = self._places[connection.origin]
        for waiter in self._waiters:
            if waiter.origin == connection.origin:
                self._waiters.remove(waiter)
                waiter.connection = connection
                waiter.event.set()
                return
        connection.idle_since = trio.current_time()
        place.idle.append(connection)
        self._idle += 1
        self._prune(place)
        if self._waiters:
            self._wake()

    def _prune(self, place: _Place) -> None:
        """Let those go that have been idle too long, or are too many."""
        limit = trio.current_time() - self.idle
        while place.idle and (self._idle > self.keep or place.idle[0].idle_since < limit):
            self._idle -= 1
            self._drop(place.idle.popleft())

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._open.discard(connection)
        self._leave(connection.origin)

    def _leave(self, origin: Origin) -> None:
        """A counted place of a connection is free."""
        place = self._places.get(origin)
        if place is not None:
            place.count -= 1
        self._wake()

    def _wake(self) -> None:
        """Let the first go on for whom there is room now."""
        for waiter in self._waiters:
            place = self._places[waiter.origin]
            if self._has_room(place):
                self._waiters.remove(waiter)
                place.count += 1
                waiter.event.set()
                return
