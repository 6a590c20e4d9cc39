"""Bodies of requests: what is in memory, and what is sent piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

import attrs
import httpx

from llmmw._administration import Hear, Pieces, Source, Transfer

__all__ = ["Body", "Sending", "Whole", "multipart", "read_whole"]


@attrs.frozen
class Body:
    """A body that is sent piece by piece, from its start for each attempt.

    Args:
        content_type: what it is.
        size: its bytes.
        open: reads it from its start.
    """

    content_type: str
    size: int
    open: Callable[[], AbstractContextManager[Pieces]] = attrs.field(repr=False)


class Whole(httpx.AsyncByteStream):
    """A body in memory, without the generator that httpx would leave unfinished where the line
    breaks while it is sent."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._body)


class _Once(AsyncIterator[bytes]):
    def __init__(self, piece: bytes) -> None:
        self._pieces = [piece]

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


class Sending(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """A body that is sent piece by piece, once."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self.error: Exception | None = None
        """Why it could not be read, if so: no fault of the line."""
        self.frames: TracebackType | None = None
        """Where that was, without the frames of httpx."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._pieces.next_piece()
        except Exception as error:
            self.error, self.frames = error, error.__traceback__
            raise
        if not piece:
            raise StopAsyncIteration
        return piece


async def read_whole(body: Body) -> bytes:
    """All of it, for what has to look at it."""
    found: list[bytes] = []
    with body.open() as pieces:
        while piece := await pieces.next_piece():
            found.append(piece)
    return b"".join(found)


def multipart(
    source: Source,
    fields: Mapping[str, str],
    *,
    file: str = "file",
    hear: Hear = lambda transfer: None,
) -> Body:
    """A form with a file in it (RFC 7578).

    Args:
        source: the file.
        fields: what else the form holds, before it.
        file: the name of the field that is the file.
        hear: told how far the file is.
    """
    mark = b"llmmw-" + secrets.token_hex(16).encode()
    begin = b"--" + mark + b"\r\nContent-Disposition: form-data; name="
    form = [
        b'%b"%b"\r\n\r\n%b\r\n' % (begin, _named(key), told.encode())
        for key, told in fields.items()
    ]
    form.append(
        b'%b"%b"; filename="%b"\r\nContent-Type: application/octet-stream\r\n\r\n'
        % (begin, _named(file), _named(source.name))
    )
    head, tail = b"".join(form), b"\r\n--" + mark + b"--\r\n"

    @contextmanager
    def opened() -> Iterator[Pieces]:
        with source.open() as pieces:
            yield _Form(head, pieces, tail, source.size, hear)

    kind = f"multipart/form-data; boundary={mark.decode()}"
    return Body(kind, len(head) + source.size + len(tail), opened)


class _Form:
    """What stands before a file, the file, and what stands after it."""

    def __init__(self, head: bytes, file: Pieces, tail: bytes, total: int, hear: Hear) -> None:
        self.size: int | None = len(head) + total + len(tail)
        self._head, self._file, self._tail = head, file, tail
        self._total, self._hear = total, hear
        self._done = 0

    async def next_piece(self) -> bytes:
        head, self._head = self._head, b""
        if head:
            self._hear(Transfer(done=0, total=self._total))
            return head
        if self._tail:
            piece = await self._file.next_piece()
            if piece:
                self._done += len(piece)
                self._hear(Transfer(done=self._done, total=self._total))
                return piece
        tail, self._tail = self._tail, b""
        return tail


def _named(name: str) -> bytes:
    """A name within quotes. Of a file's name, bytes that are no UTF-8 become question marks."""
    plain = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return plain.encode(errors="replace")
