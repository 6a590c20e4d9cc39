"""One connection: it carries one exchange at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import trio

from llmmw.wire._http1._dial import Origin, is_readable, socket_of
from llmmw.wire._http1._headers import Headers
from llmmw.wire._http1._limits import READ, STALL, TOGETHER
from llmmw.wire._http1._parse import Broken, Reading

__all__ = ["Answer", "Connection", "Unsent"]


class Unsent(Exception):
    """The connection was closed before any byte of the request left."""


class Connection:
    """A connection. Whoever has it out of the pool gives it back, or closes it."""

    __slots__ = ("_socket", "_stream", "idle_since", "origin")

    def __init__(self, origin: Origin, stream: trio.abc.Stream) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self._stream = stream
        self._socket = socket_of(stream).socket

    @property
    def is_dead(self) -> bool:
        """Whether the host has closed it while it was idle, or said what nobody asked for."""
        return self._socket.fileno() < 0 or is_readable(self._socket.fileno())

    def close(self) -> None:
        """Close it at once."""
        self._socket.close()

    async def exchange(
        self, head: bytes, body: bytes | AsyncIterator[bytes], *, used: bool
    ) -> Reading:
        """Send a request, and read the head of its answer.

        Args:
            head: request line and headers.
            body: whole, or in pieces that fit the head.
            used: whether other exchanges came before.

        Raises:
            Unsent: if it was closed and nothing has left.
            httpx.TransportError: if the line breaks, or the answer is none.
        """
        broke: httpx.WriteError | None = None
        try:
            await self._send(head, body, used=used)
        except httpx.WriteError as error:
            broke = error  # the host may have answered before it closed the line
        reading = Reading()
        while not reading.head_done:
            try:
                await self.read(reading)
            except httpx.TransportError as error:
                raise broke or error from None
        if broke is not None:
            reading.reusable = False
        return reading

    async def _send(self, head: bytes, body: bytes | AsyncIterator[bytes], *, used: bool) -> None:
        first = head
        rest: bytes | memoryview = b""
        if isinstance(body, bytes):
            first, rest = (head + body, b"") if len(body) <= TOGETHER else (head, body)
        if used and isinstance(self._stream, trio.SocketStream):
            try:
                count = await self._socket.send(first)
            except OSError as error:
                raise Unsent(str(error)) from error
            first = first[count:]
        if first:
            await self._write(first)
        if rest:
            await self._write(rest)
        if not isinstance(body, bytes):
            async for piece in body:
                with trio.move_on_after(STALL) as scope:
                    await self._write(piece)
                if scope.cancelled_caught:
                    raise httpx.WriteTimeout(f"the host took nothing more for {STALL:g} s")

    async def _write(self, data: bytes | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(_why(error)) from error

    async def read(self, reading: Reading) -> None:
        """Read what comes next of an answer.

        Raises:
            httpx.ReadError: if the line breaks.
            httpx.RemoteProtocolError: if it is no answer, or ends too early.
        """
        try:
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

    __slots__ = ("_connection", "_done", "_reading", "_released", "headers", "status_code")

    def __init__(
        self, connection: Connection, reading: Reading, done: Callable[[Connection, bool], object]
    ) -> None:
        self._connection, self._reading, self._done = connection, reading, done
        self._released = False
        self.status_code = reading.status
        self.headers = Headers(reading.headers)
        if reading.complete and not reading.body:
            self._release()

    @property
    def reason(self) -> bytes:
        """What stands after the status."""
        return self._reading.reason

    @property
    def version(self) -> str:
        """Of HTTP."""
        return self._reading.version

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        reading = self._reading
        while not reading.body:
            if reading.complete or self._released:
                self._release()
                raise StopAsyncIteration
            await self._connection.read(reading)
        piece = reading.body[0] if len(reading.body) == 1 else b"".join(reading.body)
        reading.body.clear()
        if reading.complete:
            self._release()
        return piece

    def _release(self) -> None:
        if not self._released:
            self._released = True
            self._done(self._connection, self._reading.reusable and not self._reading.spoiled)

    async def aclose(self) -> None:
        """Close the connection of an unread answer."""
        if not self._released:
            self._released = True
            self._reading.body.clear()
            self._done(self._connection, False)
