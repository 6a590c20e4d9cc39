"""Graphs that the host runs: sent by one request, answered whole or as a stream."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, TypeAlias

import attrs

from llmmw.flow import Executable, executable, to_link
from llmmw.flow.dag import ComposeEndpoint, to_dag
from llmmw.wire import KeyOption, Secret
from llmmw_substrate._response import GraphResponse, kinds_of, typed
from llmmw_substrate._stream import GraphStream

__all__ = ["Substrate"]

Hear: TypeAlias = Callable[[dict[str, Any]], object]
_SHOWN_AT = "https://explore.substrate.run/s/"


@attrs.define(eq=False, kw_only=True)
class Substrate:
    """The host, and the account that asks it.

    ::

        async with Substrate() as substrate:
            response = await substrate.run(node)
            print(response.get(node).text)

    Args:
        api_key: the key; `env:NAME`; `file:PATH`; or a function that gives it; `None` for a host
            that wants none. Default: the variable SUBSTRATE_API_KEY.
        base_url: what `/compose` is appended to. Redirects are not followed, since they could
            carry the key away.
        timeout: seconds that an answer may take, whole or as a stream.
        secrets: keys of hosts that this one asks for you: `openai`, `anthropic`.
        headers: further headers of each request; they go before those of its own.
        http: an `httpx.AsyncClient` to use and leave open.
    """

    api_key: KeyOption = attrs.field(default="env:SUBSTRATE_API_KEY", repr=False)
    base_url: str = "https://api.substrate.run"
    timeout: float = 300.0
    secrets: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    headers: Mapping[str, str | Secret] = attrs.field(factory=dict, repr=False)
    http: Any = attrs.field(default=None, repr=False)
    _endpoint: ComposeEndpoint = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._endpoint = ComposeEndpoint(
            base_url=self.base_url,
            api_key=self.api_key,
            secrets=self.secrets,
            headers=self.headers,
            timeout=self.timeout,
            http=self.http,
        )
        kept = self._endpoint  # in which no key can be read
        self.api_key, self.secrets, self.headers = kept.api_key, kept.secrets, kept.headers

    async def __aenter__(self) -> Self:
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._endpoint.__aexit__(*raised)

    async def run(self, *nodes: Any) -> GraphResponse:
        """Have a graph run.

        Args:
            nodes: nodes, what is made of them by `.future`, `concat`, `format`, `jinja` and `jq`,
                or containers of these; all that they need is sent with them. Or one dag in JSON.

        Raises:
            LLMError: if there is no answer, or one with a status of failure. The failure of a
                node is raised when its result is asked for.
            DeadlineExceeded: if the time ran out.
            BadRequest: for what the host can't be sent.
        """
        dag = self.serialize(*nodes)
        return typed(await self._endpoint.run(dag), kinds_of(dag))

    @asynccontextmanager
    async def stream(self, *nodes: Any) -> AsyncIterator[GraphStream]:
        """Have a graph run, and read what is told of it on the way. Leaving the block closes
        the line.

        Args:
            nodes: as for `run`.

        Raises:
            LLMError: as `run`.
        """
        dag = self.serialize(*nodes)
        async with self._endpoint.stream(dag) as told:
            yield GraphStream(told, kinds_of(dag))

    def graph(self, *nodes: Any, hear: Hear | None = None) -> Executable[GraphResponse]:
        """The run of a graph as one Executable: for plain and asyncio programs, whose clients
        run it too, and for flows of which it is a part.

        Args:
            nodes: as for `run`.
            hear: called with each message as it comes, and awaited if it is async; the graph is
                streamed then. It is called where the graph runs: in plain and asyncio programs
                that is a thread of llmmw, so have it put the message where your own finds it.
        """
        return _composed(self, self.serialize(*nodes), hear)

    @staticmethod
    def serialize(*nodes: Any) -> dict[str, Any]:
        """The JSON of a graph, as the host takes it. Nothing is sent.

        Args:
            nodes: as for `run`.

        Raises:
            BadRequest: for what the host can't be sent; see `llmmw.flow.dag.to_dag`.
        """
        return to_dag(*nodes)

    @staticmethod
    def visualize(*nodes: Any) -> str:
        """An address that shows a graph, which is in the address. Nothing is sent.

        Args:
            nodes: as for `run`.
        """
        return to_link(Substrate.serialize(*nodes), _SHOWN_AT)


@executable
async def _composed(
    substrate: Substrate, dag: Mapping[str, Any], hear: Hear | None
) -> GraphResponse:
    """It is open for this run alone, since it may be open in another thread."""
    async with attrs.evolve(substrate) as own:
        if hear is None:
            return await own.run(dag)
        async with own.stream(dag) as told:
            async for message in told:
                heard = hear(message)
                if inspect.isawaitable(heard):
                    await heard
            return await told.response()
