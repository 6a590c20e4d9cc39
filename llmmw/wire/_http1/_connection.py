"""One connection: it carries one exchange at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import trio

from llmmw.wire._http1._dial import is_readable
from llmmw.wire._http1._headers import Headers
from llmmw.wire._http1._limits import READ, TOGETHER, Times, within
from llmmw.wire._http1._parse import Broken, Reading
from llmmw.wire._http1._request import Origin, Request
from llmmw.wire._http1._tls import Secured

__all__ = ["Answer", "Connection", "Unsent"]


class Unsent(Exception):
    """The connection was closed before any byte of the request left."""


class Connection:
    """A connection. Whoever has it out of the pool gives it back, or closes it."""

    __slots__ = ("_secured", "_socket", "_stream", "idle_since", "origin", "used")

    def __init__(self, origin: Origin, plain: trio.SocketStream, secured: Secured | None) -> None:
        self.origin = origin
        self.used = False
        """Whether it was idle before: its host may have closed it meanwhile."""
        self.idle_since = 0.0
        self._secured = secured
        self._stream: trio.abc.Stream = plain if secured is None else secured.stream
        self._socket = plain.socket

    @property
    def is_dead(self) -> bool:
        """Whether the host has closed it while it was idle, or said what nobody asked for."""
        number = self._socket.fileno()
        if number < 0:
            return True
        readable = is_readable(number)
        if self._secured is None:
            return readable
        return not self._secured.is_quiet(number, readable=readable)

    def close(self) -> None:
        """Close it at once."""
        self._socket.close()

    async def exchange(self, request: Request) -> Reading:
        """Send a request, and read the head of its answer.

        Raises:
            Unsent: if it was closed and nothing has left.
            httpx.TransportError: if the line breaks, or the answer is none.
        """
        broke: httpx.WriteError | None = None
        try:
            await self._send(request)
        except httpx.WriteError as error:
            broke = error  # the host may have answered before it closed the line
        reading = Reading()
        while not reading.head_done:
            try:
                await self.read(reading, request.times)
            except httpx.TransportError as error:
                raise broke or error from None
        if broke is not None or request.last:
            reading.reusable = False
        return reading

    async def _send(self, request: Request) -> None:
        body, times = request.body, request.times
        first, rest = request.head, b""
        if isinstance(body, bytes):
            first, rest = (first + body, b"") if len(body) <= TOGETHER else (first, body)
        if self.used and self._secured is None:
            try:
                with within(times.get("write"), httpx.WriteTimeout):
                    count = await self._socket.send(first)
            except (OSError, trio.ClosedResourceError) as error:
                raise Unsent(str(error)) from error
            first = first[count:]
        await self._write(first, times)
        await self._write(rest, times)
        if not isinstance(body, bytes):
            await self._send_pieces(body, request.size, times)

    async def _send_pieces(
        self, body: AsyncIterator[bytes], size: int | None, times: Times
    ) -> None:
        """A body that is not as long as it says would take what is asked next for its rest."""
        left = size or 0
        async for piece in body:
            left -= len(piece)
            if size is None:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
            elif left < 0:
                raise httpx.LocalProtocolError("the body is longer than it says")
            await self._write(piece, times)
        if size is None:
            await self._write(b"0\r\n\r\n", times)
        elif left:
            raise httpx.LocalProtocolError("the body is shorter than it says")

    async def _write(self, data: bytes, times: Times) -> None:
        if not data:
            return
        try:
            with within(times.get("write"), httpx.WriteTimeout):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(_why(error)) from error

    async def read(self, reading: Reading, times: Times) -> None:
        """Read what comes next of an answer.

        Raises:
            httpx.ReadError: if the line breaks.
            httpx.RemoteProtocolError: if it is no answer, or ends too early.
            httpx.ReadTimeout: if it takes too long.
        """
        try:
            with within(times.get("read"), httpx.ReadTimeout):
                data = await self._stream.receive_some(READ)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(_why(error)) from error
        try:
            if data:
                reading.feed(bytes(data))
            else:
                reading.end()
                reading.reusable = False
        except Broken as error:
            raise httpx.RemoteProtocolError(str(error)) from None


def _why(error: BaseException) -> str:
    return str(error.__cause__ or error)


class Answer:
    """An answer whose head was read. Iterate for the pieces of its body, or close it."""

    __slots__ = (
        "_connection",
        "_done",
        "_reading",
        "_released",
        "_times",
        "_waits",
        "headers",
        "status_code",
    )

    def __init__(
        self,
        connection: Connection,
        reading: Reading,
        times: Times,
        done: Callable[[Connection, bool], object],
    ) -> None:
        self._connection, self._reading, self._done = connection, reading, done
        self._times = times
        self._released = self._waits = False
        self.status_code = reading.status
        self.headers = Headers(reading.headers)
        if reading.complete:
            self._release()

    @property
    def reason(self) -> bytes:
        """What stands after the status."""
        return self._reading.reason

    @property
    def version(self) -> str:
        """Of HTTP."""
        return self._reading.version

    @property
    def is_closed(self) -> bool:
        """Whether there is nothing left to read or to close."""
        return self._released and not self._reading.body

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        reading = self._reading
        if self._waits:
            raise trio.BusyResourceError("another task reads this answer")
        while not reading.body:
            if reading.complete:
                raise StopAsyncIteration
            if self._released:
                raise httpx.StreamClosed
            self._waits = True
            try:
                await self._connection.read(reading, self._times)
            finally:
                self._waits = False
        piece = reading.body[0] if len(reading.body) == 1 else b"".join(reading.body)
        reading.body.clear()
        if reading.complete:
            self._release()
        return piece

    def _release(self) -> None:
        if not self._released:
            self._released = True
            reading = self._reading
            fit = reading.complete and reading.reusable and not reading.spoiled
            self._done(self._connection, fit)

    async def aclose(self) -> None:
        """Close the connection, unless the whole answer has come."""
        self._release()
        if self._reading.body:
            self._reading.body.clear()
            self._reading.complete = False  # what is read no more did not end
