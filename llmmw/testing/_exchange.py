"""What a provider is checked with: an exchange, and a client of a server that answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._provider import Provider
from llmmw._request import CountTokens, Embed, Generate, Request
from llmmw._response import Response
from llmmw._session import Client
from llmmw.testing._provider_leaks import PLANTED
from llmmw.testing._server import Answer, Server, open_server

__all__ = ["Checked", "Exchange", "Make", "ask", "need"]

Make: TypeAlias = Callable[[str, str], Provider]
_PATIENCE = 60.0
"""Seconds that one answer may take."""


@attrs.frozen(kw_only=True)
class Exchange:
    """A request, and what the host answers to it.

    Args:
        request: without a model it is asked of the model `m`.
        body: the answer as it comes whole.
        stream: the same answer as it comes streamed; `None` if it is never streamed.
        body_type: the media type of `body`.
        stream_type: the media type of `stream`.
    """

    request: Request
    body: bytes = attrs.field(repr=False)
    stream: bytes | None = attrs.field(default=None, repr=False)
    body_type: str = "application/json"
    stream_type: str = "text/event-stream"

    @property
    def whole(self) -> Answer:
        """The answer that is not streamed."""
        return Answer(headers={"Content-Type": self.body_type}, body=self.body)

    def streamed(self, data: bytes | None = None, *, cut: bool = False) -> Answer:
        """The streamed answer, or `data` in its place."""
        told = self.stream if data is None else data
        return Answer(headers={"Content-Type": self.stream_type}, pieces=[told or b""], cut=cut)


@attrs.define(eq=False)
class Checked:
    """A provider under test: how it is made, and what it should answer."""

    make: Make
    exchanges: Sequence[Exchange]
    model: str

    @property
    def streams(self) -> list[Exchange]:
        return [one for one in self.exchanges if one.stream is not None]

    @asynccontextmanager
    async def client(
        self, answers: Any, calls: list[Call] | None = None
    ) -> AsyncIterator[tuple[Client, Server]]:
        heard = [] if calls is None else calls

        async def note(call: Call, next: Handler) -> Response:
            heard.append(call)
            return await next(call)

        async with open_server(answers) as server:
            provider = self.make(server.url, PLANTED)
            target = f"{provider.name}:{self.model}"
            async with Client(target, stack=[note], providers=[provider]) as client:
                yield client, server

    async def ask(self, answers: Any, exchange: Exchange, *, stream: bool) -> Response:
        async with self.client(answers) as (client, _):
            return await ask(client, exchange.request, stream=stream)


async def ask(client: Client, request: Request, *, stream: bool) -> Response:
    """The response of a request of any kind."""
    with trio.fail_after(_PATIENCE):
        if isinstance(request, Embed):
            return await client.embed(request.inputs)
        if isinstance(request, CountTokens):
            return await client.count_tokens(list(request.messages))
        if not isinstance(request, Generate):
            raise AssertionError(f"{type(request).__name__}: no exchange of this kind is checked")
        if not stream:
            return await client.ask(request)
        async with client.stream(request) as told:
            return await told.wait_response()


def need(fact: object, told: str) -> None:
    """Raise what a failed `assert` would, in optimised runs too."""
    if not fact:
        raise AssertionError(told)
