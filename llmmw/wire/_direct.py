"""The line straight to a host, by our own transport; what that has not goes to httpx."""

from __future__ import annotations

import functools
import urllib.request
from importlib.metadata import version
from typing import Any

import attrs

from llmmw.wire._asked import Account, Asked, Line
from llmmw.wire._body import Sending
from llmmw.wire._by_httpx import HttpxLine
from llmmw.wire._client import new_client, tls
from llmmw.wire._http1 import Origin, Pool, Request, head_of, target_in, target_of
from llmmw.wire._tape import TAPE

__all__ = ["DirectLine", "new_line"]


def new_line() -> Line:
    """The line of a provider: straight, unless the environment names a proxy.

    Raises:
        ConfigError: if such a proxy can't be used.
    """
    proxies = urllib.request.getproxies()
    return HttpxLine(new_client()) if {"http", "https", "all"} & proxies.keys() else DirectLine()


@attrs.define(eq=False)
class DirectLine:
    """Sends requests over connections of its own."""

    _pool: Pool = attrs.field(factory=lambda: Pool(tls=tls), init=False, repr=False)
    _other: HttpxLine | None = attrs.field(default=None, init=False, repr=False)

    async def send(self, asked: Asked, account: Account, body: Sending | None) -> Any:
        """The answer, when its head has come."""
        if TAPE.get() is not None:
            if self._other is None:
                self._other = HttpxLine(new_client())
            return await self._other.send(asked, account, body)
        return await self._pool.send(*_outgoing(asked, account, body))

    async def aclose(self) -> None:
        """Close all connections."""
        self._pool.close()
        if self._other is not None:
            await self._other.aclose()


def _outgoing(asked: Asked, account: Account, body: Sending | None) -> tuple[Origin, Request]:
    """Made here, so that no frame that waits holds the headers."""
    if asked.query:
        target = target_in(asked.url(account.base_url))
    else:
        target = target_of(asked.address(account.base_url))
    whole = asked.body if isinstance(asked.body, bytes) else b""
    rows = {"host": target.host.decode("ascii"), "accept": "*/*", "user-agent": _us()}
    rows |= account.told(asked)
    if asked.size is not None:
        rows["content-length"] = str(asked.size)
    rows |= account.hidden(asked.verb, target.url, rows, whole)
    head = head_of(asked.verb, target.path, [(_named(n), v.encode()) for n, v in rows.items()])
    return target.origin, Request(head, whole if body is None else body, asked.size, asked.times)


@functools.cache
def _us() -> str:
    """Hosts behind a guard of the web's refuse who has no name."""
    return f"llmmw/{version('llmmw')}"


@functools.lru_cache(maxsize=256)
def _named(name: str) -> bytes:
    """A header's name as it is usually written; some hosts take no other."""
    return name.title().encode("ascii")
