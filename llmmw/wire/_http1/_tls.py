"""TLS over a line."""

from __future__ import annotations

import ssl

import trio

from llmmw.wire._http1._limits import READ
from llmmw.wire._http1._line import Left, Line

__all__ = ["Secured"]

_RECORD = 16 * 1024
"""The most that TLS gives at once."""


class Secured(Line):
    """A line under TLS. As for browsers, the end of the line is an end even where TLS was not told
    so: HTTP knows itself what is missing.

    Args:
        stream: what was connected; it is taken over.
        context: what is trusted.
        host: whose certificate is expected.
    """

    __slots__ = ("_come", "_leaving", "_over", "_tls")

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, host: str) -> None:
        self._come, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._come, self._leaving, server_hostname=host)
        self._over: str | None = None
        """TLS is over, whether the line is or not: why, or nothing if the host has ended it."""
        super().__init__(stream)

    async def shake_hands(self) -> None:
        """Begin. Raises as `finish`; `ssl.SSLError` is an `OSError`."""
        done = False
        while not done:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            finally:  # the host is told of what is wrong, too
                left = super().begin(self._leaving.read())
            await self.finish(left)
            if not done:
                await self._take()

    def is_quiet(self) -> bool:
        """Whether nothing has come but notes of TLS itself, as tickets are; these are read. The end
        of an answer and what stands behind it come off the line together."""
        if self._over is not None:
            return False
        try:
            if not super().is_quiet():
                come = self._socket.recv(READ)
                if not come:
                    return False
                self._come.write(come)
            if self._come.pending or self._tls.pending():
                self._tls.read(1)
                return False
        except ssl.SSLWantReadError:
            pass
        except OSError:  # of the line, or of TLS
            return False
        return True

    def begin(self, data: bytes) -> Left:
        """As for any line."""
        done = self._tls.write(data)
        while done < len(data):
            done += self._tls.write(memoryview(data)[done:])
        return super().begin(self._leaving.read())

    async def receive(self, *, soon: bool = False) -> bytes:
        """As for any line: all that has come, before what was wrong with the rest."""
        while True:
            pieces = self._read()
            if pieces:
                return b"".join(pieces) if len(pieces) > 1 else pieces[0]
            if self._over:
                raise OSError(self._over)
            if self._leaving.pending:  # TLS answers by itself
                await self.finish(super().begin(self._leaving.read()))
            if self._over is not None or not await self._take(soon=soon):
                return b""
            soon = False

    def _read(self) -> list[bytes]:
        """What is there, until TLS is over."""
        pieces: list[bytes] = []
        try:
            while self._over is None and (self._come.pending or self._tls.pending()):
                piece = self._tls.read(_RECORD)
                if piece:
                    pieces.append(piece)
                else:
                    self._over = ""
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._over = str(error) or "TLS is broken"
        return pieces

    async def _take(self, *, soon: bool = False) -> bool:
        """Whether anything came before the end."""
        come = await super().receive(soon=soon)
        if come:
            self._come.write(come)
        else:
            self._come.write_eof()
        return bool(come)
