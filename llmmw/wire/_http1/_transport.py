"""The pool as a transport of httpx."""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import trio

from llmmw.wire._http1._connection import Answer
from llmmw.wire._http1._dial import target_in
from llmmw.wire._http1._pool import Pool

__all__ = ["Http1Transport", "head_of"]


class Http1Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over trio's streams, for `httpx.AsyncClient(transport=…)` under trio.

    Many times as fast as httpx's own. It has no proxies, no HTTP/2, and no `HEAD` or `CONNECT`:
    those are for httpx's own.

    Args:
        tls: gives the context of secure connections; default: one that trusts what the system
            trusts.
        pool: further options are those of a pool: `most`, `most_per_host`, `keep`, `idle`.
    """

    def __init__(self, *, tls: Callable[[], ssl.SSLContext] | None = None, **pool: Any) -> None:
        from llmmw.wire._client import tls as system

        # httpx has limits of its own for connecting, which stand around each request.
        self._pool = Pool(tls=tls or system, connect=None, **pool)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, within the limits of time that it carries.

        Raises:
            httpx.TransportError: as httpx's own transport.
        """
        if request.method in {"HEAD", "CONNECT"}:
            raise httpx.UnsupportedProtocol(f"this transport has no {request.method}")
        limits: Mapping[str, float | None] = request.extensions.get("timeout", {})
        target = target_in(request.url)
        head = head_of(request.method, target.path, request.headers.raw)
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        body = await request.aread() if isinstance(stream, httpx.ByteStream) else aiter(stream)
        with _within(limits.get("read"), httpx.ReadTimeout):
            answer = await self._pool.send(target.origin, head, body)
        extensions = {"http_version": b"HTTP/" + answer.version.encode()}
        extensions["reason_phrase"] = answer.reason
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.raw,
            stream=_Stream(answer, limits.get("read")),
            extensions=extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Stream(httpx.AsyncByteStream, AsyncIterator[bytes]):
    def __init__(self, answer: Answer, limit: float | None) -> None:
        self._answer, self._limit = answer, limit

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with _within(self._limit, httpx.ReadTimeout):
            return await anext(self._answer)
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _within(seconds: float | None, error: type[httpx.TimeoutException]) -> Iterator[None]:
    with trio.move_on_after(math.inf if seconds is None else seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error(f"nothing came within {seconds:g} s")


def head_of(method: str, path: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a request.

    Raises:
        httpx.LocalProtocolError: if something in it would end a line.
    """
    lines = [b"%b %b HTTP/1.1" % (method.encode(), path)]
    lines += [b"%b: %b" % one for one in headers]
    for line in lines:
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise httpx.LocalProtocolError("a header has signs that HTTP lacks")
    return b"\r\n".join(lines) + b"\r\n\r\n"
