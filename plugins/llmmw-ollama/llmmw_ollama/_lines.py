"""An answer as lines of JSON, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw.errors import ProtocolError, StreamInterrupted
from llmmw.wire import NDJSONDecoder, Reply, loads

__all__ = ["Lines", "object_in"]


def object_in(reply: Reply, data: bytes) -> Mapping[str, Any]:
    """The object that a body or a line is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told


class Lines:
    """Reads the lines of an answer.

    Args:
        reply: the answer.
        most_bytes: how long all may be together; `None`: as long as any answer.
    """

    def __init__(self, reply: Reply, most_bytes: int | None = None) -> None:
        self._reply = reply
        if most_bytes is not None:
            reply.most_bytes = most_bytes
        self._decoder = NDJSONDecoder(max_total=reply.most_bytes)
        self._ended = False
        self._broken: StreamInterrupted | None = None

    async def next(self) -> list[bytes]:
        """The next lines, as many as came at once; none at the end.

        Raises:
            LLMError: if the line breaks, or what comes is too long.
        """
        while not self._ended:
            try:
                piece = await self._reply.next_piece()
            except StreamInterrupted as error:
                self._broken, piece = error, b""
            self._ended = not piece
            found = self._decoder.feed(piece) if piece else self._decoder.end()
            if found:
                return found
        if self._broken is not None:
            raise self._broken
        return []
