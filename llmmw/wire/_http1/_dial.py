"""Making a connection: names, addresses, TLS."""

from __future__ import annotations

import functools
import select
import ssl
from collections.abc import Callable

import attrs
import httpx
import trio

__all__ = ["Origin", "Target", "dial", "is_readable", "target_of"]


@attrs.frozen
class Origin:
    """Where connections lead."""

    secure: bool
    host: str
    port: int


@attrs.frozen
class Target:
    """An address, as a request needs it."""

    origin: Origin
    path: bytes
    host: bytes
    """What goes as `Host`."""
    url: str
    """The whole."""


@functools.lru_cache(maxsize=1024)
def target_of(url: str) -> Target:
    """A URL, normalised as httpx does it.

    Raises:
        httpx.InvalidURL: if it is none.
    """
    return target_in(httpx.URL(url))


def target_in(url: httpx.URL) -> Target:
    """A URL of httpx."""
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    return Target(Origin(secure, url.raw_host.decode(), port), url.raw_path, url.netloc, str(url))


async def dial(origin: Origin, tls: Callable[[], ssl.SSLContext]) -> trio.abc.Stream:
    """A connection; addresses are tried as RFC 8305 has it.

    Raises:
        httpx.ConnectError: if there is none.
    """
    host = origin.host.strip("[]")
    failure: httpx.ConnectError
    try:
        plain = await trio.open_tcp_stream(host, origin.port)
    except (OSError, ValueError) as error:
        failure = httpx.ConnectError(str(error))
        failure.__cause__ = error
        raise failure from error
    if not origin.secure:
        return plain
    secured = trio.SSLStream(plain, tls(), server_hostname=host, https_compatible=True)
    try:
        await secured.do_handshake()
    except (trio.BrokenResourceError, ssl.SSLError) as error:
        await trio.aclose_forcefully(plain)
        raise httpx.ConnectError(str(error.__cause__ or error)) from error
    except BaseException:
        await trio.aclose_forcefully(plain)
        raise
    return secured


def socket_of(stream: trio.abc.Stream) -> trio.SocketStream:
    """What lies below TLS."""
    found = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    assert isinstance(found, trio.SocketStream)
    return found


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
