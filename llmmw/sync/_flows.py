"""Flows in plain programs: run to their end, or read as they go on."""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, Literal, TypeVar, overload

from llmmw._bridge import Bridge, Tell
from llmmw._call import OnInterrupt
from llmmw._mailbox import Ended
from llmmw._session import FlowLike
from llmmw.flow._events import FlowEvent, NodeEvent
from llmmw.flow._log import All, Log, OneNode, Reads, Source
from llmmw.flow._node import Executable, Future
from llmmw.flow._passes import DEFAULT_PASSES, Passes
from llmmw.flow._registry import Registry
from llmmw.flow._run import FlowRun, check_depth, holds_executables
from llmmw.flow._scope import Observer
from llmmw.flow._sse import SSETexts
from llmmw.flow._wire_events import MessageWriter
from llmmw.sync._reading import TURN, Queue, Stream, running

__all__ = ["FlowStream", "Flowing", "NodeStream", "Reader"]

T = TypeVar("T")


class _SharedLog(Log):
    """A log that the portal's thread fills, whose readers wait in threads."""

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self._queue = queue
        self._changed = threading.Condition()

    def put(self, message: object) -> None:
        """Take what the work tells, in the portal's thread."""
        with self._changed:
            if isinstance(message, FlowEvent):
                self.add(message)
            elif isinstance(message, Ended):
                self.end(message.error)
            self._changed.notify_all()
        if not isinstance(message, FlowEvent):
            self._queue.put(message)

    def wait(self, seen: int, timeout: float | None = None) -> bool:
        """Wait until there are more events than were seen, or it has ended; whether that was in
        `timeout` seconds."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self.ended and len(self.events) <= seen:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, TURN))
            return True


class Reader(Generic[T]):
    """Iterate it, from the run's beginning. Others have readers of their own, and nobody waits
    for this one."""

    def __init__(
        self, log: _SharedLog, reads: Reads[T], idle: T | None = None, seconds: float | None = None
    ) -> None:
        self._log = log
        self._source = Source(log, reads)
        self._idle = idle
        self._seconds = seconds

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        while (item := self._source.take()) is None:
            if self._source.over:
                raise StopIteration
            if not self._log.wait(self._source.seen, self._seconds) and self._idle is not None:
                return self._idle
        return item


class NodeStream(Reader[NodeEvent]):
    """The events of the first execution of one node, up to its `NodeResult` or `NodeError`."""

    def result(self) -> Any:
        """Wait until the node is done, and give its result.

        Raises:
            Exception: what it failed with, or the run before it began.
            BadRequest: if the run ended without it.
        """
        reads = OneNode(self._source.reads.node)  # type: ignore[attr-defined]
        for _ in Reader(self._log, reads):
            pass
        return reads.result()


class FlowStream(Reader[FlowEvent]):
    """A run as it goes on: iterate for `NodeDelta`, `NodeResult` and `NodeError` as they happen,
    and a `GraphResult` as the last; see `llmmw.flow.FlowStream`. Threads may share it, each with
    a reader of its own.

    Raises, from the iteration: what the run failed with, after all that it told.
    """

    def __init__(self, log: _SharedLog) -> None:
        super().__init__(log, All())

    def result(self) -> Any:
        """Wait for the end, and give what `run` gives.

        Raises:
            Exception: what the run failed with.
        """
        while not self._log.ended:
            self._log.wait(len(self._log.events))
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
    """What the client of plain programs has for flows."""

    @abstractmethod
    def _answer(self, do: Callable[[Tell], Awaitable[T]]) -> T:
        """What a work gives."""

    @abstractmethod
    def _stream(self, prompt: object, **options: Any) -> AbstractContextManager[Stream]:
        """An answer as it is written."""

    def run(
        self,
        flow: Any,
        *,
        timeout: float | None = None,
        concurrency: int = 256,
        errors: Literal["raise", "keep"] = "raise",
        passes: Passes = DEFAULT_PASSES,
        registry: Registry | None = None,
        observer: Observer | None = None,
        on_event: Callable[[FlowEvent], object] | None = None,
        depth: int | None = 1,
    ) -> Any:
        """Run a flow; arguments and errors as for `llmmw.Client.run`.

        The registry in force in this thread is that of the run. `on_event` is a plain function
        and is called in this thread; an `observer` is called where the run is.
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
            return self._answer(lambda tell: self._trio.run(flow, **options))
        with self._flow_stream(flow, depth=depth, **options) as events:
            for event in events:
                on_event(event)
            return events.result()

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
    ) -> AbstractContextManager[FlowStream]: ...
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
    ) -> AbstractContextManager[Stream]: ...

    def stream(self, prompt: Any, **options: Any) -> Any:
        """Ask for an answer, or run a flow, and read it as it comes; arguments as for
        `llmmw.Client.stream`.

        Leaving the block cancels whatever still goes on for it.
        """
        if holds_executables(prompt):
            return self._flow_stream(prompt, **options)
        return self._stream(prompt, **options)

    @contextmanager
    def _flow_stream(
        self,
        flow: Any,
        *,
        depth: int | None = 1,
        observer: Observer | None = None,
        **options: Any,
    ) -> Iterator[FlowStream]:
        queue = Queue()
        log = _SharedLog(queue)

        async def do(tell: Tell) -> None:
            levels, run = check_depth(depth), FlowRun.streamed(self._trio, flow, log, **options)
            tell(None)
            await run.tell(tell, levels, observer)

        with running(self._work(do, log.put), queue):
            yield FlowStream(log)
