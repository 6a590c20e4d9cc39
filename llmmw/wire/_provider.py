"""The base of providers that ask one host over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs

from llmmw._provider import Provider
from llmmw._tasks import Host
from llmmw.wire._http import Http
from llmmw.wire._keys import Key

__all__ = ["HttpProvider"]


@attrs.define(eq=False)
class HttpProvider(Provider):
    """Base of providers whose lifetime is that of their connections to a host.

    A subclass makes `_http` of its options in `__attrs_post_init__`. It must have
    `call.attempt.mark_sent(call.ledger)` called when the first request for a call leaves (see
    `sent` of `Http.post`): before that, no limit of time on an attempt runs.
    """

    marks_sent: ClassVar[bool] = True
    _http: Http = attrs.field(init=False, repr=False)

    @property
    def key(self) -> Key:
        """Where the key comes from; `llmmw check` tells it."""
        return self._http.key

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Keeps the connections until the client closes."""
        async with self._http.open():
            yield

    async def warm(self) -> None:
        """Makes a connection, if none is idle."""
        await self._http.warm()
