"""An answer over HTTP: status, headers, and a body that is read once, whole or as it comes."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
import trio

from llmmw._response import HttpInfo
from llmmw.errors import LLMError, ProtocolError, StreamInterrupted
from llmmw.wire._errors import ErrorRow, error_of, in_band_error, request_id_of
from llmmw.wire._limits import limits_of
from llmmw.wire._scrub import Scrubber
from llmmw.wire._sse import SSEDecoder, SSEEvent
from llmmw.wire._told import is_error

__all__ = ["CLEAN_UP", "MOST_OF_A_FILE", "Reply", "reason_of", "spare"]

CLEAN_UP = 2.0
"""Seconds that anything may take which nobody waits for."""
_DRAIN = 0.05
MOST_OF_A_FILE = 2**44
"""Bytes of what is not kept in memory."""
_MOST_BYTES = 64 * 2**20
_MOST_OF_AN_ERROR = 65_536
_GZIP = 16 + zlib.MAX_WBITS


class Reply:
    """An answer over HTTP, whose body is read once: by `read`, or piece by piece."""

    def __init__(self, answer: Any, rows: Sequence[ErrorRow], scrub: Scrubber) -> None:
        self._rows, self._scrub = rows, scrub
        self._answer = answer
        self._pieces: AsyncGenerator[bytes, None] = answer.aiter_raw()
        self._size = 0
        coding = answer.headers.get("content-encoding", "").strip().lower()
        self._coding = "" if coding == "identity" else coding
        self._unpacker: Any = None
        self._decoder: SSEDecoder | None = None
        self._ended = False
        self._broken: StreamInterrupted | None = None
        self._given_up = False
        self.most_bytes = _MOST_BYTES
        """How long the body may be, unpacked; whoever reads it piece by piece may allow more."""
        self.status: int = answer.status_code
        """The HTTP status."""
        self.headers: Mapping[str, str] = answer.headers
        """The headers, by their names in lower case; look-up does not mind upper case."""

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def size(self) -> int | None:
        """How long the body will be, if its host says so."""
        told = self.headers.get("content-length", "")
        return int(told) if told.isdecimal() and not self._coding else None

    @property
    def info(self) -> HttpInfo:
        """What a response carries of this answer: no cookies, and no trace of the key."""
        headers = dict(self.headers.items())
        headers.pop("set-cookie", None)
        told = "\n".join([f"{k}: {v}" for k, v in headers.items()])
        clean = self._scrub(told)
        if clean is not told:
            headers = dict(row.partition(": ")[::2] for row in clean.split("\n"))
        rate = limits_of(self.headers, now=time.time()) if "limit" in told.lower() else {}
        return HttpInfo(status=self.status, headers=headers, rate=rate)

    async def next_piece(self) -> bytes:
        """The next piece of the body as it came; empty at its end.

        Raises:
            StreamInterrupted: if the line breaks before the end, or has; or if it was cancelled
                while it was read.
            ProtocolError: if the body is not encoded as it says, or larger than `most_bytes`.
        """
        failure: LLMError
        if self._given_up:  # what httpx has left would look like the end
            raise StreamInterrupted("the answer was given up before its end")
        try:
            async for packed in self._pieces:
                piece = self._unpacked(packed) if self._coding else packed
                self._size += len(piece)
                if self._size > self.most_bytes:
                    raise ProtocolError(f"the answer is larger than {self.most_bytes} bytes")
                if piece:
                    return piece
            return b""
        except httpx.TransportError as error:
            failure = StreamInterrupted(f"the line broke: {self._scrub(reason_of(error))}")
        except trio.Cancelled:
            self._given_up = True
            raise
        self._given_up = True
        raise failure

    def _unpacked(self, piece: bytes) -> bytes:
        if self._coding not in {"gzip", "x-gzip", "deflate"}:
            raise ProtocolError(
                f"the answer is encoded as {self._coding!r}, which nobody asked for"
            )
        told = b""
        left = self.most_bytes + 1 - self._size
        try:
            while piece and len(told) < left:
                if self._unpacker is None or self._unpacker.eof:  # gzip may stand behind gzip
                    self._unpacker = zlib.decompressobj(_window(self._coding, piece))
                told += self._unpacker.decompress(piece, left - len(told))
                piece = self._unpacker.unused_data
            return told
        except zlib.error:
            pass
        raise ProtocolError("the answer is not compressed as its header says")

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            LLMError: as `next_piece`.
        """
        pieces = []
        while piece := await self.next_piece():
            pieces.append(piece)
            if self._answer.is_closed:  # all has come
                break
        return b"".join(pieces)

    async def next_events(self, until: float = math.inf) -> list[SSEEvent]:
        """The next server-sent events of the body, as many as came at once; none at its end.

        Args:
            until: the time of trio's clock after which none are waited for.

        Raises:
            LLMError: as `next_piece`; or what an event-less error text says at the end.
        """
        if until < math.inf:
            with trio.CancelScope(deadline=until):
                return await self.next_events()
            return []
        if self._decoder is None:
            self._decoder = SSEDecoder()
        events: list[SSEEvent] = []
        while not events and not self._ended:
            try:
                piece = await self.next_piece()
            except StreamInterrupted as error:
                self._broken, piece = error, b""
            self._ended = not piece
            events = self._decoder.feed(piece) if piece else self._decoder.end()
        if events:
            return events
        if self._decoder.stray:  # says more than that the line broke
            raise self.error(self._decoder.stray.encode())
        if self._broken is not None:
            raise self._broken
        return []

    async def events(self) -> AsyncGenerator[SSEEvent, None]:
        """The body as server-sent events, one by one. Close it (`contextlib.aclosing`) if you
        leave early.

        Raises:
            LLMError: as `next_events`.
        """
        while events := await self.next_events():
            for event in events:
                yield event

    @property
    def request_id(self) -> str | None:
        """The host's id of the request, for its support."""
        told = request_id_of(self.headers)
        return None if told is None else self._scrub(told)

    def error(self, body: object) -> LLMError:
        """The error that a body tells: bytes, or JSON that was read already."""
        status = self.status if self.status >= 300 else None
        return error_of(status, self.headers, body, **self._facts)

    def error_in(self, told: object) -> LLMError | None:
        """The error inside an answer that has a status of success, if there is one."""
        return in_band_error(told, headers=self.headers, **self._facts) if is_error(told) else None

    @property
    def _facts(self) -> dict[str, Any]:
        return {"rows": self._rows, "now": time.time(), "scrub": self._scrub}

    async def failed(self) -> LLMError:
        """The error of an answer whose status is none of success."""
        body = b""
        with trio.move_on_after(CLEAN_UP):
            try:
                while len(body) < _MOST_OF_AN_ERROR and (piece := await self.next_piece()):
                    body += piece
            except LLMError:  # the status says enough
                pass
        return self.error(body[:_MOST_OF_AN_ERROR])

    async def drain(self) -> None:
        """Read what little may follow the end of a stream, so that its connection is used again.
        What goes wrong here is nobody's loss."""
        with trio.CancelScope(deadline=spare(_DRAIN)), suppress(LLMError):
            while await self.next_piece():
                pass

    async def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        if self._answer.is_closed:  # it was read to its end, as nearly all are
            return
        with trio.move_on_after(CLEAN_UP, shield=True):
            await self._answer.aclose()
            # The generators of httpx, one in another, end now, not when garbage is collected.
            with suppress(httpx.HTTPError, httpx.StreamError):
                async for _ in self._pieces:
                    pass


def _window(coding: str, begun: bytes) -> int:
    """What zlib is to expect. Of `deflate` there are two kinds: as RFC 9110 has it, in the frame of
    zlib, which begins with the bits of an 8; and bare, as some servers have it."""
    if coding != "deflate":
        return _GZIP
    return zlib.MAX_WBITS if begun[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


def spare(seconds: float) -> float:
    """Until when to wait for what an answer does not need any more: a time of trio's clock.

    No deadline comes before it, so that none takes away an answer that has come.

    Args:
        seconds: the most.
    """
    now = trio.current_time()
    return now + min(seconds, max(trio.current_effective_deadline() - now, 0) / 2)


def reason_of(error: BaseException) -> str:
    """What the system said, below the layers that say it less well."""
    told = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            told = cause.strerror
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        else:
            cause = cause.__cause__ or cause.__context__
    return told or type(error).__name__
