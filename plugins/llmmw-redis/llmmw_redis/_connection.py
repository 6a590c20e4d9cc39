"""One connection to a Redis: commands go out together, their replies come back in their order.

Whoever leaves while a reply is due closes the connection, so that no reply is taken for another's.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
import hiredis
import trio
import truststore

from llmmw.plugin import StoreError
from llmmw_redis._address import Address

__all__ = ["Command", "Connection", "connect"]

Command: TypeAlias = tuple[str | bytes | int | float, ...]

_PIECE = 2**16


@attrs.define(eq=False)
class Connection:
    """An open connection. It is not used by two at once."""

    stream: trio.abc.Stream
    socket: trio.socket.SocketType
    most_bytes: int
    """How much may come as one reply, about."""
    _reader: Any = attrs.field(factory=hiredis.Reader, init=False)

    def is_over(self) -> bool:
        """Whether the other side has closed it, or has said what nobody asked."""
        return self.socket.is_readable()

    def close(self) -> None:
        """Close it, at once."""
        self.socket.close()

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to these commands; `hiredis.ReplyError` among them is one, too.

        Raises:
            StoreError: if the server hangs up, or says too much.
            OSError: for a connection that is lost, and `trio.BrokenResourceError`.
            hiredis.ProtocolError: if it is no Redis.
        """
        packed: Any = hiredis.pack_command  # its types know commands of one word only
        await self.stream.send_all(b"".join([packed(one) for one in commands]))
        replies: list[Any] = []
        most = self.most_bytes
        while True:
            reply = self._reader.gets()
            if reply is not False:
                replies.append(reply)
                if len(replies) == len(commands):
                    return replies
                most = self.most_bytes
                continue
            piece = await self.stream.receive_some(_PIECE)
            most -= len(piece)
            if not piece or most < 0:
                raise StoreError("its reply is too long" if piece else "it has hung up")
            self._reader.feed(piece)


async def connect(address: Address, most_bytes: int, context: ssl.SSLContext | None) -> Connection:
    """Open a connection. Nobody is greeted yet.

    Raises:
        OSError: if there is no way, and `trio.BrokenResourceError`.
    """
    plain: trio.SocketStream
    if address.path:
        plain = await trio.open_unix_socket(address.path)
    else:
        plain = await trio.open_tcp_stream(address.host, address.port)
    if not address.tls:
        return Connection(plain, plain.socket, most_bytes)
    try:
        context = context or truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        secured = trio.SSLStream(plain, context, server_hostname=address.host)
        await secured.do_handshake()
    except BaseException:
        plain.socket.close()
        raise
    return Connection(secured, plain.socket, most_bytes)
