"""What an endpoint answers to a graph: the results of its nodes, at once or as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import attrs
import trio

from llmmw.errors import BadRequest, LLMError, ProtocolError, StreamInterrupted
from llmmw.flow._node import Executable, Future, as_executable
from llmmw.flow._wire_events import MessageFold
from llmmw.flow.dag._nodes import Output
from llmmw.flow.dag._write import wire_id, wire_path
from llmmw.wire import Reply, loads

__all__ = ["ComposeResponse", "ComposeStream", "NodeFailed", "request_id_of"]

_ERRORS = {"api_error", "invalid_request_error", "dependency_error"}


def request_id_of(reply: Reply) -> str | None:
    """The endpoint's id of a request."""
    return reply.info.headers.get("x-substrate-request-id") or reply.request_id


class NodeFailed(LLMError):
    """A node of a graph failed at an endpoint. `code` is the kind that the endpoint told:
    `api_error`, `invalid_request_error`, or `dependency_error` if what it needs failed."""

    def __init__(self, message: str, *, node: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.node = node
        """The id of the node."""


@attrs.frozen
class ComposeResponse:
    """The results of a graph."""

    json: dict[str, Any]
    """What the endpoint answered."""
    status: int = 200
    """The HTTP status."""
    request_id: str | None = None
    """The endpoint's id of the request, for its support."""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Of the answer, without cookies."""

    def get(self, node: Executable[Any] | Future | str) -> Any:
        """The result of a node, or what a future on it stands for.

        Args:
            node: what was run, or its id.

        Raises:
            NodeFailed: if the node failed.
            BadRequest: if the answer has no result of it.
        """
        key, path = _way(node)
        error = self.get_error(key)
        if error is not None:
            raise error
        data = self._data()
        if key not in data:
            known = ", ".join(map(repr, data)) or "none"
            raise BadRequest(f"the answer has no result of the node {key!r}; it has {known}")
        value = _shown(data[key])
        for accessor, step in path:
            try:
                value = _shown(value[step] if accessor == "item" else getattr(value, step))
            except (LookupError, TypeError, AttributeError) as failure:
                raise BadRequest(f"the result of {key!r} has no {step!r}") from failure
        return value

    def get_error(self, node: Executable[Any] | Future | str) -> NodeFailed | None:
        """The error of a node, or `None`."""
        key, _ = _way(node)
        told = self._data().get(key)
        if not isinstance(told, dict):
            return None
        kind = told.get("type")
        if kind not in _ERRORS or not isinstance(told.get("message"), str):
            return None
        status = told.get("status_code")
        return NodeFailed(
            f"the node {key!r} failed: {told['message']}",
            node=key,
            code=kind,
            status=status if isinstance(status, int) else None,
            request_id=told.get("request_id") or self.request_id,
        )

    def _data(self) -> dict[str, Any]:
        data = self.json.get("data")
        return data if isinstance(data, dict) else {}


def _way(node: Executable[Any] | Future | str) -> tuple[str, list[tuple[str, Any]]]:
    if isinstance(node, str):
        return node, []
    one, path = wire_path(as_executable(node))
    return wire_id(one), path


def _shown(value: Any) -> Any:
    return Output(value) if type(value) is dict else value


class ComposeStream:
    """What an endpoint tells of a graph as it goes on.

    Iterate it for messages as dicts, `node.delta`, `node.result`, `node.error` and last the
    `graph.result`. Every iteration begins at the beginning, and several may go on at once.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._log: list[dict[str, Any]] = []
        self._ended = False
        self._error: LLMError | None = None
        self._reading = trio.Lock()
        self._fold = MessageFold()

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return _Messages(self)

    def get(self, node: Executable[Any] | Future | str) -> AsyncIterator[dict[str, Any]]:
        """The messages of one node."""
        return _Messages(self, _way(node)[0])

    async def at(self, place: int) -> dict[str, Any] | None:
        """The message of a place, counted from 0, once it has come; `None` past the end."""
        while place >= len(self._log) and not self._ended:
            async with self._reading:
                if place >= len(self._log) and not self._ended:
                    await self._more()
        if place < len(self._log):
            return self._log[place]
        if self._error is not None:
            raise self._error
        return None

    async def response(self) -> ComposeResponse:
        """Wait for the end; what `run` gives."""
        async for _ in self:
            pass
        info = self._reply.info
        json = {"data": self._fold.graph or {}}
        return ComposeResponse(json, info.status, request_id_of(self._reply), info.headers)

    async def _more(self) -> None:
        """Read on until something has come, or it has ended."""
        try:
            if self._reply.content_type == "application/json":
                self._take(await self._whole())
                self._ended = True
                return
            events = await self._reply.next_events()
            for event in events:
                if event.data != "[DONE]":
                    self._take(loads(event.data))
            if not events:
                self._ended = True
                if self._fold.graph is None:
                    raise StreamInterrupted("the stream of the graph ended before its result")
        except LLMError as error:
            error.request_id = error.request_id or request_id_of(self._reply)
            self._ended, self._error = True, error

    async def _whole(self) -> dict[str, Any]:
        """An endpoint that does not stream: its answer as the last message."""
        told = loads(await self._reply.read())
        data = told.get("data") if isinstance(told, dict) else None
        if not isinstance(data, dict):
            raise self._reply.error(told)
        return {"object": "graph.result", "data": data}

    def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise ProtocolError(f"the stream of the graph has a message that is none: {message!r}")
        if message.get("object") == "graph.error" or "object" not in message:
            raise self._reply.error(message.get("data", message))
        try:
            self._fold(message)
        except (LookupError, TypeError, ValueError) as error:
            raise ProtocolError(
                f"the stream of the graph has a message that is none: {error!r}"
            ) from error
        self._log.append(message)


class _Messages(AsyncIterator[dict[str, Any]]):
    """Reads a stream from its beginning; with a `node`, what is told of that one."""

    def __init__(self, stream: ComposeStream, node: str | None = None) -> None:
        self._stream, self._node = stream, node
        self._place = 0

    async def __anext__(self) -> dict[str, Any]:
        while True:
            message = await self._stream.at(self._place)
            if message is None:
                raise StopAsyncIteration
            self._place += 1
            key = message.get("node_id", message.get("nodeId"))
            if self._node is None or key == self._node:
                return message
