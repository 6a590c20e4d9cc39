"""Making a connection: names, addresses, TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import httpx
import trio

from llmmw.wire._http1._line import Line
from llmmw.wire._http1._request import Origin
from llmmw.wire._http1._tls import Secured

__all__ = ["dial"]


async def dial(origin: Origin, tls: Callable[[], ssl.SSLContext]) -> Line:
    """A line, under TLS if that is asked for; addresses are tried as RFC 8305 has it.

    Raises:
        httpx.ConnectError: if there is none.
    """
    host = origin.host.strip("[]")
    try:
        stream = await trio.open_tcp_stream(host, origin.port)
    except (OSError, ValueError) as error:
        raise httpx.ConnectError(str(error)) from error
    try:
        if not origin.secure:
            return Line(stream)
        secured = Secured(stream, tls(), origin.name or host)
    except ValueError as error:  # a name that no certificate has
        stream.socket.close()
        raise httpx.ConnectError(str(error)) from error
    except BaseException:
        stream.socket.close()
        raise
    try:
        await secured.shake_hands()
    except (OSError, trio.ClosedResourceError) as error:
        secured.close()
        raise httpx.ConnectError(str(error)) from error
    except BaseException:
        secured.close()
        raise
    return secured
