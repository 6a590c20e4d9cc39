"""The bytes of a connection as one answer of HTTP/1.1 (RFC 9112), by the parser of Node.js.

It is strict: what different readers take for different things is refused, not guessed at.
"""

from __future__ import annotations

import sys

import trio
from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from llmmw.wire._http1._limits import MOST_HEAD

__all__ = ["Broken", "Reading"]


_CONTROLS = bytes({*range(32), 127} - {9})
_LENGTHS = {len("transfer-encoding"), len("content-length")}
_CHUNK = 16
"""What each piece of a body may have around it."""


_SWITCHED = "the host switched to another protocol, which nobody asked for"


class Broken(Exception):
    """What came is no answer of HTTP/1.1."""


class Reading:
    """Reads one answer. Its methods `on_…` are called by the parser."""

    __slots__ = (
        "_beside",
        "_framed",
        "_informing",
        "_parser",
        "_refused",
        "body",
        "broken",
        "complete",
        "head_done",
        "headers",
        "reason",
        "reusable",
        "spoiled",
        "status",
        "until_close",
        "version",
    )

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        """What of the body has come and is not taken yet."""
        self.broken = ""
        """What was wrong behind the head, and behind that body."""
        self.head_done = False
        self.complete = False
        self.reusable = False
        """Whether the host lets the connection be used again."""
        self.spoiled = False
        """More came than the answer, so nothing can be said of what comes next."""
        self.until_close = False
        """The end of the line is the end of the body."""
        self._beside = 0
        self._framed = ""
        """The header that says where the body ends."""
        self._informing = False
        self._refused = ""
        """What is wrong with the answer although the parser bears it."""
        self._parser = HttpResponseParser(self)

    # What a callback raises, the parser takes for an error of the host: an interrupt waits.
    @trio.lowlevel.enable_ki_protection
    def feed(self, data: bytes) -> None:
        """Read bytes as they came.

        Raises:
            Broken: if they are no such answer, or its head has no end. What is wrong behind the
                head is `broken`, since what came before it is good, however the line cuts it.
        """
        if not (self.head_done or self._beside) and data[:1] != b"H":
            raise Broken("the host does not speak HTTP/1.1")
        self._beside += len(data)
        handled = sys.exception()
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            raise Broken(_SWITCHED) from None
        except HttpParserError as error:
            wrong, self.spoiled = self._wrong(error, handled), True
            if not (self.head_done and isinstance(wrong, Broken)):
                raise wrong from None
            self.broken = "" if self.complete else str(wrong)
        if self.complete:
            return
        for piece in self.body:
            self._beside = max(0, self._beside - len(piece) - _CHUNK)
        if self._beside > MOST_HEAD:
            why = f"there are more than {MOST_HEAD} bytes besides the body of the answer"
            if not self.head_done:
                raise Broken(why)
            self.broken = self.broken or why

    def _wrong(self, error: HttpParserError, handled: BaseException | None) -> BaseException:
        """What was wrong: with the answer, or with the program, while it handled something."""
        if not isinstance(error, HttpParserCallbackError):
            return Broken(f"the host does not speak HTTP/1.1: {error}")
        if self._refused:
            return Broken(self._refused)
        raised = error.__context__
        return error if raised is None or raised is handled else raised

    def _refuse(self, why: str) -> Broken:
        """Noted, too: inside the handling of some error, the parser forgets what is raised."""
        self._refused = why
        return Broken(why)

    def end(self) -> None:
        """The line was closed.

        Raises:
            Broken: if that is too early.
        """
        if self.head_done and self.until_close:
            self.complete = True
        elif not self.complete:
            where = "in the middle of its answer" if self.head_done else "without an answer"
            raise Broken(f"the host closed the line {where}")

    def stop(self) -> None:
        """Nothing more is read. The parser and this hold each other, which would be left to the
        collector of garbage."""
        del self._parser

    def on_message_begin(self) -> None:
        if self.complete:
            self.spoiled = True

    def on_status(self, reason: bytes) -> None:
        if not self.complete:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_done:
            return  # a trailer; nobody asked for one
        self.headers.append((name, value.rstrip(b" \t")))
        if len(name) in _LENGTHS:
            self._look(name.lower(), value)

    def _look(self, name: bytes, value: bytes) -> None:
        if name == b"transfer-encoding":
            if value.strip(b" \t").lower() != b"chunked" or self._framed == "chunks":
                raise self._refuse(
                    f"the host sends its answer in a form that nobody asked for: {value!r}"
                )
            self._framed = "chunks"
        elif name == b"content-length":
            self._framed = self._framed or "length"

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        told = b"".join([self.reason, *[value for _, value in self.headers]])
        if len(told.translate(None, _CONTROLS)) != len(told):
            raise self._refuse("there are signs in the head of the answer that HTTP lacks")
        self.status = self._parser.get_status_code()
        self.version = self._parser.get_http_version()
        if self.version not in {"1.0", "1.1"}:
            raise self._refuse(f"the host speaks HTTP/{self.version}")
        if self.status == 101:
            raise self._refuse(_SWITCHED)
        if self.status < 100:
            raise self._refuse(f"no answer has the status {self.status:03}")
        if self.status < 200:
            self._informing = True
            return
        self.head_done = True
        self._beside = 0
        bodiless = self.status in {204, 304}
        self.until_close = not (bodiless or self._framed)
        # Some take what is framed in a form that its version or status has not for a body.
        odd = self._framed == "chunks" and (bodiless or self.version == "1.0")
        self.reusable = self._parser.should_keep_alive() and not odd

    def on_body(self, piece: bytes) -> None:
        if self._informing:
            raise self._refuse("an answer that is still to come has a body already")
        if not self.complete:
            self.body.append(piece)

    def on_message_complete(self) -> None:
        if self._informing:  # 100, 102, 103: the answer is still to come
            self._informing = False
            self.headers.clear()
            self.reason = b""
            self._framed = ""
        elif self.head_done:
            self.complete = True
