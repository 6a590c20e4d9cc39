"""A connected socket, without the layers of trio's streams: what can be done at once waits for
nothing, and who waits holds no buffer."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import TypeAlias

import trio

from llmmw.wire._http1._limits import READ

__all__ = ["Left", "Line"]

Left: TypeAlias = bytes | memoryview
"""What is still to be sent."""


class Line:
    """Bytes to a host and from it.

    Args:
        stream: what was connected; it is taken over.
    """

    __slots__ = ("_socket", "_something_is_there")

    def __init__(self, stream: trio.SocketStream) -> None:
        told = stream.socket  # all is said, since one that was reset can't be asked everywhere
        self._socket = socket.socket(told.family, told.type, told.proto, told.detach())
        self._socket.setblocking(False)
        self._something_is_there = _looker(self._socket.fileno())

    def is_quiet(self) -> bool:
        """Whether nothing has come, not even the end; asks without waiting."""
        return self._socket.fileno() >= 0 and not self._something_is_there()

    def begin(self, data: bytes) -> Left:
        """Send as much as can be sent at once.

        Returns:
            What is left, to be sent by `finish`.

        Raises:
            OSError: if the line is broken, or closed, and nothing has left.
        """
        try:
            count = self._socket.send(data)
        except BlockingIOError:
            count = 0
        return b"" if count == len(data) else memoryview(data)[count:]

    async def finish(self, left: Left) -> None:
        """Send what is left.

        Raises:
            OSError: if the line is broken, or closed.
            trio.ClosedResourceError: if it was closed meanwhile.
        """
        while left:
            await trio.lowlevel.wait_writable(self._waited())
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                pass

    async def receive(self, *, soon: bool = False) -> bytes:
        """What comes next; empty at the end. Raises as `finish`.

        Args:
            soon: it may be there once others have had their turn, so look then; to wait for a
                socket costs twice as much. Else nothing is there before it is waited for.
        """
        if soon:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_readable(self._waited())
        while True:
            try:
                return self._socket.recv(READ)
            except BlockingIOError:
                pass  # out here, so that the error does not wait along
            await trio.lowlevel.wait_readable(self._waited())

    def _waited(self) -> socket.socket:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError("the connection was closed")
        return self._socket

    def close(self) -> None:
        """Close it at once. Who waits for it gets `trio.ClosedResourceError`."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


if hasattr(select, "poll"):

    def _looker(number: int) -> Callable[[], object]:
        """Tells whether something has come to a socket, or its other side has closed."""
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return lambda: poll.poll(0)

else:  # Windows

    def _looker(number: int) -> Callable[[], object]:
        """Tells whether something has come to a socket, or its other side has closed."""
        return lambda: select.select([number], [], [], 0)[0]
