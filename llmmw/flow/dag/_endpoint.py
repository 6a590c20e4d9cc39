"""Endpoints that speak `POST /compose`: a graph is sent, and its results come back."""

from __future__ import annotations

import platform
import secrets as random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any, Self

import attrs
import trio

from llmmw._secret import Secret, guarded
from llmmw.errors import BadRequest, ConfigError, DeadlineExceeded, ProtocolError
from llmmw.flow.dag._response import ComposeResponse, ComposeStream, request_id_of
from llmmw.flow.dag._write import to_dag
from llmmw.wire import Http, Key, KeyOption, Reply, dumps, loads

__all__ = ["ComposeEndpoint"]

_SPOKEN = "2024-06-17"
"""The version of the interface."""
_HOSTS = ("openai", "anthropic")


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
    timeout: float = 300.0
    http: Any = attrs.field(default=None, repr=False)
    _key: Key = attrs.field(init=False, repr=False)
    _own: Http = attrs.field(init=False, repr=False)
    _open: AsyncExitStack | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        unknown = set(self.secrets) - set(_HOSTS)
        if unknown:
            known = ", ".join(_HOSTS)
            raise ConfigError(f"secrets: there is no header for {min(unknown)!r}; known: {known}")
        self._key = Key(self.api_key, needed=self.api_key is not None)
        if isinstance(self.api_key, str) and not self.api_key.startswith(("env:", "file:")):
            self.api_key = Secret(self.api_key)
        self.secrets = {
            name: one if isinstance(one, Secret) else Secret(one)
            for name, one in self.secrets.items()
        }
        self.headers = guarded(self.headers)
        self._own = self._asking({})

    async def __aenter__(self) -> Self:
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
            nodes: Executables, as `to_dag` takes them, or one dag in JSON.

        Raises:
            LLMError: if there is no answer, or one with a status of failure. The failure of a
                node is raised when its result is asked for.
            DeadlineExceeded: if the time ran out.
        """
        async with self._answer(_dag_of(nodes), "application/json") as reply:
            told = loads(await reply.read())
            if not isinstance(told, dict):
                raise ProtocolError("the endpoint's answer is no object in JSON")
            if not isinstance(told.get("data"), dict):
                raise reply.error(told)
            info = reply.info
            return ComposeResponse(told, info.status, request_id_of(reply), info.headers)

    @asynccontextmanager
    async def stream(self, *nodes: Any) -> AsyncIterator[ComposeStream]:
        """Have a graph run, and read what is told of it on the way. Leaving the block closes
        the line.

        Args:
            nodes: as for `run`.

        Raises:
            LLMError: as `run`.
        """
        async with self._answer(_dag_of(nodes), "text/event-stream") as reply:
            yield ComposeStream(reply)

    @asynccontextmanager
    async def _answer(self, dag: Mapping[str, Any], accept: str) -> AsyncIterator[Reply]:
        """The answer to a graph."""
        if self._open is None:
            raise ConfigError("the endpoint is not open: use it as `async with endpoint:`")
        is_stream = accept != "application/json"
        told = {"Accept": accept, "X-Substrate-Request-Id": random.token_hex(16)}
        if is_stream:
            told["X-Substrate-Streaming"] = "1"
        asking = self._asking(told)
        asking.client = self._own.client
        body = dumps({"dag": dag})
        with trio.move_on_after(self.timeout) as limit:
            async with asking.post("/compose", body, stream=is_stream) as reply:
                yield reply
        if limit.cancelled_caught:
            message = f"{self.base_url} did not answer within {self.timeout:g} s"
            after = self.timeout
            raise DeadlineExceeded(message, limit="total", after=after, layer="ComposeEndpoint")

    def _asking(self, told: Mapping[str, str]) -> Http:
        """A way to the host with the headers of one request."""
        hosts = {f"x-substrate-{name}-api-key": one for name, one in self.secrets.items()}
        own = {**_about_us(), **told}
        given = {name.lower() for name in self.headers}
        kept = {name: one for name, one in own.items() if name.lower() not in given}
        headers = {**kept, **hosts, **self.headers}
        return Http(base_url=self.base_url, key=self._key, headers=headers, client=self.http)


def _about_us() -> dict[str, str]:
    here = version("llmmw")
    return {
        "User-Agent": f"llmmw/{here} Python/{platform.python_version()}",
        "X-Substrate-Backend": "v1",
        "X-Substrate-Lang": "python",
        "X-Substrate-Package-Version": here,
        "X-Substrate-Version": _SPOKEN,
        "X-Substrate-OS": platform.system() or "Unknown",
        "X-Substrate-Arch": platform.machine() or "unknown",
        "X-Substrate-Runtime": platform.python_implementation(),
        "X-Substrate-Runtime-Version": platform.python_version(),
    }


def _dag_of(nodes: tuple[Any, ...]) -> Mapping[str, Any]:
    if len(nodes) == 1 and isinstance(nodes[0], Mapping) and "nodes" in nodes[0]:
        return nodes[0]
    dag = to_dag(*nodes)
    if not dag["nodes"]:
        raise BadRequest("there is no node to run")
    return dag
