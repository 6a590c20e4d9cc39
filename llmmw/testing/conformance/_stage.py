"""A server that plays a host, and the clients that ask it: kept from one case to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs

from llmmw._plugins import Plugins
from llmmw._session import Client
from llmmw.testing._server import Answer, Received, Server, open_server
from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._targets import Target
from llmmw.wire import Http

__all__ = ["Stage", "open_stage"]

_FEW = 64
"""So many pieces are sent one by one; more go on the line at once, each a chunk of HTTP still."""


@attrs.define(eq=False)
class Stage:
    """Plays answers to clients."""

    server: Server
    plugins: Plugins
    coming: list[Answer]
    _stack: AsyncExitStack
    _clients: dict[str, Client] = attrs.field(factory=dict)
    _http: Http | None = None

    async def client(self, target: Target) -> Client:
        """The client that asks this provider."""
        name = repr(target)
        if name not in self._clients:
            options = {target.name: {"base_url": self.server.url, **target.options}}
            client = Client(f"{target.name}:m", stack=[], plugins=self.plugins, options=options)
            self._clients[name] = await self._stack.enter_async_context(client)
        return self._clients[name]

    async def http(self) -> Http:
        """A way to the server without a provider."""
        if self._http is None:
            self._http = Http(base_url=self.server.url)
            await self._stack.enter_async_context(self._http.open())
        return self._http

    def play(self, case: Case, answers: Iterable[list[bytes]], *, slowly: bool = False) -> None:
        """Let the next requests have these answers, and forget those of before.

        Args:
            case: whose status and headers they have.
            answers: the pieces of each.
            slowly: whether few pieces are sent one by one, rather than on the line at once.
        """
        self.server.requests.clear()
        self.coming[:] = [_answer(case, pieces, slowly) for pieces in answers]

    def heard(self) -> dict[str, Any]:
        """The body of the first request: further ones only go on with its answer."""
        told: dict[str, Any] = self.server.requests[0].json()
        return told


def _answer(case: Case, pieces: list[bytes], slowly: bool) -> Answer:
    if len(pieces) == 1 and not case.streams:
        return Answer(status=case.status, headers=case.headers, body=pieces[0])
    at_once = not slowly or len(pieces) > _FEW
    return Answer(status=case.status, headers=case.headers, pieces=pieces, at_once=at_once)


@asynccontextmanager
async def open_stage(plugins: Plugins) -> AsyncIterator[Stage]:
    """A stage, as long as the block runs."""
    coming: list[Answer] = []

    async def answer(received: Received) -> Answer:
        return coming.pop(0) if coming else Answer()

    async with open_server(answer) as server, AsyncExitStack() as stack:
        yield Stage(server, plugins, coming, stack)
