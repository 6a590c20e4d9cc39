"""The one way to a host over HTTP: send a request; get status, headers, and bytes as they come.

httpx stands behind it and shows in no signature. What goes wrong on the line becomes one of our
errors; those of httpx are dropped with their frames, since these hold the headers and so the key.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import httpx

from llmmw._secret import Secret, guarded
from llmmw.errors import AuthenticationFailed, BadRequest, ConfigError, ConnectionFailed, LLMError
from llmmw.wire._asked import Account, Asked, Line, Sign
from llmmw.wire._body import Body, Sending, read_whole
from llmmw.wire._by_httpx import HttpxLine
from llmmw.wire._client import SCRUBBED
from llmmw.wire._direct import DirectLine, new_line
from llmmw.wire._errors import ErrorRow
from llmmw.wire._keys import Key
from llmmw.wire._reply import Reply, reason_of
from llmmw.wire._scrub import Scrubber
from llmmw.wire._tape import TAPE

__all__ = ["Http"]


def _fits(given: str | Secret) -> bool:
    """Whether a text can be the value of a header."""
    return all(" " <= sign <= "~" for sign in (given if isinstance(given, str) else given.reveal()))


def _line(client: object) -> Line | None:
    """The line of a client that somebody has given."""
    if client is None or isinstance(client, (DirectLine, HttpxLine)):
        return client
    if isinstance(client, httpx.AsyncClient):
        return HttpxLine(client, own=False)
    raise ConfigError(f"http: expected an httpx.AsyncClient, not a {type(client).__name__}")


def _refuses_key(reply: Reply) -> bool:
    """Whether another key may do. AWS has status 403 for what is old, and says so in a header."""
    word = reply.headers.get("x-amzn-errortype", "")
    return reply.status == 401 or (reply.status == 403 and word.startswith(_OLD))


_OLD = ("ExpiredToken", "UnrecognizedClient")
_TOO_LARGE = ErrorRow(BadRequest, status=413)
"""Of a file, which is no prompt."""
_OF_BODIES = {"content-type", "content-length"}
_ASTRAY = re.compile(r"/\.{0,2}/|/\.{1,2}$")


@attrs.define(eq=False, kw_only=True)
class Http:
    """A host, and the account that asks it.

    Args:
        base_url: what the paths of requests are appended to, before its query if it has one.
        key: the account's key.
        header: the header that carries the key, after the word `scheme`.
        headers: further headers of every request.
        rows: errors that this host tells in its own way; see `ErrorRow`.
        sign: for a host to which the key is not sent: gives the headers that prove it, made of
            the key and the request as it leaves (method, address, headers, and a body in memory).
            It must not raise, since its frames hold the key.
        client: an `httpx.AsyncClient` to use and leave open, instead of one of its own. Its
            timeouts do not count, nor does it follow redirects.
    """

    base_url: str = attrs.field()
    key: Key = attrs.field(factory=lambda: Key(needed=False))
    header: str = "Authorization"
    scheme: str = "Bearer "
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    rows: Sequence[ErrorRow] = attrs.field(default=(), repr=False)
    sign: Sign | None = attrs.field(default=None, repr=False)
    client: Any = attrs.field(default=None, repr=False, converter=_line)
    scrub: Scrubber = attrs.field(factory=Scrubber, init=False, repr=False)
    _own: Line | None = attrs.field(default=None, init=False, repr=False)
    _asking: Account | None = attrs.field(default=None, init=False, repr=False)
    _users: int = attrs.field(default=0, init=False, repr=False)

    @base_url.validator
    def _check_url(self, field: object, given: str) -> None:
        try:
            url = httpx.URL(given)
        except (httpx.InvalidURL, TypeError):
            url = httpx.URL()
        if url.userinfo:
            raise ConfigError("base_url holds a user and a password: give a key as api_key")
        if url.scheme not in {"http", "https"} or not url.host:
            shown = "" if "@" in str(given) else f"={given!r}"  # it may hold a password
            raise ConfigError(f"base_url{shown}: expected an address, as https://host/v1")

    def __attrs_post_init__(self) -> None:
        self.headers = guarded(self.headers)
        SCRUBBED.scrubbers.add(self.scrub)
        for name, given in self.headers.items():
            if not isinstance(name, str) or not isinstance(given, (str, Secret)):
                raise ConfigError(f"headers: the value of {name!r} is no text")
            if not _fits(given):
                raise ConfigError(f"headers: the value of {name!r} has signs that HTTP lacks")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connections are kept and used again as long as the block runs, or another such block."""
        if self.client is None:
            self.client = self._own = new_line()
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users and self._own is not None:
                own, self.client, self._own = self._own, None, None
                await own.aclose()

    async def warm(self) -> None:
        """Make a connection, if none is idle; nothing is sent.

        Raises:
            ConnectionFailed: if none can be made.
        """
        if self.client is not None:
            try:
                await self.client.warm(self.base_url)
                return
            except httpx.TransportError as error:
                failure = self._unreached(error)
            raise failure

    def post(
        self,
        path: str,
        body: bytes | Body,
        *,
        stream: bool = False,
        sent: Callable[[], None] | None = None,
        content_type: str = "application/json",
    ) -> AbstractAsyncContextManager[Reply]:
        """Send a request with a JSON body; the block has its answer, as it comes.

        Leaving the block, by cancellation too, closes the connection of an unread answer.

        Args:
            path: appended to `base_url`.
            body: the JSON; or a `Body`, which says itself what it is, and is sent piece by piece.
            stream: ask for the answer uncompressed, so that no piece of it is held back.
            sent: called when the key is there and the request leaves.
            content_type: of a body that is no JSON.

        Raises:
            LLMError: if the host is not reached, or answers with a status other than 2xx.
        """
        return self._exchange(Asked(path, body, stream, {}, content_type), sent)

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, stream: bool = False
    ) -> AbstractAsyncContextManager[Reply]:
        """As `post`, for what is only looked at; `query` joins that of the address."""
        return self._exchange(Asked(path, None, stream, query or {}))

    def delete(self, path: str) -> AbstractAsyncContextManager[Reply]:
        """As `get`, to have something deleted."""
        return self._exchange(Asked(path, None, stream=False, method="DELETE"))

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Body | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Reply]:
        """As `post`, by any method; `query` joins that of the address."""
        return self._exchange(Asked(path, body, False, query or {}, method=method))

    def _exchange(
        self, asked: Asked, sent: Callable[[], None] | None = None
    ) -> AbstractAsyncContextManager[Reply]:
        return _Exchange(self._begin, asked, sent)

    async def _begin(
        self, exchange: _Exchange, asked: Asked, sent: Callable[[], None] | None
    ) -> Reply:
        """The answer to a request, when its head has come with a status of success."""
        path = asked.path
        if ("/." in path or "//" in path) and _ASTRAY.search(path.partition("?")[0]):
            raise BadRequest(f"{path} leads elsewhere: no id is empty, '.' or '..'")
        secret = await self._secret()
        if isinstance(asked.body, Body) and TAPE.get() is not None:
            told, kind = await read_whole(asked.body), asked.body.content_type
            asked = attrs.evolve(asked, body=told, content_type=kind)
        if sent is not None:
            sent()
            sent = None  # it holds the attempt, which need not wait along
        reply = await self._send(asked, secret)
        if 200 <= reply.status < 300:
            exchange.reply = reply
            return reply
        try:
            fresh = None
            if secret is not None and _refuses_key(reply):
                fresh = await self.key.renewed(secret)
            if fresh is not None:
                await reply.drain()
                await reply.close()
                reply = await self._send(asked, fresh)
            if not 200 <= reply.status < 300:
                raise await reply.failed()
        except BaseException:
            await reply.close()
            raise
        exchange.reply = reply
        return reply

    async def _secret(self) -> Secret | None:
        tape = TAPE.get()
        try:
            return await self.key.get()
        except AuthenticationFailed:
            if tape is None or tape.needs_key:
                raise
            return None  # nothing leaves, so nothing need be signed

    def _send(self, asked: Asked, secret: Secret | None) -> Awaitable[Reply]:
        if self.client is None:
            raise ConfigError("the provider is not open: call it through a Client")
        if isinstance(asked.body, Body):
            return self._send_pieces(asked, asked.body, secret)
        return self._answer(asked, secret, None)

    async def _send_pieces(self, asked: Asked, body: Body, secret: Secret | None) -> Reply:
        with body.open() as pieces:
            sending = Sending(pieces)
            try:
                return await self._answer(asked, secret, sending)
            except Exception:
                if sending.error is None:
                    raise
                failure = sending.error
        raise failure.with_traceback(sending.frames)  # without those of httpx, as below

    async def _answer(self, asked: Asked, secret: Secret | None, body: Sending | None) -> Reply:
        failure: LLMError
        try:
            answer = await self.client.send(asked, self._account(secret), body)
            rows = self.rows if body is None else (_TOO_LARGE, *self.rows)
            return Reply(answer, rows, self.scrub)
        except httpx.TransportError as error:
            failure = self._unreached(error)
        except (httpx.InvalidURL, UnicodeError):
            failure = BadRequest(
                f"no request can be sent to {self.base_url!r}: it is too long, or has a name or "
                "signs that no address has",
                processed=False,
            )
        except BaseException as error:
            # Cancelled, or what nobody expects: the frames below hold the headers as well.
            error.__traceback__ = None
            if body is None or error is not body.error:
                error.__cause__ = error.__context__ = None
            raise
        # Raised out here: the frames of the line hold the headers.
        raise failure

    def _account(self, secret: Secret | None) -> Account:
        asking = self._asking
        if asking is None or asking.secret is not secret or asking.headers is not self.headers:
            asking = self._asking = Account(
                self.base_url, self.headers, self.header, self.scheme, self.sign, secret, self.scrub
            )
        for one in asking.secrets:  # each time, since the scrubber forgets what was added first
            self.scrub.add(one.reveal())
        return asking

    def _unreached(self, error: httpx.TransportError) -> LLMError:
        host = httpx.URL(self.base_url).netloc.decode("ascii", "replace")
        why = self.scrub(reason_of(error))
        if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
            return BadRequest(f"the request can't be sent to {host}: {why}", processed=False)
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
            return ConnectionFailed(f"{host} was not reached: {why}", processed=False)
        return ConnectionFailed(f"the line to {host} broke before an answer came: {why}")


class _Exchange(AbstractAsyncContextManager[Reply]):
    """A request, and its answer as long as that is read. No generator, since that of each call
    would cost more than all else that happens here."""

    __slots__ = ("_begin", "_given", "reply")

    def __init__(
        self,
        begin: Callable[..., Coroutine[Any, Any, Reply]],
        asked: Asked,
        sent: Callable[[], None] | None,
    ) -> None:
        self._begin, self._given = begin, (asked, sent)
        self.reply: Reply

    def __aenter__(self) -> Coroutine[Any, Any, Reply]:
        given = self._given
        del self._given  # a body need not be kept as long as its answer takes
        return self._begin(self, *given)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LLMError):
            error.request_id = error.request_id or self.reply.request_id
        await self.reply.close()
