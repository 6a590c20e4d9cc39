"""What the host tells of a graph as it goes on, for any number of readers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

import attrs
import trio

from llmmw.errors import BadRequest, LLMError, StreamInterrupted
from llmmw.flow import Executable, sse_event
from llmmw.flow.dag import ComposeResponse, ComposeStream
from llmmw_substrate._outs import Out
from llmmw_substrate._response import GraphResponse, id_of

__all__ = ["GraphStream", "Log", "NodeMessages"]

T = TypeVar("T")
O = TypeVar("O", bound=Out)  # noqa: E741 (what comes out)
Message = dict[str, Any]


@attrs.define(eq=False)
class Log:
    """What has been told, for any number of readers. One task reads the line, so that a reader
    that is cancelled takes nothing from the others."""

    messages: list[Message] = attrs.field(factory=list)
    whole: ComposeResponse | None = None
    """The end, once it is there."""
    _ended: bool = False
    _error: LLMError | None = None
    _came_with: TracebackType | None = None
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def read(self, told: ComposeStream) -> None:
        """Read to the end, or until it is cancelled."""
        self._error = StreamInterrupted("the block of the stream was left before its end")
        try:
            while (message := await told.at(len(self.messages))) is not None:
                self.messages.append(_spelt(message))
                self._wake()
            self.whole, self._error = await told.response(), None
        except LLMError as error:
            self._error, self._came_with = error, error.__traceback__
        finally:
            self._ended = True
            self._wake()

    async def at(self, place: int) -> Message | None:
        """The message of a place, counted from 0, once it has come; `None` past the end.

        Raises:
            LLMError: past what was told, if the stream has failed.
        """
        while place >= len(self.messages) and not self._ended:
            await self._changed.wait()
        if place < len(self.messages):
            return self.messages[place]
        if self._error is not None:
            # Raised again, it does not grow by the frames of the time before.
            raise self._error.with_traceback(self._came_with)
        return None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class _Messages(AsyncIterator[Message]):
    """Reads a stream from its beginning; each reader has a place of its own."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._place = 0

    async def __anext__(self) -> Message:
        await trio.lowlevel.checkpoint()
        message = await self._log.at(self._place)
        if message is None:
            raise StopAsyncIteration
        self._place += 1
        return message


def _spelt(message: Mapping[str, Any]) -> Message:
    """A message with `node_id`, which some of the host's programs spell `nodeId`."""
    told = {"node_id" if name == "nodeId" else name: one for name, one in message.items()}
    if "node_id" in message:
        told["node_id"] = message["node_id"]
    return told


class NodeMessages(AsyncIterator[Message], Generic[T]):
    """The messages of one node, from its beginning."""

    def __init__(self, stream: GraphStream, node: str) -> None:
        self._stream = stream
        self._node = node
        self._messages = aiter(stream)

    async def __anext__(self) -> Message:
        async for message in self._messages:
            if message.get("node_id") == self._node:
                return message
        raise StopAsyncIteration

    async def result(self) -> T:
        """Wait until the node is done, and give its result.

        Raises:
            NodeFailed: if it failed.
            LLMError: what the stream ended with before that.
            BadRequest: if the graph ended without it.
        """
        async for message in self._stream:
            kind, data = message.get("object"), message.get("data")
            if kind == "graph.result" and isinstance(data, dict):
                return self._stream.answer(data).get(self._node)  # type: ignore[no-any-return]
            if kind in ("node.result", "node.error") and message.get("node_id") == self._node:
                return self._stream.answer({self._node: data}).get(  # type: ignore[no-any-return]
                    self._node
                )
        raise BadRequest(f"the graph ended without a result of the node {self._node!r}")


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
    `llmmw.flow.MessageFold` gathers the deltas.

    Raises, from the iteration: what the stream ended with, after all that it told.
    """

    _log: Log = attrs.field(repr=False)
    _kinds: Mapping[str, str]

    def __aiter__(self) -> AsyncIterator[Message]:
        return _Messages(self._log)

    @overload
    def get(self, node: Executable[O]) -> NodeMessages[O]: ...
    @overload
    def get(self, node: object) -> NodeMessages[Any]: ...

    def get(self, node: Any) -> NodeMessages[Any]:
        """The messages of one node; its `result()` waits for what it gives.

        Args:
            node: what was run, or its id.
        """
        return NodeMessages(self, id_of(node))

    def tee(self, n: int = 2) -> tuple[AsyncIterator[Message], ...]:
        """So many further readers of all messages, each from the beginning."""
        return tuple(_Messages(self._log) for _ in range(n))

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
        errors: dict[str, Any] = {}
        async for message in self:
            if message.get("object") == "node.error":
                errors[str(message.get("node_id"))] = message.get("data")
        whole = self._log.whole
        assert whole is not None  # the messages have ended
        data = errors | whole.json["data"]
        return GraphResponse(
            {"data": data}, whole.status, whole.request_id, whole.headers, self._kinds
        )

    def answer(self, data: dict[str, Any]) -> GraphResponse:
        """Results that are known before the end."""
        return GraphResponse({"data": data}, kinds=self._kinds)
