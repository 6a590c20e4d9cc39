"""A request as it leaves: its bytes, and where to."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Sequence

import attrs
import httpx

from llmmw.wire._http1._limits import Times

__all__ = ["Origin", "Request", "Target", "head_of", "target_in", "target_of"]


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
        httpx.UnsupportedProtocol: if it is of no kind that is spoken here.
    """
    return target_in(httpx.URL(url))


def target_in(url: httpx.URL) -> Target:
    """A URL of httpx.

    Raises:
        httpx.UnsupportedProtocol: as `target_of`.
    """
    if url.scheme not in {"http", "https"}:
        raise httpx.UnsupportedProtocol(f"expected an address with http or https: {url}")
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    return Target(Origin(secure, url.raw_host.decode(), port), url.raw_path, url.netloc, str(url))


@attrs.frozen(eq=False)
class Request:
    """What is sent.

    Args:
        head: request line and headers.
        body: whole, or in pieces.
        size: of a body in pieces, as the head says it; `None`: it is sent chunked.
        times: what each step may take.
        last: nothing else may be asked on its connection.
    """

    head: bytes = attrs.field(repr=False)
    body: bytes | AsyncIterator[bytes] = attrs.field(repr=False)
    size: int | None = None
    times: Times = attrs.field(factory=dict)
    last: bool = False


_HEADERS = re.compile(rb"(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\0]*)*")


def _fits(first: bytes, rows: bytes, count: int) -> bool:
    """Whether a reader finds so many headers, and a line with three words before them."""
    if len(first.split()) != 3 or not first.isascii():
        return False
    return rows.count(b"\n") == count and _HEADERS.fullmatch(rows) is not None


def head_of(method: str, path: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The head of a request.

    Raises:
        httpx.LocalProtocolError: if something in it could be read as something else.
    """
    first = b"%b %b HTTP/1.1" % (method.encode(), path)
    rows = b"".join([b"\r\n%b: %b" % one for one in headers])
    if not _fits(first, rows, len(headers)):
        raise httpx.LocalProtocolError("a header has signs that HTTP lacks")
    return first + rows + b"\r\n\r\n"
