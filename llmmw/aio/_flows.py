"""Flows in asyncio programs: run to their end, or read as they go on."""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, Literal, TypeVar, overload

from llmmw._bridge import Bridge, Tell
from llmmw._call import OnInterrupt
from llmmw._mailbox import Ended
from llmmw._portal import Portal
from llmmw._session import FlowLike
from llmmw.aio._queue import Queue, running
from llmmw.aio._reading import Stream
from llmmw.flow._events import FlowEvent, NodeEvent
from llmmw.flow._log import All, Log, OneNode, Reads, Source
from llmmw.flow._node import Executable, Future
from llmmw.flow._passes import DEFAULT_PASSES, Passes
from llmmw.flow._registry import Registry
from llmmw.flow._run import FlowRun, check_depth, holds_executables
from llmmw.flow._scope import Observer
from llmmw.flow._sse import SSETexts
from llmmw.flow._wire_events import MessageWriter

__all__ = ["FlowStream", "Flowing", "NodeStream", "Reader"]

T = TypeVar("T")


class _LoopLog(Log):
    """A log that is filled and read in one loop."""

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self._changed = asyncio.Event()
        self._put_on = queue.put_nowait
        queue.arrive = self._arrive

    def _arrive(self, message: object) -> None:
        if isinstance(message, FlowEvent):
            self.add(message)
        else:
            if isinstance(message, Ended):
                self.end(message.error)
            self._put_on(message)
        self._changed.set()

    async def wait(self) -> None:
        """Wait for another event, or the end."""
        if not self.ended:
            self._changed.clear()
            await self._changed.wait()


class Reader(Generic[T]):
    """Iterate it asynchronously, from the run's beginning. Others have readers of their own, and
    nobody waits for this one."""

    def __init__(
        self, log: _LoopLog, reads: Reads[T], idle: T | None = None, seconds: float | None = None
    ) -> None:
        self._log = log
        self._source = Source(log, reads)
        self._idle = idle
        self._seconds = seconds

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        await asyncio.sleep(0)  # else who reads what waits could not be cancelled
        while (item := self._source.take()) is None:
            if self._source.over:
                raise StopAsyncIteration
            try:
                async with asyncio.timeout(self._seconds):
                    await self._log.wait()
            except TimeoutError:
                if self._idle is not None:
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
    and a `GraphResult` as the last; see `llmmw.flow.FlowStream`. It belongs to one loop.

    Raises, from the iteration: what the run failed with, after all that it told.
    """

    def __init__(self, log: _LoopLog) -> None:
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
        """The events as dicts of JSON data, from the beginning."""
        return Reader(self._log, MessageWriter())

    def sse(self, *, keep_alive: float | None = 15.0) -> Reader[str]:
        """The messages as the text of server-sent events, from the beginning.

        It does not raise: what the run fails with is its last message, a `graph.error`.

        Args:
            keep_alive: after so many seconds without any, a comment comes, so that nobody takes
                the connection for dead; `None` for never.
        """
        return Reader(self._log, SSETexts(), ": keep-alive\n\n", keep_alive)


class Flowing(Bridge):
    """What the client of asyncio programs has for flows."""

    @abstractmethod
    def _queue(self, portal: Portal) -> Queue:
        """Where a task waits."""

    @abstractmethod
    def _answer(self, do: Callable[[Tell], Awaitable[T]]) -> Coroutine[Any, Any, T]:
        """What a work gives."""

    @abstractmethod
    def _stream(self, prompt: object, **options: Any) -> AbstractAsyncContextManager[Stream]:
        """An answer as it is written."""

    async def run(
        self,
        flow: Any,
        *,
        timeout: float | None = None,
        concurrency: int = 256,
        errors: Literal["raise", "keep"] = "raise",
        passes: Passes = DEFAULT_PASSES,
        registry: Registry | None = None,
        observer: Observer | None = None,
        on_event: Callable[[FlowEvent], Awaitable[None] | None] | None = None,
        depth: int | None = 1,
    ) -> Any:
        """Run a flow; arguments and errors as for `llmmw.Client.run`.

        The registry in force in this task is that of the run. `on_event`, which may be async, is
        called in this task; an `observer` is called where the run is, in another thread.
        """
        options: dict[str, Any] = {
            "timeout": timeout,
            "concurrency": concurrency,
            "errors": errors,
            "passes": passes,
            "registry": registry,
            "observer": observer,
        }
        if on_event is None:
            return await self._answer(lambda tell: self._trio.run(flow, **options))
        async with self._flow_stream(flow, depth=depth, **options) as events:
            async for event in events:
                heard = on_event(event)
                if inspect.isawaitable(heard):
                    await heard
            return await events.result()

    @overload
    def stream(  # type: ignore[overload-overlap]
        self,
        prompt: FlowLike,
        *,
        depth: int | None = 1,
        timeout: float | None = None,
        concurrency: int = 256,
        errors: Literal["raise", "keep"] = "raise",
        passes: Passes = DEFAULT_PASSES,
        registry: Registry | None = None,
        observer: Observer | None = None,
    ) -> AbstractAsyncContextManager[FlowStream]: ...
    @overload
    def stream(
        self,
        prompt: object,
        *,
        model: str | None = None,
        timeout: float | None = None,
        on_interrupt: OnInterrupt = "error",
        tenant: str = "",
        sample: int = 0,
        **parameters: Any,
    ) -> AbstractAsyncContextManager[Stream]: ...

    def stream(self, prompt: Any, **options: Any) -> Any:
        """Ask for an answer, or run a flow, and read it as it comes; arguments as for
        `llmmw.Client.stream`.

        Leaving the block cancels whatever still goes on for it.
        """
        if holds_executables(prompt):
            return self._flow_stream(prompt, **options)
        return self._stream(prompt, **options)

    async def sse(
        self, flow: Any, *, keep_alive: float | None = 15.0, **options: Any
    ) -> AsyncIterator[str]:
        """Run a flow and tell it as the text of server-sent events, for the body of a response.

        What it started ends when this generator is closed, as a web response should do when its
        client leaves.

        Args:
            flow: an Executable, or containers of them.
            keep_alive: as for `FlowStream.sse`.
            options: as for `stream`.
        """
        async with self._flow_stream(flow, **options) as events:
            async for text in events.sse(keep_alive=keep_alive):
                yield text

    @asynccontextmanager
    async def _flow_stream(
        self,
        flow: Any,
        *,
        depth: int | None = 1,
        observer: Observer | None = None,
        **options: Any,
    ) -> AsyncIterator[FlowStream]:
        queue = self._queue(self._opened().portal)
        log = _LoopLog(queue)

        async def do(tell: Tell) -> None:
            levels, run = check_depth(depth), FlowRun.streamed(self._trio, flow, log, **options)
            tell(None)
            await run.tell(tell, levels, observer)

        async with running(self._work(do, queue.put), queue):
            yield FlowStream(log)
