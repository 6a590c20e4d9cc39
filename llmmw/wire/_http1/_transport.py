"""The pool as a transport of httpx."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import attrs
import httpx

from llmmw.wire._http1._connection import Answer
from llmmw.wire._http1._pool import Pool
from llmmw.wire._http1._request import NOT_HERE, Request, head_of, target_in

__all__ = ["Http1Transport"]


class Http1Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over trio's sockets, for `httpx.AsyncClient(transport=…)` under trio.

    Many times as fast as httpx's own. It has no proxies, no HTTP/2, and no `HEAD` or `CONNECT`:
    those are for httpx's own. Of the extensions of a request it knows `timeout`, `sni_hostname` and
    `target`; `trace` is never called.

    Args:
        verify: the context of secure connections, with your certificate if a host wants one;
            default: it trusts what `SSL_CERT_FILE` or `SSL_CERT_DIR` names, else what the system
            trusts.
        pool: further options are those of a pool: `most`, how many connections may be open in all,
            and `most_per_host`, without which there is no limit; `keep`, how many idle ones are
            kept (1024), for `idle` seconds (30).
    """

    def __init__(self, *, verify: ssl.SSLContext | None = None, **pool: Any) -> None:
        from llmmw.wire._client import tls

        self._pool = Pool(tls=tls if verify is None else lambda: verify, **pool)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, within the limits of time that it carries.

        Raises:
            httpx.TransportError: as httpx's own transport.
        """
        if request.method in NOT_HERE:
            raise httpx.UnsupportedProtocol(f"this transport has no {request.method}")
        target, asked = target_in(request.url), request.extensions
        path = asked.get("target", target.path)
        head = head_of(request.method, path, request.headers.raw) + b"\r\n\r\n"
        origin = target.origin
        if asked.get("sni_hostname"):
            origin = attrs.evolve(origin, name=str(asked["sni_hostname"]))
        outgoing = await _outgoing(request, head)
        answer: Answer | None = None
        try:
            answer = await self._pool.send(origin, outgoing)
        finally:
            await _end(outgoing.body, answer)
        extensions = {"http_version": b"HTTP/" + answer.version.encode()}
        extensions["reason_phrase"] = answer.reason
        return httpx.Response(
            answer.status_code,
            headers=answer.raw_headers,
            stream=_Stream(answer),
            extensions=extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        self._pool.close()


async def _end(body: object, answer: Answer | None) -> None:
    """Close a body that is a generator, which may not be at its end."""
    try:
        if hasattr(body, "aclose"):
            await body.aclose()
    except BaseException:
        if answer is not None:
            await answer.aclose()
        raise


class _Stream(httpx.AsyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._answer

    async def aclose(self) -> None:
        await self._answer.aclose()


async def _outgoing(request: httpx.Request, head: bytes) -> Request:
    """A request with its body, which has to be as its headers say."""
    coding = request.headers.get("transfer-encoding", "").lower()
    length = request.headers.get("content-length", "" if coding else "0")
    if coding not in {"", "chunked"} or bool(coding) == length.isdecimal():
        raise httpx.LocalProtocolError("the headers do not say how long the body is")
    size = None if coding else int(length)
    stream = request.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    if size is None or not isinstance(stream, httpx.ByteStream):
        body: bytes | AsyncIterator[bytes] = aiter(stream)
    else:
        body = await request.aread()
        if len(body) != size:
            raise httpx.LocalProtocolError("the body is not as long as its header says")
    last = "close" in request.headers.get("connection", "").lower()
    return Request(head, body, size, request.extensions.get("timeout", {}), last)
