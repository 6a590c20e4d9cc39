"""A JSON array whose elements come one after another, decoded from bytes cut anywhere.

Some servers stream an answer as one array that grows over time. An element is given as soon as
its last byte is there, since the comma behind it comes with the next one only.
"""

from __future__ import annotations

import re

from llmmw.errors import ProtocolError

__all__ = ["JSONArrayDecoder"]

_MAX_EVENT = 16 * 2**20
_MAX_TOTAL = 64 * 2**20
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_OUTSIDE = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["\\]')


class JSONArrayDecoder:
    """Turns the bytes of an array into the JSON of its elements, as they come. Pure: it reads
    nothing itself, and looks at an element only for where it ends: read it with `loads`.

    Args:
        max_event: bytes that one element may have. Default 16 MiB, since images come in one.
        max_total: bytes that the whole array may have. Default 64 MiB.
    """

    __slots__ = (
        *("_depth", "_ended", "_escaped", "_head", "_held", "_max", "_max_total", "_quoted"),
        *("_separate", "_total"),
    )

    def __init__(self, max_event: int = _MAX_EVENT, max_total: int = _MAX_TOTAL) -> None:
        self._max, self._max_total = max_event, max_total
        self._total = 0
        self._head = b""  # what may be a byte order mark before the array
        self._held = bytearray()  # the start of an element whose end has not come
        self._depth = 0  # open brackets, with that of the array
        self._quoted = self._escaped = False  # within a string, behind a backslash
        self._separate = False  # an element has ended, so that a comma may come
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the bracket has come that ends the array: without it, the array was cut."""
        return self._ended

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that are complete with `data`, the next bytes of the array.

        Raises:
            ProtocolError: if it is no array, or one that is too long; it is of no use then.
        """
        self._total += len(data)
        self._check(self._total, self._max_total, "an array")
        if not self._depth and not self._ended:
            data = self._begun(data)
        found: list[bytes] = []
        start = at = 0
        view = memoryview(data)  # a slice of it copies nothing
        while at < len(data) and not self._ended:
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            match = (_INSIDE if self._quoted else _OUTSIDE).search(data, at)
            if match is None:
                break
            at = match.end()
            if self._ends(match[0], view[start:at], found):
                start = at
        self._rest(data[start:])
        return found

    def _begun(self, data: bytes) -> bytes:
        """What stands behind the bracket that begins the array."""
        head = self._head + data
        if _BOM.startswith(head):  # or it is empty
            self._head = head if head != _BOM else b""
            return b""
        bare = head.removeprefix(_BOM).lstrip(_BLANK)
        if bare and not bare.startswith(b"["):
            raise ProtocolError("the host sent something else where an array of JSON belongs")
        self._head = b""
        self._depth = len(bare[:1])
        return bare[1:]

    def _ends(self, sign: bytes, piece: memoryview, found: list[bytes]) -> bool:
        """Take a sign that means something, the last of `piece`; whether an element ends here."""
        if self._quoted:
            self._quoted, self._escaped = sign != b'"', sign == b"\\"
        elif sign == b'"':
            self._quoted = True
        elif sign in b"[{":
            self._depth += 1
        elif self._depth > 1:
            self._depth -= sign != b","
            if self._depth == 1:
                self._found(piece, found)
                self._separate = True
                return True
        else:
            self._found(piece[:-1], found)
            if sign == b"," and not self._separate:
                raise ProtocolError("the host sent an array of JSON with an empty place in it")
            self._separate = False
            self._ended = sign != b","
            self._depth -= self._ended
            return True
        return False

    def _found(self, piece: memoryview, found: list[bytes]) -> None:
        element = (bytes(self._held) + piece).strip(_BLANK)
        self._held.clear()
        self._check(len(element), self._max, "an element of an array")
        if element:
            found.append(element)
            self._separate = True

    def _rest(self, rest: bytes) -> None:
        """Keep the start of the next element."""
        bare = rest if self._held else rest.lstrip(_BLANK)
        if self._ended and bare:
            raise ProtocolError("the host sent something behind an array of JSON")
        self._held += bare
        self._check(len(self._held), self._max, "an element of an array")

    def _check(self, size: int, most: int, what: str) -> None:
        if size > most:
            raise ProtocolError(
                f"the host sent {what} of more than {most:,} bytes; it is no stream of answers, "
                "or broken: check base_url"
            )
