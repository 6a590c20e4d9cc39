"""The line by way of httpx: for a client of the user's own, for proxies, and for tapes."""

from __future__ import annotations

import functools
from typing import Any

import attrs
import httpx

from llmmw.wire._asked import Account, Asked
from llmmw.wire._body import Sending, Whole
from llmmw.wire._tape import TAPE

__all__ = ["HttpxLine"]


class _Signed(httpx.Auth):
    """Puts the key into a request at the last moment, so that no frame of ours holds it."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def auth_flow(self, request: httpx.Request) -> Any:
        seen = (request.method, str(request.url), request.headers)
        body = request.content if isinstance(request.stream, Whole) else b""
        request.headers.update(self._account.hidden(*seen, body))
        yield request


@attrs.frozen
class HttpxLine:
    """Sends requests by a client of httpx.

    Args:
        client: its timeouts do not count, nor does it follow redirects.
        own: whether it is closed with the line.
    """

    client: httpx.AsyncClient = attrs.field(repr=False)
    own: bool = True

    async def send(self, asked: Asked, account: Account, body: Sending | None) -> Any:
        """The answer, when its head has come; or that of the tape in force."""
        request = self._request(asked, account, body)
        send = functools.partial(
            self.client.send,
            request,
            stream=True,
            auth=_Signed(account),
            follow_redirects=False,
        )
        tape = TAPE.get()
        return await (send() if tape is None else tape.send(request, send, account.scrub))

    def _request(self, asked: Asked, account: Account, body: Sending | None) -> httpx.Request:
        """Made here, so that no frame that an error passes holds the headers."""
        length = {} if body is None else {"content-length": str(asked.size)}
        whole = asked.body if isinstance(asked.body, bytes) else None
        request = self.client.build_request(
            asked.verb,
            asked.url(account.base_url),
            content=whole if body is None else body,
            headers=account.told(asked) | length,
            timeout=httpx.Timeout(**asked.times),
        )
        # In place of the generators of httpx, which are left unfinished when it is cancelled.
        if body is not None:
            request.stream = body
        elif whole is not None:
            request.stream = Whole(whole)
        return request

    async def warm(self, base_url: str) -> None:
        """Nothing: httpx makes connections only as they are needed."""

    async def aclose(self) -> None:
        """Close the client, if it is ours."""
        if self.own:
            await self.client.aclose()
