"""A request as it leaves: its bytes, and where to."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Sequence

import attrs
import httpx

from llmmw.wire._http1._limits import Times

__all__ = [
    "NOT_HERE",
    "Origin",
    "Request",
    "Target",
    "head_of",
    "rows_of",
    "target_in",
    "target_of",
]

NOT_HERE = frozenset({"HEAD", "CONNECT"})
"""Methods whose answers are framed in another way; they are for httpx."""


@attrs.frozen(cache_hash=True)
class Origin:
    """Where connections lead."""

    secure: bool
    host: str
    port: int
    name: str = ""
    """Whose certificate is asked for and expected, if not the host's."""


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
    port = (443 if secure else 80) if url.port is None else url.port
    return Target(Origin(secure, url.raw_host.decode(), port), url.raw_path, url.netloc, str(url))


@attrs.define(eq=False)  # not frozen, which takes five times as long to make
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


def rows_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Headers as they stand behind something.

    Raises:
        httpx.LocalProtocolError: if something in them could be read as something else.
    """
    rows = b"".join([b"\r\n%b: %b" % one for one in headers])
    if rows.count(b"\n") != len(headers) or _HEADERS.fullmatch(rows) is None:
        raise httpx.LocalProtocolError("a header has signs that HTTP lacks")
    return rows


def head_of(method: str, path: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The head of a request, but for the empty line at its end.

    Raises:
        httpx.LocalProtocolError: as `rows_of`.
    """
    first = b"%b %b HTTP/1.1" % (method.encode(), path)
    if len(first.split()) != 3 or not first.isascii():
        raise httpx.LocalProtocolError("a header has signs that HTTP lacks")
    return first + rows_of(headers)
