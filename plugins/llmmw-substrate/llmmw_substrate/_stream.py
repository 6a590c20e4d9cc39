"""What the host tells of a graph as it goes on, for any number of readers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, TypeVar, overload

import attrs

from llmmw.errors import LLMError
from llmmw.flow import Executable, sse_event
from llmmw.flow.dag import ComposeStream, node_id
from llmmw_substrate._outs import Out
from llmmw_substrate._response import GraphResponse, typed

__all__ = ["GraphStream", "NodeMessages"]

T = TypeVar("T")
O = TypeVar("O", bound=Out)  # noqa: E741 (what comes out)
Message = dict[str, Any]


class NodeMessages(AsyncIterator[Message], Generic[T]):
    """The messages of one node, from its beginning."""

    def __init__(self, stream: GraphStream, node: str, messages: AsyncIterator[Message]) -> None:
        self._stream = stream
        self._node = node
        self._messages = messages

    async def __anext__(self) -> Message:
        return await anext(self._messages)

    async def result(self) -> T:
        """Wait until the node is done, and give its result.

        Raises:
            NodeFailed: if it failed.
            LLMError: what the stream ended with before that.
            BadRequest: if the graph ended without it.
        """
        async for message in self._stream.get(self._node):
            if message["object"] in ("node.result", "node.error"):
                response = self._stream.answer({self._node: message.get("data")})
                break
        else:
            response = await self._stream.response()
        result: T = response.get(self._node)
        return result


class _Texts(AsyncIterator[str]):
    """The messages as server-sent events; a failure is the last of them."""

    def __init__(self, messages: AsyncIterator[Message]) -> None:
        self._messages = messages
        self._over = False

    async def __anext__(self) -> str:
        if self._over:
            raise StopAsyncIteration
        try:
            message = await anext(self._messages)
        except LLMError as error:
            self._over = True
            message = {"object": "graph.error", "data": _error_data(error)}
        return sse_event(json.dumps(message))


def _error_data(error: LLMError) -> dict[str, Any]:
    data = {"type": "api_error", "message": str(error), "status_code": error.status or 500}
    return data if error.request_id is None else {**data, "request_id": error.request_id}


@attrs.define(eq=False)
class GraphStream:
    """What the host tells of a graph as it goes on.

    Iterate it for messages as dicts: `node.delta`, `node.result`, `node.error`, and last the
    `graph.result`. Every iteration begins at the beginning, and several may go on at once.
    `llmmw.flow.MessageFold` adds the deltas up.

    Raises, from the iteration: what the stream ended with, after all that it told.
    """

    _told: ComposeStream = attrs.field(repr=False)
    _kinds: Mapping[str, str]

    def __aiter__(self) -> AsyncIterator[Message]:
        return aiter(self._told)

    @overload
    def get(self, node: Executable[O]) -> NodeMessages[O]: ...
    @overload
    def get(self, node: object) -> NodeMessages[Any]: ...

    def get(self, node: Any) -> NodeMessages[Any]:
        """The messages of one node; its `result()` waits for what it gives.

        Args:
            node: what was run, or its id.
        """
        return NodeMessages(self, node_id(node), self._told.get(node))

    def tee(self, n: int = 2) -> tuple[AsyncIterator[Message], ...]:
        """So many further readers of all messages, each from the beginning."""
        return tuple(aiter(self) for _ in range(n))

    def sse(self) -> AsyncIterator[str]:
        """The messages as the text of server-sent events, for another client.

        It does not raise: what the stream fails with is its last message, a `graph.error`.
        """
        return _Texts(aiter(self))

    async def response(self) -> GraphResponse:
        """Wait for the end; what `run` gives.

        Raises:
            LLMError: what the stream ended with.
        """
        return typed(await self._told.response(), self._kinds)

    def answer(self, data: dict[str, Any]) -> GraphResponse:
        """Results that are known before the end."""
        return GraphResponse({"data": data}, kinds=self._kinds)
