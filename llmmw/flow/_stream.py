"""What a reader of a run iterates, under trio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import trio

from llmmw._tasks import open_nursery, unstopped
from llmmw.flow._events import FlowEvent, NodeEvent
from llmmw.flow._log import All, Log, OneNode, Reads, Source
from llmmw.flow._node import Executable, Future
from llmmw.flow._run import FlowRun, check_depth
from llmmw.flow._scope import Observer
from llmmw.flow._sse import SSETexts
from llmmw.flow._wire_events import MessageWriter

__all__ = ["FlowStream", "NodeStream", "Reader", "streaming"]

T = TypeVar("T")


class _TrioLog(Log):
    """A log whose readers wait in trio tasks."""

    def __init__(self) -> None:
        super().__init__()
        self._changed: trio.Event | None = None

    def add(self, event: FlowEvent) -> None:
        super().add(event)
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        super().end(error)
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def wait(self) -> None:
        """Wait for another event, or the end."""
        if not self.ended:
            if self._changed is None:
                self._changed = trio.Event()
            await self._changed.wait()


class Reader(Generic[T]):
    """Iterate it asynchronously, from the run's beginning. Others have readers of their own, and
    nobody waits for this one."""

    def __init__(
        self, log: _TrioLog, reads: Reads[T], idle: T | None = None, seconds: float | None = None
    ) -> None:
        self._log = log
        self._source = Source(log, reads)
        self._idle = idle
        self._seconds = float("inf") if seconds is None else seconds

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        while (item := self._source.take()) is None:
            if self._source.over:
                raise StopAsyncIteration
            with trio.move_on_after(self._seconds) as limit:
                await self._log.wait()
            if limit.cancelled_caught and self._idle is not None:
                return self._idle
        return item


class NodeStream(Reader[NodeEvent]):
    """The events of the first execution of one node, up to its `NodeResult` or `NodeError`."""

    async def result(self) -> Any:
        """Wait until the node is done, and give its result.

        Raises:
            Exception: what it failed with, or the run before it began.
            BadRequest: if the run ended without it.
        """
        reads = OneNode(self._source.reads.node)  # type: ignore[attr-defined]
        async for _ in Reader(self._log, reads):
            pass
        return reads.result()


class FlowStream(Reader[FlowEvent]):
    """A run as it goes on: iterate for `NodeDelta`, `NodeResult` and `NodeError` as they happen,
    and a `GraphResult` as the last.

    A node's events end with its result or error. Its result comes before anything of what depends
    on it; where it fails, what depends on it fails at once, even while other inputs still run. All
    that was told is kept until the stream is let go, so readers may begin at any time.

    Raises, from the iteration: what the run failed with, after all that it told.
    """

    def __init__(self, log: _TrioLog) -> None:
        super().__init__(log, All())

    async def result(self) -> Any:
        """Wait for the end, and give what `run` gives.

        Raises:
            Exception: what the run failed with.
        """
        while not self._log.ended:
            await self._log.wait()
        return self._log.result()

    def get(self, node: Executable[Any] | Future | str) -> NodeStream:
        """The events of one node, from its beginning; of several executions, the first."""
        return NodeStream(self._log, self._log.node(node))

    def tee(self, n: int = 2) -> tuple[Reader[FlowEvent], ...]:
        """So many further readers of all events, each from the beginning."""
        return tuple(Reader(self._log, All()) for _ in range(n))

    def messages(self) -> Reader[dict[str, Any]]:
        """The events as dicts of JSON data, from the beginning; see `fold_messages`.

        ::

            {"object": "node.delta", "node_id": "a", "data": {"text": "so "}}
            {"object": "node.result", "node_id": "a", "data": {"text": "so it is"}}
            {"object": "node.error", "node_id": "b", "data": {"type": "api_error", …}}
            {"object": "graph.result", "data": {"a": {"text": "so it is"}, "b": {…}}}
        """
        return Reader(self._log, MessageWriter())

    def sse(self, *, keep_alive: float | None = 15.0) -> Reader[str]:
        """The messages as the text of server-sent events, from the beginning.

        It does not raise: what the run fails with is its last message, a `graph.error`.

        Args:
            keep_alive: after so many seconds without any, a comment comes, so that nobody takes
                the connection for dead; `None` for never.
        """
        return Reader(self._log, SSETexts(), ": keep-alive\n\n", keep_alive)


@asynccontextmanager
async def streaming(
    client: Any, flow: Any, *, depth: int | None, observer: Observer | None, **options: Any
) -> AsyncIterator[FlowStream]:
    """Run a flow and read it as it goes on; leaving the block cancels what still does."""
    log = _TrioLog()
    levels, run = check_depth(depth), FlowRun.streamed(client, flow, log, **options)
    async with open_nursery() as nursery:
        nursery.start_soon(_tell, run, log, levels, observer)
        try:
            yield FlowStream(log)
        finally:
            nursery.cancel_scope.cancel()


async def _tell(run: FlowRun, log: Log, depth: int | None, observer: Observer | None) -> None:
    """Run it into the log; never raises but `Cancelled`."""
    ended: Exception | None = RuntimeError("the stream's block was left")
    try:
        await run.tell(log.add, depth, observer)
        ended = None
    except Exception as error:
        ended = unstopped(error)
    finally:
        log.end(ended)
