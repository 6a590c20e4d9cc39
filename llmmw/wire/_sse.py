"""Server-sent events, decoded from bytes cut anywhere.

Follows the WHATWG standard for event streams, but for the end: what a server left without its last
empty line is an event too if it is whole. Source: html.spec.whatwg.org, section 9.2.
"""

from __future__ import annotations

import attrs

from llmmw.errors import ProtocolError
from llmmw.wire._json import loads

__all__ = ["SSEDecoder", "SSEEvent"]

_MAX_EVENT = 16 * 2**20
_MAX_STRAY = 64 * 2**10
_MAX_DIGITS = 15
_BOM = b"\xef\xbb\xbf"


@attrs.define
class SSEEvent:
    """One event of a stream."""

    data: str
    """Its `data` lines, joined with a line feed."""
    event: str = ""
    """Its name; most streams give none."""
    unterminated: bool = False
    """Whether the stream ended before the empty line that ends an event."""
    id: str = ""
    """The last id that the stream told up to here, by which a server may go on from this event."""
    retry: int | None = None
    """Milliseconds to wait before one connects anew, as the stream last told."""


class SSEDecoder:
    """Turns the bytes of a stream into its events, as they come. Pure: it reads nothing itself.

    Args:
        max_event: bytes that one event, or one line of any kind, may have. Default 16 MiB, since
            images come in one line.
    """

    __slots__ = (
        "_cr",
        "_data",
        "_fresh",
        "_id",
        "_line",
        "_max",
        "_name",
        "_retry",
        "_size",
        "_stray",
        "_straying",
    )

    def __init__(self, max_event: int = _MAX_EVENT) -> None:
        self._max = max_event
        self._line = bytearray()  # the start of a line whose end has not come
        self._fresh = True  # no byte yet that is not of a byte order mark
        self._cr = False  # a CR came last, so that an LF now is the same line's end
        self._data: list[str] = []
        self._size = 0  # bytes of the lines in _data
        self._name = ""
        self._id = ""
        self._retry: int | None = None
        self._stray: list[str] = []
        self._straying = 0  # characters in _stray, each line's end among them

    @property
    def _at_rest(self) -> bool:
        """Whether nothing is left of what came before."""
        return not (self._fresh or self._cr or self._line or self._data or self._name)

    @property
    def stray(self) -> str:
        """What stood in the stream as bare JSON, outside of events, up to 64 KiB.

        Some servers break off with an error object that no standard reader would see: bare, or
        in a field named `error`. Look here when a stream ended too early.
        """
        return "".join(self._stray)

    def feed(self, data: bytes) -> list[SSEEvent]:
        """The events that are complete with `data`, the next bytes of the stream.

        Raises:
            ProtocolError: if an event or a line is too long; the stream is of no use then.
        """
        whole = data.endswith(b"\n\n") and b"\r" not in data and len(data) <= self._max
        if whole and self._at_rest:  # nearly always
            return self._events(str(data, "utf-8", "replace"))
        if self._fresh:
            data = self._without_mark(data)
        if self._cr and data:
            self._cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._cr = data.endswith(b"\r")
            data = _with_line_feeds(data)
        end = data.rfind(b"\n") + 1
        if not end:
            self._line += data
            self._check(len(self._line))
            return []
        lines = data[:end]
        if self._line:
            lines = bytes(self._line) + lines
            self._line.clear()
        self._line += data[end:]
        self._check(len(self._line))
        if len(lines) > self._max:
            self._check(max(map(len, lines.split(b"\n"))))
        return self._events(str(lines, "utf-8", "replace"))

    def end(self) -> list[SSEEvent]:
        """The event that the end of the stream completes, if any.

        The standard drops an event without its empty line; here it counts if its data is a whole
        JSON object or array, or `[DONE]`.
        """
        self._fresh = False
        events: list[SSEEvent] = []
        if self._line:
            self._read(str(self._line, "utf-8", "replace"), events)
        self._line.clear()
        data, name = "\n".join(self._data), self._name
        self._forget()
        if _is_whole(data):
            events.append(SSEEvent(data, name, True, self._id, self._retry))
        return events

    def _without_mark(self, data: bytes) -> bytes:
        start = bytes(self._line) + data
        self._line.clear()
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._line += start
            return b""
        self._fresh = False
        return start.removeprefix(_BOM)

    def _check(self, size: int) -> None:
        if size > self._max:
            raise ProtocolError(
                f"the stream has an event or a line of more than {self._max:,} bytes; "
                "it is no stream of answers, or broken: check base_url"
            )

    def _events(self, lines: str) -> list[SSEEvent]:
        """Read whole lines."""
        events: list[SSEEvent] = []
        *blocks, rest = lines.split("\n\n")
        if blocks and (self._data or self._name):
            self._block(blocks.pop(0), events)
        head: str | None = ""  # what the last block had before its data
        name: str | None = ""  # the name in that, or `None` if there is more in it
        for block in blocks:  # nearly all are a name and one line of data, or the latter alone
            before, found, data = block.partition("data: ")
            if before != head:
                head, name = before, _name_in(before)
            if name is None or not found or "\n" in data:
                self._block(block, events)
            else:
                events.append(SSEEvent(data, name, False, self._id, self._retry))
        for line in rest.split("\n")[:-1]:
            self._read(line, events)
        return events

    def _block(self, block: str, events: list[SSEEvent]) -> None:
        """Read lines that an empty line follows."""
        for line in block.split("\n"):
            self._read(line, events)
        self._read("", events)

    def _read(self, line: str, events: list[SSEEvent]) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if self._data:
                data = "\n".join(self._data)
                events.append(SSEEvent(data, self._name, False, self._id, self._retry))
            self._forget()
        elif field == "data":
            self._size += len(line) if line.isascii() else len(line.encode())
            self._check(self._size)
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id":
            self._id = self._id if "\0" in value else value
        elif field == "retry":
            if value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
                self._retry = int(value)
        elif field:
            self._keep(value.strip() if field == "error" else line)

    def _forget(self) -> None:
        self._data.clear()
        self._size, self._name = 0, ""

    def _keep(self, text: str) -> None:
        """Keep aside what looks like the beginning of bare JSON, and all such lines after it."""
        room = _MAX_STRAY - self._straying
        if room and (self._straying or text.startswith(("{", "["))):
            kept = f"{text}\n"[:room]
            self._straying += len(kept)
            self._stray.append(kept)


def _with_line_feeds(data: bytes) -> bytes:
    """The same lines, however they end."""
    bare = data.replace(b"\r", b"")
    if bare.replace(b"\n", b"\r\n") == data:  # all end alike, which is far quicker to see
        return bare
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _name_in(before: str) -> str | None:
    """The name of an event, if what stands before its data is that and no more."""
    name = before.removeprefix("event: ").removesuffix("\n")
    plain = not before or before == f"event: {name}\n"
    return name if plain and "\n" not in name else None


def _is_whole(data: str) -> bool:
    if data.startswith("[DONE]"):
        return True
    if not data.lstrip().startswith(("{", "[")):  # a number may have been cut
        return False
    try:
        loads(data)
    except ProtocolError:
        return False
    return True
