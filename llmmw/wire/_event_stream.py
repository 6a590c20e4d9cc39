"""The binary event stream of AWS, decoded from bytes cut anywhere.

A message is: its length, that of its headers, a checksum of these two; headers; a payload; a
checksum of all that. Numbers are big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

import attrs

from llmmw.errors import ProtocolError, StreamInterrupted

__all__ = ["EventMessage", "EventStreamDecoder", "HeaderValue"]

HeaderValue: TypeAlias = bool | int | bytes | str | UUID
"""The value of a header; a timestamp is the number of its milliseconds since 1970."""

_MAX_PAYLOAD = 24 * 2**20
_MAX_HEADERS = 128 * 2**10
_PRELUDE, _CHECKSUM = 12, 4
_FIXED = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}
"""How the numbers among the types of values are written."""


@attrs.frozen
class EventMessage:
    """One message, intact."""

    headers: Mapping[str, HeaderValue] = attrs.field(hash=False)
    payload: bytes

    def text(self, name: str) -> str:
        """A header that is a text; empty if it is none."""
        told = self.headers.get(name)
        return told if isinstance(told, str) else ""


class EventStreamDecoder:
    """Turns bytes into the messages in them, as they come. Pure: it reads nothing itself.

    What comes does not depend on where the bytes were cut: messages in front of a broken one are
    given, and what is wrong is raised by the next call, and by each one after it.

    Args:
        max_payload: bytes that the payload of a message may have. Default 24 MiB, as AWS allows.
        max_headers: bytes that its headers may have. Default 128 KiB, as AWS allows.
    """

    __slots__ = ("_failure", "_held", "_last", "_max_headers", "_max_payload")

    def __init__(self, max_payload: int = _MAX_PAYLOAD, max_headers: int = _MAX_HEADERS) -> None:
        self._max_payload, self._max_headers = max_payload, max_headers
        self._held = bytearray()  # the start of a message whose end has not come
        self._failure: str | None = None
        self._last: tuple[bytes, Mapping[str, HeaderValue]] = (b"", {})  # mostly the next ones too

    def feed(self, data: bytes) -> list[EventMessage]:
        """The messages that are complete with `data`, the next bytes, which may be none.

        Raises:
            ProtocolError: if the message behind those given before is not intact, or too large.
        """
        if self._failure is not None:
            raise ProtocolError(self._failure)
        self._held += data
        found: list[EventMessage] = []
        at = 0
        try:
            while (size := self._size(at)) and at + size <= len(self._held):
                found.append(self._message(bytes(self._held[at : at + size])))
                at += size
        except ValueError as error:
            self._failure = f"the host sent a message of an event stream that is broken: {error}"
        del self._held[:at]
        if self._failure is not None and not found:
            raise ProtocolError(self._failure)
        return found

    def end(self) -> None:
        """Say that no more bytes come.

        Raises:
            ProtocolError: as `feed`.
            StreamInterrupted: if they ended inside a message.
        """
        self.feed(b"")
        if self._held:
            raise StreamInterrupted("the event stream ended inside a message")

    def _size(self, at: int) -> int:
        """How long the message is that begins at `at`; 0 as long as that is not known."""
        if len(self._held) < at + _PRELUDE:
            return 0
        size, headers, checksum = struct.unpack_from(">III", self._held, at)
        if zlib.crc32(self._held[at : at + 8]) != checksum:
            raise ValueError("the checksum of its prelude does not match")
        if headers > self._max_headers:
            raise ValueError(f"its headers have more than {self._max_headers:,} bytes")
        payload = size - headers - _PRELUDE - _CHECKSUM
        if payload < 0:
            raise ValueError("its headers are longer than itself")
        if payload > self._max_payload:
            raise ValueError(f"its payload has more than {self._max_payload:,} bytes")
        return int(size)

    def _message(self, data: bytes) -> EventMessage:
        """The message that these bytes are, whose prelude is known to be sound."""
        if zlib.crc32(data[:-_CHECKSUM]) != int.from_bytes(data[-_CHECKSUM:], "big"):
            raise ValueError("the checksum of the message does not match")
        end = _PRELUDE + int.from_bytes(data[4:8], "big")
        block = data[_PRELUDE:end]
        if block != self._last[0]:
            self._last = (block, _headers(block))
        return EventMessage(self._last[1], data[end:-_CHECKSUM])


def _headers(block: bytes) -> dict[str, HeaderValue]:
    told: dict[str, HeaderValue] = {}
    rest = _Bytes(block)
    while rest.left:
        name = str(rest.take(rest.number(">B")), "utf-8")  # what is no UTF-8 is a ValueError too
        if name in told:
            raise ValueError(f"it has the header {name!r} twice")
        told[name] = _value(rest)
    return told


def _value(rest: _Bytes) -> HeaderValue:
    kind = rest.number(">B")
    if kind in {0, 1}:
        return kind == 0
    if kind in _FIXED:
        return rest.number(_FIXED[kind])
    if kind == 6:
        return rest.take(rest.number(">H"))
    if kind == 7:
        return str(rest.take(rest.number(">H")), "utf-8")
    if kind == 9:
        return UUID(bytes=rest.take(16))
    raise ValueError(f"it has a header of the type {kind}, which nobody knows")


class _Bytes:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise ValueError("a header ends behind the headers")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, form: str) -> int:
        told: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return told
