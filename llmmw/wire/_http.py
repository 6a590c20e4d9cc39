"""The one way to a host over HTTP: send a request; get status, headers, and bytes as they come.

httpx stands behind it and shows in no signature. What goes wrong on the line becomes one of our
errors; those of httpx are dropped with their frames, since these hold the headers and so the key.
"""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio
import truststore

from llmmw._response import HttpInfo
from llmmw._secret import Secret
from llmmw.errors import (
    BadRequest,
    ConfigError,
    ConnectionFailed,
    LLMError,
    ProtocolError,
    StreamInterrupted,
)
from llmmw.wire._errors import _REQUEST_IDS as REQUEST_IDS
from llmmw.wire._errors import ErrorRow, error_of, in_band_error
from llmmw.wire._keys import Key
from llmmw.wire._limits import limits_of
from llmmw.wire._scrub import Scrubber
from llmmw.wire._sse import SSEDecoder, SSEEvent

__all__ = ["Http", "Reply"]

_CONNECT = 5.0
"""Seconds to connect, as in the vendors' own clients. All other limits are those of policies."""
_CLEAN_UP = 2.0
_DRAIN = 0.05
_MOST_BYTES = 64 * 2**20
_MOST_OF_AN_ERROR = 65_536
_SECRETS = ("authorization", "key", "token", "secret")


@functools.cache
def _tls() -> ssl.SSLContext:
    """One context for all hosts, which trusts what the system trusts."""
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Signed(httpx.Auth):
    """Puts the key into a request at the last moment, so that no frame of ours holds it."""

    def __init__(self, header: str, scheme: str, secret: Secret | None) -> None:
        self._header, self._scheme, self._secret = header, scheme, secret

    def auth_flow(self, request: httpx.Request) -> Any:
        if self._secret is not None:
            request.headers[self._header] = self._scheme + self._secret.reveal()
        yield request


@attrs.define(eq=False, kw_only=True)
class Http:
    """A host, and the account that asks it.

    Args:
        base_url: what the paths of requests are appended to.
        key: the account's key.
        header: the header that carries the key, after the word `scheme`.
        headers: further headers of every request.
        rows: errors that this host tells in its own way; see `ErrorRow`.
        client: an `httpx.AsyncClient` to use and leave open, instead of one of its own.
    """

    base_url: str = attrs.field()
    key: Key = attrs.field(factory=lambda: Key(needed=False))
    header: str = "Authorization"
    scheme: str = "Bearer "
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    rows: Sequence[ErrorRow] = attrs.field(default=(), repr=False)
    client: Any = attrs.field(default=None, repr=False)
    scrub: Scrubber = attrs.field(factory=Scrubber, init=False, repr=False)

    @base_url.validator
    def _check_url(self, field: object, given: str) -> None:
        try:
            url = httpx.URL(given)
        except (httpx.InvalidURL, TypeError):
            url = httpx.URL()
        if url.userinfo:
            raise ConfigError("base_url holds a user and a password: give a key as api_key")
        if url.scheme not in {"http", "https"} or not url.host:
            raise ConfigError(f"base_url={given!r}: expected an address, as https://host/v1")

    def __attrs_post_init__(self) -> None:
        for name, given in self.headers.items():
            if name.lower().endswith(_SECRETS):
                self.scrub.add(given)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connections are kept and used again as long as the block runs."""
        if self.client is not None:
            yield
            return
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        timeout = httpx.Timeout(None, connect=_CONNECT)
        async with httpx.AsyncClient(verify=_tls(), limits=limits, timeout=timeout) as client:
            self.client = client
            try:
                yield
            finally:
                self.client = None

    @asynccontextmanager
    async def post(
        self,
        path: str,
        body: bytes,
        *,
        stream: bool = False,
        sent: Callable[[], None] | None = None,
    ) -> AsyncIterator[Reply]:
        """Send a request with a JSON body; the block has its answer, as it comes.

        Leaving the block, by cancellation too, closes the connection of an unread answer.

        Args:
            path: appended to `base_url`.
            body: the JSON.
            stream: ask for the answer uncompressed, so that no piece of it is held back.
            sent: called when the key is there and the request leaves.

        Raises:
            LLMError: if the host is not reached, or answers with a status other than 2xx.
        """
        secret = await self._secret()
        if sent is not None:
            sent()
        reply = await self._send(path, body, stream, secret)
        try:
            if reply.status == 401 and secret is not None:
                fresh = await self.key.renewed(secret)
                if fresh is not None:
                    self.scrub.add(fresh.reveal())
                    await reply.close()
                    reply = await self._send(path, body, stream, fresh)
            if not 200 <= reply.status < 300:
                raise await reply.failed()
            yield reply
        finally:
            with trio.move_on_after(_CLEAN_UP, shield=True):
                await reply.close()

    async def _secret(self) -> Secret | None:
        secret = await self.key.get()
        if secret is not None:
            self.scrub.add(secret.reveal())
        return secret

    async def _send(self, path: str, body: bytes, stream: bool, secret: Secret | None) -> Reply:
        if self.client is None:
            raise ConfigError("the provider is not open: call it through a Client")
        headers = {"Content-Type": "application/json", **self.headers}
        if stream:
            headers["Accept-Encoding"] = "identity"
        url = self.base_url.rstrip("/") + path
        failure: LLMError
        try:
            request = self.client.build_request("POST", url, content=body, headers=headers)
            signed = _Signed(self.header, self.scheme, secret)
            answer = await self.client.send(request, stream=True, auth=signed)
            return Reply(self, answer)
        except httpx.TransportError as error:
            failure = self._unreached(error)
        except (httpx.InvalidURL, UnicodeEncodeError):
            failure = BadRequest(f"{url!r} or a header can't be sent: signs that HTTP lacks")
        # Raised out here: the frames of httpx hold the headers.
        raise failure

    def _unreached(self, error: httpx.TransportError) -> LLMError:
        host = httpx.URL(self.base_url).netloc.decode("ascii", "replace")
        why = self.scrub(_reason(error))
        if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
            return BadRequest(f"the request can't be sent to {host}: {why}", processed=False)
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
            return ConnectionFailed(f"{host} was not reached: {why}", processed=False)
        return ConnectionFailed(f"the line to {host} broke before an answer came: {why}")


class Reply:
    """An answer over HTTP, whose body is read once: by `read`, or piece by piece."""

    def __init__(self, http: Http, answer: Any) -> None:
        self._http = http
        self._answer = answer
        self._pieces: AsyncGenerator[bytes, None] = answer.aiter_bytes()
        self._size = 0
        self.status: int = answer.status_code
        """The HTTP status."""
        self.headers: Mapping[str, str] = answer.headers
        """The headers as they came; look-up does not mind upper and lower case."""

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def info(self) -> HttpInfo:
        """What a response carries of this answer: no cookies, and no trace of the key."""
        rows = [f"{k}: {v}" for k, v in self.headers.items() if k.lower() != "set-cookie"]
        clean = self._http.scrub("\n".join(rows)).split("\n")
        headers = dict(row.partition(": ")[::2] for row in clean)
        rate = limits_of(self.headers, now=time.time())
        return HttpInfo(status=self.status, headers=headers, rate=rate)

    async def next_piece(self) -> bytes:
        """The next piece of the body as it came; empty at its end.

        Raises:
            StreamInterrupted: if the line breaks before the end.
            ProtocolError: if the body is not encoded as it says, or larger than 64 MiB.
        """
        failure: LLMError
        try:
            async for piece in self._pieces:
                self._size += len(piece)
                if self._size > _MOST_BYTES:
                    raise ProtocolError(f"the answer is larger than {_MOST_BYTES} bytes")
                if piece:
                    return piece
            return b""
        except httpx.TransportError as error:
            failure = StreamInterrupted(f"the line broke: {self._http.scrub(_reason(error))}")
        except httpx.DecodingError:
            failure = ProtocolError("the answer is not compressed as its header says")
        raise failure

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            LLMError: as `next_piece`.
        """
        pieces = []
        while piece := await self.next_piece():
            pieces.append(piece)
        return b"".join(pieces)

    async def events(self) -> AsyncGenerator[SSEEvent, None]:
        """The body as server-sent events. Close it (`contextlib.aclosing`) if you leave early.

        Raises:
            LLMError: as `next_piece`; or what an event-less error text says at the end.
        """
        decoder = SSEDecoder()
        while piece := await self.next_piece():
            for event in decoder.feed(piece):
                yield event
        for event in decoder.end():
            yield event
        if decoder.stray:
            raise self.error(decoder.stray.encode())

    @property
    def request_id(self) -> str | None:
        """The host's id of the request, for its support."""
        told = next(filter(None, map(self.headers.get, REQUEST_IDS)), None)
        return None if told is None else self._http.scrub(told)

    def error(self, body: object) -> LLMError:
        """The error that a body tells: bytes, or JSON that was read already."""
        status = self.status if self.status >= 300 else None
        return error_of(status, self.headers, body, **self._facts)

    def error_in(self, told: object) -> LLMError | None:
        """The error inside an answer that has a status of success, if there is one."""
        return in_band_error(told, headers=self.headers, **self._facts)

    @property
    def _facts(self) -> dict[str, Any]:
        http = self._http
        return {"rows": http.rows, "now": time.time(), "scrub": http.scrub}

    async def failed(self) -> LLMError:
        """The error of an answer whose status is none of success."""
        body = b""
        with trio.move_on_after(_CLEAN_UP):
            try:
                while len(body) < _MOST_OF_AN_ERROR and (piece := await self.next_piece()):
                    body += piece
            except LLMError:  # the status says enough
                pass
        return self.error(body[:_MOST_OF_AN_ERROR])

    async def drain(self) -> None:
        """Read what little may follow the end of a stream, so that its connection is used again."""
        with trio.move_on_after(_DRAIN):
            while await self.next_piece():
                pass

    async def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        await self._pieces.aclose()
        await self._answer.aclose()


def _reason(error: BaseException) -> str:
    """What the system said, below the layers that say it less well."""
    told = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            told = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return told or type(error).__name__
