"""The line straight to a host, by our own transport; what that has not goes to httpx."""

from __future__ import annotations

import functools
from collections.abc import Coroutine, Mapping
from importlib.metadata import version
from typing import Any

import attrs
import httpx

from llmmw._secret import Secret
from llmmw.wire._asked import CONNECT, Account, Asked, Line
from llmmw.wire._body import Sending
from llmmw.wire._by_httpx import HttpxLine
from llmmw.wire._client import new_client, tls
from llmmw.wire._http1 import (
    NOT_HERE,
    Origin,
    Pool,
    Request,
    Target,
    head_of,
    rows_of,
    target_in,
    target_of,
)
from llmmw.wire._proxies import Proxies
from llmmw.wire._tape import TAPE

__all__ = ["DirectLine", "new_line"]

_MANY = 256
"""Heads that are kept."""


def new_line() -> Line:
    """The line of a provider: straight, but where the environment names a proxy.

    Raises:
        ConfigError: if such a proxy can't be used.
    """
    if not Proxies.named():
        return DirectLine()
    other = HttpxLine(new_client())  # which has something against patterns that are none
    return DirectLine(Proxies(), other)


@attrs.frozen
class _Head:
    """The head of a request, but for what proves the account and how long the body is."""

    told: Mapping[str, str | Secret]
    """The headers of the account that it was made for."""
    verb: str
    target: Target
    rows: dict[str, str]
    text: bytes
    direct: bool


@attrs.define(eq=False)
class DirectLine:
    """Sends requests over connections of its own."""

    _proxies: Proxies | None = attrs.field(default=None, repr=False)
    _other: HttpxLine | None = attrs.field(default=None, repr=False)
    _pool: Pool = attrs.field(factory=lambda: Pool(tls=tls), init=False, repr=False)
    _heads: dict[tuple[object, ...], _Head] = attrs.field(factory=dict, init=False, repr=False)

    def send(
        self, asked: Asked, account: Account, body: Sending | None
    ) -> Coroutine[Any, Any, Any]:
        """The answer, when its head has come."""
        if TAPE.get() is None:
            outgoing = self._outgoing(asked, account, body)
            if outgoing is not None:
                return self._pool.send(*outgoing)
        if self._other is None:
            self._other = HttpxLine(new_client())
        return self._other.send(asked, account, body)

    async def warm(self, base_url: str) -> None:
        """Have an idle connection to a host, unless there is one, or one that is being made."""
        target = target_of(base_url)
        if TAPE.get() is None and self._is_direct(target):
            await self._pool.warm(target.origin, {"connect": CONNECT})

    async def aclose(self) -> None:
        """Close all connections."""
        self._pool.close()
        if self._other is not None:
            await self._other.aclose()

    def _is_direct(self, target: Target) -> bool:
        return self._proxies is None or not self._proxies.take(httpx.URL(target.url))

    def _outgoing(
        self, asked: Asked, account: Account, body: Sending | None
    ) -> tuple[Origin, Request] | None:
        """Made here, so that no frame that waits holds the headers. `None`: by httpx."""
        head = self._head(asked, account)
        if not head.direct:
            return None
        target, whole = head.target, asked.body if isinstance(asked.body, bytes) else b""
        size = asked.size
        last = {} if size is None else {"content-length": str(size)}
        seen = {**head.rows, **last} if account.sign is not None else head.rows
        hidden = account.hidden(head.verb, target.url, seen, whole)
        if head.rows.keys().isdisjoint(hidden):
            text = head.text + rows_of(_lines(last | hidden))
        else:
            rows = _lines(head.rows | last | hidden)
            text = head_of(head.verb, target.path, rows)
        sent = whole if body is None else body
        return target.origin, Request(text + b"\r\n\r\n", sent, size, asked.times)

    def _head(self, asked: Asked, account: Account) -> _Head:
        fixed = asked.fixed
        key = None if fixed is None else (account.base_url, *fixed)
        found = None if key is None else self._heads.get(key)
        if found is None or found.told != account.headers:
            found = self._new_head(asked, account)
            if len(self._heads) >= _MANY:
                self._heads.clear()
            if key is not None:
                self._heads[key] = found
        return found

    def _new_head(self, asked: Asked, account: Account) -> _Head:
        if asked.query:
            target = target_in(asked.url(account.base_url))
        else:
            target = target_of(asked.address(account.base_url))
        rows = {"host": target.host.decode("ascii"), "accept": "*/*", "user-agent": _us()}
        rows |= account.told(asked)
        verb = asked.verb
        text = head_of(verb, target.path, _lines(rows))
        direct = verb not in NOT_HERE and self._is_direct(target)
        return _Head(dict(account.headers), verb, target, rows, text, direct)


def _lines(rows: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(_named(name), value.encode()) for name, value in rows.items()]


@functools.cache
def _us() -> str:
    """Hosts behind a guard of the web's refuse who has no name."""
    return f"llmmw/{version('llmmw')}"


@functools.lru_cache(maxsize=256)
def _named(name: str) -> bytes:
    """A header's name as it is usually written; some hosts take no other."""
    return name.title().encode("ascii")
