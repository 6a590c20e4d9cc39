"""The content of a file, which comes as a text inside of JSON: decoded as it comes, so that a long
one is never held whole. Pure, but for the reply that is read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Awaitable, Callable

from llmmw.errors import ProtocolError
from llmmw.wire import loads

__all__ = ["Content", "ContentDecoder"]

_HEX = "[0-9a-fA-F]"
_LOW = rf"\\u[dD][c-fC-F]{_HEX}{{2}}"
_INSIDE = re.compile(
    r'(?:[^"\\\x00-\x1f]+|\\["\\/bfnrt]'
    rf"|\\u(?![dD][89abAB]){_HEX}{{4}}"
    # The first half of a pair, once it is known what follows it.
    rf"|\\u[dD][89abAB]{_HEX}{{2}}(?:{_LOW}|(?=[^\\]|\\[^u]|(?!{_LOW})\\u{_HEX}{{4}})))*"
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BLANK = " \t\r\n"
_MOST_BESIDE = 65_536
"""Characters that may stand beside the content."""


class ContentDecoder:
    """Finds `content` in an object and gives its text in pieces, as bytes in UTF-8."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self._depth = 0
        self._state = "outside"
        self.ended = False
        """Whether the content was whole."""

    def feed(self, data: bytes) -> bytes:
        """The bytes of the content that are known with `data`.

        Raises:
            ProtocolError: if it is no object with a text as its content.
        """
        if self.ended:
            return b""
        self._held += self._decode(data)
        if self._state == "outside":
            self._find()
        return self._text() if self._state == "inside" else b""

    def _find(self) -> None:
        """Go to the beginning of the content: past whatever stands before it."""
        at, text = 0, self._held
        while at < len(text):
            sign = text[at]
            if sign == '"':
                found = _STRING.match(text, at)
                rest = text[found.end() :].lstrip(_BLANK) if found else ""
                if not found or not rest or (rest[0] == ":" and not rest[1:].strip(_BLANK)):
                    break  # its end, or whether it is a name, is not known yet
                if self._depth == 1 and rest[0] == ":" and loads(found.group()) == "content":
                    self._begin(rest[1:].lstrip(_BLANK))
                    return
                at = found.end()
                continue
            self._depth += (sign in "{[") - (sign in "}]")
            if (sign == "[" and self._depth == 1) or self._depth < 0:
                raise ProtocolError("the host sent no object where one belongs")
            at += 1
        self._held = text[at:]
        if len(self._held) > _MOST_BESIDE:
            raise ProtocolError("the host sent no content of the file")

    def _begin(self, rest: str) -> None:
        if rest[0] != '"':
            raise ProtocolError("the host sent a content that is no text")
        self._held, self._state = rest[1:], "inside"

    def _text(self) -> bytes:
        found = _INSIDE.match(self._held)
        assert found is not None
        end = found.end()
        is_end = self._held[end : end + 1] == '"'
        raw, self._held = self._held[:end], self._held[end:]
        if is_end:
            self.ended, self._held = True, ""
        elif len(self._held) > len(r"\ud83d\u") + 6:
            raise ProtocolError("the content of the file is no JSON")
        told = loads(f'"{raw}"')
        assert isinstance(told, str)
        return told.encode("utf-8", "surrogatepass")


class Content:
    """The content of a file as it comes; see `llmmw.plugin.Pieces`.

    Args:
        next_piece: gives the next bytes of the answer.
    """

    size: int | None = None

    def __init__(self, next_piece: Callable[[], Awaitable[bytes]]) -> None:
        self._next = next_piece
        self._decoder = ContentDecoder()

    async def next_piece(self) -> bytes:
        """The next bytes; empty at the end.

        Raises:
            ProtocolError: if the answer holds no content, or not all of it.
        """
        while piece := await self._next():
            told = self._decoder.feed(piece)
            if told:
                return told
        if not self._decoder.ended:
            raise ProtocolError("the host sent no whole content of the file")
        return b""
