"""Making a connection: names, addresses, TLS."""

from __future__ import annotations

import select
import ssl
from collections.abc import Callable

import httpx
import trio

from llmmw.wire._http1._request import Origin
from llmmw.wire._http1._tls import Secured

__all__ = ["dial", "is_readable"]


async def dial(
    origin: Origin, tls: Callable[[], ssl.SSLContext]
) -> tuple[trio.SocketStream, Secured | None]:
    """A connection, and its TLS if it has any; addresses are tried as RFC 8305 has it.

    Raises:
        httpx.ConnectError: if there is none.
    """
    host = origin.host.strip("[]")
    try:
        plain = await trio.open_tcp_stream(host, origin.port)
    except (OSError, ValueError) as error:
        raise httpx.ConnectError(str(error)) from error
    if not origin.secure:
        return plain, None
    try:
        secured = Secured(plain, tls(), host)
        await secured.stream.do_handshake()
    except (trio.BrokenResourceError, ssl.SSLError, ValueError) as error:
        plain.socket.close()
        raise httpx.ConnectError(str(error.__cause__ or error)) from error
    except BaseException:
        plain.socket.close()
        raise
    return plain, secured


if hasattr(select, "poll"):

    def is_readable(number: int) -> bool:
        """Whether something has come, or the other side has closed; asks without waiting."""
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))

else:  # Windows

    def is_readable(number: int) -> bool:
        """Whether something has come, or the other side has closed; asks without waiting."""
        return bool(select.select([number], [], [], 0)[0])
