"""One connection: it carries one exchange at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import trio

from llmmw.wire._http1._headers import Headers
from llmmw.wire._http1._limits import TOGETHER, Times, within
from llmmw.wire._http1._line import Left, Line
from llmmw.wire._http1._parse import Broken, Reading
from llmmw.wire._http1._request import Origin, Request

__all__ = ["Answer", "Connection", "Unsent"]


class Unsent(Exception):
    """The connection was closed before any byte of the request left."""


class Connection:
    """A connection. Whoever has it out of the pool gives it back, or closes it."""

    __slots__ = ("idle_since", "line", "origin", "used")

    def __init__(self, origin: Origin, line: Line) -> None:
        self.origin, self.line = origin, line
        self.used = False
        """Whether it was idle before: its host may have closed it meanwhile."""
        self.idle_since = 0.0

    async def exchange(self, request: Request) -> Reading:
        """Send a request, and read the head of its answer.

        Raises:
            Unsent: if it was closed and nothing has left.
            httpx.TransportError: if the line breaks, or the answer is none.
        """
        broke: httpx.WriteError | None = None
        reading, times = Reading(), request.times
        await trio.lowlevel.checkpoint_if_cancelled()  # what is cancelled is not sent
        try:
            left = self._begin(request)
            if left is not None:
                await self._finish(request, left)
        except httpx.WriteError as error:
            broke = error  # the host may have answered before it closed the line
        soon = True
        while not reading.head_done:
            try:
                await self.read(reading, times, soon)
            except httpx.TransportError as error:
                raise broke or error from None
            soon = False
        if broke is not None or request.last:
            reading.reusable = False
        return reading

    def _begin(self, request: Request) -> Left | None:
        """Send what can be sent at once. What is left of the piece; `None`: that was all."""
        first, body = request.head, request.body
        together = False
        if isinstance(body, bytes) and len(body) <= TOGETHER:
            first, together = first + body, True
        try:
            left = self.line.begin(first)
        except OSError as error:
            if self.used:
                raise Unsent(str(error)) from error
            raise httpx.WriteError(str(error)) from error
        return left if left or not together else None

    async def _finish(self, request: Request, left: Left) -> None:
        body, times = request.body, request.times
        if left:
            await self._write_rest(left, times)
        if not isinstance(body, bytes):
            await self._send_pieces(body, request.size, times)
        elif len(body) > TOGETHER:
            await self._write(body, times)

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
            await trio.lowlevel.checkpoint()  # the body may be there without any wait
        if size is None:
            await self._write(b"0\r\n\r\n", times)
        elif left:
            raise httpx.LocalProtocolError("the body is shorter than it says")

    async def _write(self, data: bytes, times: Times) -> None:
        try:
            left = self.line.begin(data)
        except OSError as error:
            raise httpx.WriteError(str(error)) from error
        if left:
            await self._write_rest(left, times)

    async def _write_rest(self, left: Left, times: Times) -> None:
        try:
            with within(times.get("write"), httpx.WriteTimeout):
                await self.line.finish(left)
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(str(error)) from error

    async def read(self, reading: Reading, times: Times, soon: bool = False) -> None:
        """Read what comes next of an answer, which may come `soon`.

        Raises:
            httpx.ReadError: if the line breaks.
            httpx.RemoteProtocolError: if it is no answer, or ends too early.
            httpx.ReadTimeout: if it takes too long.
        """
        seconds = times.get("read")
        try:
            if seconds is None:
                data = await self.line.receive(soon=soon)
            else:
                with within(seconds, httpx.ReadTimeout):
                    data = await self.line.receive(soon=soon)
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error)) from error
        try:
            if data:
                reading.feed(data)
            else:
                reading.end()
                reading.reusable = False
        except Broken as error:
            raise httpx.RemoteProtocolError(str(error)) from None


class Answer:
    """An answer whose head was read. Iterate for the pieces of its body, or close it."""

    __slots__ = (
        "_connection",
        "_done",
        "_headers",
        "_reading",
        "_released",
        "_times",
        "_waits",
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
        self._headers: Headers | None = None
        if reading.complete:
            self._release()

    @property
    def headers(self) -> Headers:
        """The headers."""
        if self._headers is None:
            self._headers = Headers(self._reading.headers)
            self._reading.headers = []  # kept once, since a stream may last
        return self._headers

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as they came; for who does not look at `headers`."""
        return self._reading.headers

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
        body = reading.body
        if not body:
            await self._more(reading)
        piece = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        if reading.complete and not self._released:
            self._release()
        return piece

    async def _more(self, reading: Reading) -> None:
        if self._waits:
            raise trio.BusyResourceError("another task reads this answer")
        while not reading.body:
            if reading.complete:
                self._release()
                raise StopAsyncIteration
            if self._released:
                raise httpx.StreamClosed
            if reading.broken:
                raise httpx.RemoteProtocolError(reading.broken)
            self._waits = True
            try:
                await self._connection.read(reading, self._times)
            finally:
                self._waits = False

    def _release(self) -> None:
        if not self._released:
            self._released = True
            reading = self._reading
            reading.stop()
            fit = reading.complete and reading.reusable and not reading.spoiled
            self._done(self._connection, fit)

    async def aclose(self) -> None:
        """Close the connection, unless the whole answer has come."""
        if not self._released:
            self._release()
        if self._reading.body:
            self._reading.body.clear()
            self._reading.complete = False  # what is read no more did not end
