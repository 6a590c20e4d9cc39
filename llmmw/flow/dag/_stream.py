"""What an endpoint tells of a graph as it goes on, for any number of readers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, TypeAlias

import attrs
import trio

from llmmw.errors import LLMError, ProtocolError, StreamInterrupted
from llmmw.flow._named import MOST_DEEP
from llmmw.flow._node import Executable, Future
from llmmw.flow.dag._response import ComposeResponse, is_failure
from llmmw.flow.dag._write import node_id
from llmmw.wire import Reply, loads

__all__ = ["ComposeStream", "Log"]

Message: TypeAlias = dict[str, Any]
_FURTHEST = 1_000_000
"""No list that is told item by item is longer; a server that errs could fill memory."""


@attrs.define(eq=False)
class Log:
    """What has been told. One task reads the line, so that a reader that is cancelled takes
    nothing from the others."""

    reply: Reply
    messages: list[Message] = attrs.field(factory=list)
    errors: dict[str, Any] = attrs.field(factory=dict)
    """What was told of nodes that failed, by their ids."""
    graph: Message | None = None
    """The results, once they are there."""
    _ended: bool = False
    _error: LLMError | None = None
    _came_with: TracebackType | None = None
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def read(self) -> None:
        """Read to the result of the graph, or until it is cancelled."""
        self._error = StreamInterrupted("the block of the stream was left before its end")
        try:
            while self.graph is None:
                await self._more()
                self._wake()
            self._error = None
        except LLMError as error:
            error.request_id = error.request_id or self.reply.request_id
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

    async def _more(self) -> None:
        """Read on until something has come."""
        if self.reply.content_type == "application/json":
            self._take(await self._whole())
            return
        events = await self.reply.next_events()
        if not events:
            raise StreamInterrupted("the stream of the graph ended before its result")
        for event in events:
            if self.graph is None and event.data.strip() not in ("", "[DONE]"):
                self._take(loads(event.data))

    async def _whole(self) -> Message:
        """An endpoint that does not stream: its answer as the last message."""
        told = loads(await self.reply.read())
        if not isinstance(told, dict) or not isinstance(told.get("data"), dict):
            raise self.reply.error(told)
        return {"object": "graph.result", "data": told["data"]}

    def _take(self, told: Any) -> None:
        fault = _fault(told) if isinstance(told, dict) else f"a {type(told).__name__}"
        if fault:
            raise ProtocolError(f"the stream of the graph has a message that is none: {fault}")
        kind, data = told.get("object"), told.get("data")
        if kind in (None, "graph.error"):
            raise self.reply.error(told if data is None else data)
        if "nodeId" in told:  # as some of the host's programs spell it
            told = {"node_id": told["nodeId"]} | told
            del told["nodeId"]
        if kind == "graph.result":
            self.graph = data
        elif kind == "node.error":
            told["data"] = self.errors[str(told.get("node_id"))] = _failure(data)
        self.messages.append(told)


def _fault(message: Message) -> str | None:
    """Why nobody can fold a message, or write it again; `None` if all can."""
    kind, data = message.get("object"), message.get("data")
    if kind == "graph.result" and not isinstance(data, dict):
        return "the result of the graph is no object"
    if kind == "node.error" and not isinstance(data or {}, dict):
        return "the error of a node is no object"
    items = kind == "node.delta" and not message.get("replace")
    row: list[Any] = [message]
    for _ in range(MOST_DEEP):
        if items and not all(map(_placed, row)):
            return "an item of a list has no place"
        row = [
            inner
            for one in row
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
        if not row:
            return None
    return "it nests too deep"


def _placed(one: Any) -> bool:
    if not isinstance(one, dict) or one.get("object") != "array.item":
        return True
    index = one.get("index")
    return type(index) is int and 0 <= index < _FURTHEST and "item" in one


def _failure(data: Any) -> Message:
    """What is told of a node that failed, of which at least the fact is sure."""
    if is_failure(data):
        return data
    known = data if isinstance(data, dict) else {}
    why = known.get("message")
    message = why if isinstance(why, str) else "the endpoint does not say why"
    return {**known, "type": "api_error", "message": message}


class ComposeStream:
    """What an endpoint tells of a graph as it goes on.

    Iterate it for messages as dicts, `node.delta`, `node.result`, `node.error` and last the
    `graph.result`. Every iteration begins at the beginning, and several may go on at once.
    `llmmw.flow.MessageFold` adds the deltas up.

    Raises, from the iteration: what the stream ended with, after all that it told.
    """

    def __init__(self, log: Log) -> None:
        self._log = log

    def __aiter__(self) -> AsyncIterator[Message]:
        return _Messages(self._log)

    def get(self, node: Executable[Any] | Future | str) -> AsyncIterator[Message]:
        """The messages of one node."""
        return _Messages(self._log, node_id(node))

    async def response(self) -> ComposeResponse:
        """Wait for the end; what `run` gives.

        Raises:
            LLMError: what the stream ended with.
        """
        async for _ in self:
            pass
        info, json = self._log.reply.info, {"data": self._log.errors | (self._log.graph or {})}
        return ComposeResponse(json, info.status, self._log.reply.request_id, info.headers)


class _Messages(AsyncIterator[Message]):
    """Reads a stream from its beginning; with a `node`, what is told of that one."""

    def __init__(self, log: Log, node: str | None = None) -> None:
        self._log, self._node = log, node
        self._place = 0

    async def __anext__(self) -> Message:
        await trio.lowlevel.checkpoint()
        while (message := await self._log.at(self._place)) is not None:
            self._place += 1
            if self._node is None or message.get("node_id") == self._node:
                return message
        raise StopAsyncIteration
