"""Connections that are kept: the one that was used last is used next, so that few stay open, and
those are fresh.

::

    a request ── an idle connection that is alive?  it
              ── room for one more?                 a new one
              ── else wait; first come, first served
"""

from __future__ import annotations

import ssl
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import count
from time import monotonic  # hosts do not live by the clock of a test

import attrs
import httpx
import trio

from llmmw.wire._http1._connection import Answer, Connection, Unsent
from llmmw.wire._http1._dial import dial
from llmmw.wire._http1._limits import Times, within
from llmmw.wire._http1._request import Origin, Request

__all__ = ["Pool"]

_CLOSED = "the client is closed"


@attrs.frozen(eq=False)
class _Turn:
    """One that waits: where it stands in the queue, and what it has been given."""

    number: int
    granted: trio.Event = attrs.field(factory=trio.Event)
    given: list[Connection] = attrs.field(factory=list)
    """An idle connection; none: there is room for a new one."""


@attrs.define(eq=False)
class _Place:
    """The connections to one origin, and who waits for one."""

    idle: deque[Connection] = attrs.field(factory=deque)
    count: int = 0
    """Those that are open, or being made, or may be made."""
    queue: OrderedDict[_Turn, None] = attrs.field(factory=OrderedDict)
    warming: bool = False
    """One is made ahead."""


@attrs.define(eq=False, kw_only=True)
class Pool:
    """Connections to hosts.

    Args:
        tls: gives the context of secure ones.
        most: how many may be open in all; `None`: any number.
        most_per_host: how many may be open to one host.
        keep: how many idle ones are kept in all.
        idle: seconds that one is kept idle.
    """

    tls: Callable[[], ssl.SSLContext]
    most: int | None = None
    most_per_host: int | None = None
    keep: int = 1024
    idle: float = 30.0
    _places: dict[Origin, _Place] = attrs.field(factory=dict, init=False, repr=False)
    _open: set[Connection] = attrs.field(factory=set, init=False, repr=False)
    _count: int = attrs.field(default=0, init=False)
    """The sum of those of all places."""
    _idle: int = attrs.field(default=0, init=False)
    _numbers: count[int] = attrs.field(factory=count, init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False)

    @property
    def alive(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def send(self, origin: Origin, request: Request) -> Answer:
        """Send a request; its answer, once its head is there.

        A connection that turns out to be closed before any byte has left is replaced, once.

        Raises:
            httpx.TransportError: if there is no connection, or no answer.
        """
        place = self._place(origin)
        connection = self._alive_one(place)
        if connection is None:
            connection = await self._take(place, origin, request.times)
        try:
            reading = None
            try:
                reading = await connection.exchange(request)
            except Unsent:
                self._shut(connection)
            if reading is None:
                connection = await self._new(origin, request.times)
                reading = await connection.exchange(request)
        except BaseException:
            self._give(connection, False)
            raise
        return Answer(connection, reading, request.times, self._give)

    async def warm(self, origin: Origin, times: Times) -> None:
        """Have an idle connection there, if there is none, and none that is made ahead already, and
        room for one.

        Raises:
            httpx.ConnectError: if none can be made.
        """
        place = self._place(origin)
        while place.idle and not place.idle[-1].line.is_quiet():
            self._idle -= 1
            self._drop(place.idle.pop())
        if place.idle or place.warming or not self._claim(place, at_others_cost=False):
            return
        place.warming = True
        try:
            self._give(await self._made(origin, times), True)
        finally:
            place.warming = False

    def close(self) -> None:
        """Close all connections, and make no more. Who waits for one gets an error."""
        self._closed = True
        for place in self._places.values():
            while place.idle:
                self._drop(self._popped(place.idle.pop))
            for turn in place.queue:
                self._count_in(place)  # until it is told
                turn.granted.set()
            place.queue.clear()
        for connection in list(self._open):  # whoever has one gives it back
            self._shut(connection)

    def _place(self, origin: Origin) -> _Place:
        if self._closed:
            raise httpx.ConnectError(_CLOSED)
        found = self._places.get(origin)
        if found is None:
            found = self._places[origin] = _Place()
        return found

    async def _take(self, place: _Place, origin: Origin, times: Times) -> Connection:
        """A connection where none is idle."""
        connection = None if self._claim(place) else await self._wait(place, times)
        return connection or await self._made(origin, times)

    def _alive_one(self, place: _Place) -> Connection | None:
        """The idle connection that was used last."""
        idle = place.idle
        if idle and idle[0].idle_since < monotonic() - self.idle:
            self._prune(place)
        while idle:
            self._idle -= 1
            connection = idle.pop()
            if connection.line.is_quiet():
                return connection
            self._drop(connection)
        return None

    def _claim(self, place: _Place, *, at_others_cost: bool = True) -> bool:
        """Whether there is room for one more, or can be made; it is counted."""
        if self.most_per_host is not None and place.count >= self.most_per_host:
            return False
        full = self.most is not None and self._count >= self.most
        if full and not (at_others_cost and self._make_room()):
            return False
        self._count_in(place)
        return True

    def _make_room(self) -> bool:
        """Close an idle connection of another host, the one that is idle the longest."""
        places = [place for place in self._places.values() if place.idle]
        if not places:
            return False
        oldest = min(places, key=lambda place: place.idle[0].idle_since)
        self._drop(self._popped(oldest.idle.popleft))
        return True

    async def _wait(self, place: _Place, times: Times) -> Connection | None:
        """A connection, or room for one, when it is there."""
        turn = _Turn(next(self._numbers))
        place.queue[turn] = None
        try:
            with within(times.get("pool"), httpx.PoolTimeout):
                await turn.granted.wait()
        except BaseException:
            if not turn.granted.is_set():
                del place.queue[turn]
            elif turn.given:
                self._give(turn.given[0], True)
            else:
                self._leave(place)
            raise
        if turn.given and not turn.given[0].line.is_quiet():  # since it was given
            self._shut(turn.given.pop())
        return turn.given[0] if turn.given else None

    async def _made(self, origin: Origin, times: Times) -> Connection:
        """A new connection; it was counted."""
        try:
            return await self._new(origin, times)
        except BaseException:
            self._leave(self._places[origin])
            raise

    async def _new(self, origin: Origin, times: Times) -> Connection:
        self._place(origin)  # who waited when all was closed goes no further
        self._tidy()
        with within(times.get("connect"), httpx.ConnectTimeout):
            connection = Connection(origin, await dial(origin, self.tls))
        if self._closed:
            connection.line.close()
            raise httpx.ConnectError(_CLOSED)
        self._open.add(connection)
        return connection

    def _give(self, connection: Connection, reusable: bool) -> None:
        """Take a connection back."""
        if self._closed or not reusable:
            self._drop(connection)
        else:
            place = self._places[connection.origin]
            connection.used = True
            connection.idle_since = monotonic()
            place.idle.append(connection)
            self._idle += 1
            if self._idle > self.keep:
                self._prune(place)
        if self.most is not None or self.most_per_host is not None:  # else nobody ever waits
            self._wake()

    def _popped(self, pop: Callable[[], Connection]) -> Connection:
        self._idle -= 1
        return pop()

    def _prune(self, place: _Place) -> None:
        """Let those go that have been idle too long, or are too many."""
        limit = monotonic() - self.idle
        while place.idle and (self._idle > self.keep or place.idle[0].idle_since < limit):
            self._drop(self._popped(place.idle.popleft))

    def _tidy(self) -> None:
        """Forget hosts that nobody asks any more. Who waits finds nothing here: an idle connection
        that could be had, or closed, for them would have been."""
        for origin, place in list(self._places.items()):
            self._prune(place)
            if not (place.count or place.queue):
                del self._places[origin]

    def _shut(self, connection: Connection) -> None:
        connection.line.close()
        self._open.discard(connection)

    def _drop(self, connection: Connection) -> None:
        self._shut(connection)
        self._count_in(self._places[connection.origin], -1)

    def _count_in(self, place: _Place, more: int = 1) -> None:
        place.count += more
        self._count += more

    def _leave(self, place: _Place) -> None:
        """Make no connection, though it was counted."""
        self._count_in(place, -1)
        self._wake()

    def _wake(self) -> None:
        """Let the first go on who can. There is one at most, since somebody waits only as long as
        nothing is idle or free that they could have."""
        waiting = [place for place in self._places.values() if place.queue]
        for place in sorted(waiting, key=lambda one: next(iter(one.queue)).number):
            connection = self._alive_one(place)
            if connection is not None or self._claim(place):
                turn, _ = place.queue.popitem(last=False)
                if connection is not None:
                    turn.given.append(connection)
                turn.granted.set()
                return
