"""Lines of JSON, decoded from bytes cut anywhere."""

from __future__ import annotations

from llmmw.errors import ProtocolError
from llmmw.wire._json import loads

__all__ = ["NDJSONDecoder"]

_MAX_LINE = 16 * 2**20
_MAX_TOTAL = 64 * 2**20
_BOM = b"\xef\xbb\xbf"


class NDJSONDecoder:
    """Turns bytes into the lines of JSON in them, as they come; empty lines are left out. Pure:
    it reads nothing itself, and does not look into a line: read it with `loads`.

    Args:
        max_line: bytes that one line may have. Default 16 MiB, since images come in one.
        max_total: bytes that all lines may have together; `None` is no limit. Default 64 MiB.
    """

    __slots__ = ("_fresh", "_held", "_max", "_max_total", "_total")

    def __init__(self, max_line: int = _MAX_LINE, max_total: int | None = _MAX_TOTAL) -> None:
        self._max, self._max_total = max_line, max_total
        self._total = 0
        self._held = bytearray()  # the start of a line whose end has not come
        self._fresh = True  # no line yet

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete with `data`, the next bytes, without their ends.

        Raises:
            ProtocolError: if a line, or all together, are too long; they are of no use then.
        """
        self._total += len(data)
        if self._max_total is not None:
            self._check(self._total, self._max_total, "lines of JSON")
        first, *rest = data.split(b"\n")
        self._held += first
        found: list[bytes] = []
        for piece in rest:
            self._add(found)
            self._held += piece
        self._check(len(self._held), self._max, "a line of JSON")
        return found

    def end(self) -> list[bytes]:
        """The line that the end of the bytes completes, if any: the last may lack its line feed,
        but it counts only if it is a whole JSON object or array."""
        found: list[bytes] = []
        self._add(found)
        try:
            whole = [line for line in found if line.startswith((b"{", b"["))]
            return [line for line in whole if loads(line) is not None]
        except ProtocolError:
            return []

    def _add(self, found: list[bytes]) -> None:
        self._check(len(self._held), self._max, "a line of JSON")
        line = bytes(self._held)
        self._held.clear()
        if self._fresh:
            line = line.removeprefix(_BOM)
        self._fresh = False
        if line := line.strip(b" \t\r"):
            found.append(line)

    def _check(self, size: int, most: int, what: str) -> None:
        if size > most:
            raise ProtocolError(
                f"the host sent {what} of more than {most:,} bytes; it is no stream of answers, "
                "or broken: check base_url"
            )
