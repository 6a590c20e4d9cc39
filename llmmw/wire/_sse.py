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
_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"


@attrs.frozen
class SSEEvent:
    """One event of a stream."""

    data: str
    """Its `data` lines, joined with a line feed."""
    event: str = ""
    """Its name; most streams give none."""
    unterminated: bool = False
    """Whether the stream ended before the empty line that ends an event."""


class SSEDecoder:
    """Turns the bytes of a stream into its events, as they come. Pure: it reads nothing itself.

    Args:
        max_event: bytes that one event, or one line of any kind, may have. Default 16 MiB, since
            images come in one line.
    """

    __slots__ = ("_cr", "_data", "_fresh", "_line", "_max", "_name", "_size", "_stray", "_straying")

    def __init__(self, max_event: int = _MAX_EVENT) -> None:
        self._max = max_event
        self._line = bytearray()  # the start of a line whose end has not come
        self._fresh = True  # no byte yet that is not of a byte order mark
        self._cr = False  # a CR came last, so that an LF now is the same line's end
        self._data: list[str] = []
        self._size = 0  # bytes of the lines in _data
        self._name = ""
        self._stray = bytearray()
        self._straying = False

    @property
    def stray(self) -> str:
        """What stood in the stream as bare JSON, outside of events, up to 64 KiB.

        Some servers break off with an error object that no standard reader would see: bare, or
        in a field named `error`. Look here when a stream ended too early.
        """
        return str(self._stray, "utf-8", "replace")

    def feed(self, data: bytes) -> list[SSEEvent]:
        """The events that are complete with `data`, the next bytes of the stream.

        Raises:
            ProtocolError: if an event or a line is too long; the stream is of no use then.
        """
        if self._fresh:
            data = self._without_mark(data)
        if self._cr and data:
            self._cr = False
            if data[0] == _LF:
                data = data[1:]
        if not data:
            return []
        lines = data.splitlines()
        ended = data[-1] in b"\r\n"
        self._cr = data[-1] == _CR
        if len(data) > self._max:
            self._check(max(map(len, lines)))
        if self._line:
            self._line += lines[0]
            self._check(len(self._line))
            if len(lines) == 1 and not ended:
                return []
            lines[0] = bytes(self._line)
            self._line.clear()
        if not ended:
            self._line += lines.pop()
        return self._events(lines)

    def end(self) -> list[SSEEvent]:
        """The event that the end of the stream completes, if any.

        The standard drops an event without its empty line; here it counts if its data is a whole
        JSON object or array, or `[DONE]`.
        """
        self._fresh = False
        events = self._events([bytes(self._line)]) if self._line else []
        self._line.clear()
        data, name = "\n".join(self._data), self._name
        self._data.clear()
        self._size, self._name = 0, ""
        if _is_whole(data):
            events.append(SSEEvent(data, name, unterminated=True))
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

    def _events(self, lines: list[bytes]) -> list[SSEEvent]:
        events = []
        for line in lines:
            if not line:
                if self._data:
                    data = self._data[0] if len(self._data) == 1 else "\n".join(self._data)
                    events.append(SSEEvent(data, self._name))
                    self._data.clear()
                    self._size = 0
                self._name = ""
            elif line.startswith(b"data:"):
                self._size += len(line)
                if self._size > self._max:
                    self._check(self._size)
                start = 6 if line.startswith(b" ", 5) else 5
                self._data.append(str(line[start:], "utf-8", "replace"))
            else:
                self._other(line)
        return events

    def _other(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"event":
            self._name = str(value.removeprefix(b" "), "utf-8", "replace")
        elif field == b"data":  # without a colon: the value is empty
            self._size += len(line)
            self._check(self._size)
            self._data.append("")
        elif field not in (b"", b"id", b"retry"):
            text = value.strip() if field == b"error" else line
            self._straying = self._straying or text.startswith((b"{", b"["))
            if self._straying:
                self._stray += (text + b"\n")[: _MAX_STRAY - len(self._stray)]


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
