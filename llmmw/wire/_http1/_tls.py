"""TLS, and whether a connection under it is quiet."""

from __future__ import annotations

import socket
import ssl
from typing import Any, cast

import trio

__all__ = ["Secured"]


class Secured:
    """TLS over a stream. It looks through what has come before anybody reads it: the end of an
    answer and what stands behind it come off the line together.

    Args:
        plain: the stream.
        context: what is trusted.
        host: whose certificate is expected.
    """

    def __init__(self, plain: trio.SocketStream, context: ssl.SSLContext, host: str) -> None:
        self._context = context
        # All that trio asks of a context is `wrap_bio`.
        self.stream = trio.SSLStream(
            plain, cast("Any", self), server_hostname=host, https_compatible=True
        )

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **options: Any
    ) -> ssl.SSLObject:
        """As a context has it."""
        self._incoming = incoming
        self._object = self._context.wrap_bio(incoming, outgoing, **options)
        return self._object

    def is_quiet(self, number: int, *, readable: bool) -> bool:
        """Whether nothing has come but notes of TLS itself, as tickets are; these are read.

        Args:
            number: the socket's.
            readable: whether it holds anything.
        """
        if readable:
            come = _taken(number)
            if not come:
                return False
            self._incoming.write(come)
        if not self._incoming.pending and not self._object.pending():
            return True
        try:
            self._object.read(1)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            pass
        return False


def _taken(number: int) -> bytes:
    """What a readable socket holds; nothing at its end."""
    line = socket.socket(fileno=number)
    try:
        return line.recv(65_536)
    except OSError:
        return b""
    finally:
        line.detach()
