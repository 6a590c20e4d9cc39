"""Endpoints that speak `POST /compose`: a graph is sent, and its results come back."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import attrs
import trio

from llmmw._secret import Secret, guarded
from llmmw._tasks import open_nursery
from llmmw.errors import BadRequest, ConfigError, DeadlineExceeded, LLMError, ProtocolError
from llmmw.flow.dag._headers import compose_headers, request_id_in, secret_headers
from llmmw.flow.dag._response import ComposeResponse
from llmmw.flow.dag._stream import ComposeStream, Log
from llmmw.flow.dag._write import to_dag
from llmmw.wire import Http, Key, KeyOption, Reply, dumps, loads

__all__ = ["ComposeEndpoint"]


@attrs.define(eq=False, kw_only=True)
class ComposeEndpoint:
    """A server that runs graphs.

    ::

        async with ComposeEndpoint(base_url="https://host", api_key="env:KEY") as endpoint:
            response = await endpoint.run(node)
            print(response.get(node).text)

    Args:
        base_url: what `/compose` is appended to. Redirects are not followed, since they could
            carry the key away: give the address that they lead to.
        api_key: the account's key: a text, `env:NAME`, `file:PATH` or a function.
        secrets: keys of hosts that the server asks for you: `openai`, `anthropic`.
        headers: further headers of every request; they go before those of its own.
        timeout: seconds that an answer may take, whole or as a stream.
        http: an `httpx.AsyncClient` to use and leave open.
    """

    base_url: str
    api_key: KeyOption = attrs.field(default=None, repr=False)
    secrets: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    timeout: float = attrs.field(default=300.0)
    http: Any = attrs.field(default=None, repr=False)
    _key: Key = attrs.field(init=False, repr=False)
    _own: Http = attrs.field(init=False, repr=False)
    _open: AsyncExitStack | None = attrs.field(default=None, init=False, repr=False)

    @timeout.validator
    def _check_timeout(self, field: object, given: object) -> None:
        if type(given) not in (int, float) or not given >= 0:  # type: ignore[operator]
            raise ConfigError(f"timeout={given!r}: expected seconds from 0 on")

    def __attrs_post_init__(self) -> None:
        hosts = secret_headers(self.secrets)
        self.secrets = dict(zip(self.secrets, hosts.values(), strict=True))
        self._key = Key(self.api_key, needed=self.api_key is not None)
        self.api_key = self._key.source
        self.headers = guarded(self.headers)
        self._own = self._asking()

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise BadRequest("it is open already: use it within its block")
        self._open = AsyncExitStack()
        await self._open.enter_async_context(self._own.open())
        return self

    async def __aexit__(self, *raised: object) -> None:
        stack, self._open = self._open, None
        if stack is not None:
            await stack.aclose()

    async def run(self, *nodes: Any) -> ComposeResponse:
        """Have a graph run.

        Args:
            nodes: as `to_dag` takes them.

        Raises:
            LLMError: if there is no answer, or one with a status of failure. The failure of a
                node is raised when its result is asked for.
            DeadlineExceeded: if the time ran out.
        """
        async with self._answer(nodes, stream=False) as (reply, _):
            told = loads(await reply.read())
            if not isinstance(told, dict):
                raise ProtocolError("the endpoint's answer is no object in JSON")
            if not isinstance(told.get("data"), dict):
                raise reply.error(told)
            info = reply.info
            return ComposeResponse(told, info.status, reply.request_id, info.headers)

    @asynccontextmanager
    async def stream(self, *nodes: Any) -> AsyncIterator[ComposeStream]:
        """Have a graph run, and read what is told of it on the way. Leaving the block closes
        the line.

        Args:
            nodes: as for `run`.

        Raises:
            LLMError: as `run`.
        """
        async with self._answer(nodes, stream=True) as (reply, limit), open_nursery() as nursery:
            log = Log(reply)

            async def read() -> None:
                await log.read()
                limit.deadline = math.inf  # the answer is there; the block has its own time
                await reply.drain()

            nursery.start_soon(read)
            yield ComposeStream(log)
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _answer(
        self, nodes: tuple[Any, ...], *, stream: bool
    ) -> AsyncIterator[tuple[Reply, trio.CancelScope]]:
        """The answer to a graph, and the time that it has."""
        if self._open is None:
            raise ConfigError("the endpoint is not open: use it as `async with endpoint:`")
        dag = to_dag(*nodes)
        if not dag["nodes"]:
            raise BadRequest("there is no node to run")
        asking, answered = self._asking(stream=stream), False
        asking.client = self._own.client
        body = dumps({"dag": dag})
        with trio.move_on_after(self.timeout) as limit:
            try:
                async with asking.post("/compose", body, stream=stream) as reply:
                    answered = True
                    yield reply, limit
            except LLMError as error:
                if not answered and error.status is not None and error.request_id is None:
                    error.request_id = request_id_in(asking.headers)
                raise
        if limit.cancelled_caught:
            host = self.base_url.partition("?")[0]
            message = f"{host} did not answer within {self.timeout:g} s"
            after = self.timeout
            raise DeadlineExceeded(message, limit="total", after=after, layer="ComposeEndpoint")

    def _asking(self, *, stream: bool = False) -> Http:
        """A way to the host with the headers of one request."""
        given = {**secret_headers(self.secrets), **self.headers}
        headers = compose_headers(given, stream=stream)
        return Http(base_url=self.base_url, key=self._key, headers=headers, client=self.http)
