"""What a run has told, kept for any number of readers, each of whom is at a place of its own.

Nothing in here waits: a face adds how its readers do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar

from llmmw.errors import BadRequest
from llmmw.flow._events import FlowEvent, GraphResult, NodeError, NodeEvent, NodeResult
from llmmw.flow._node import Executable, Future, as_executable

__all__ = ["All", "Log", "OneNode", "Reads", "Source"]

T = TypeVar("T")


class Log:
    """The events of a run, and how it ended."""

    def __init__(self) -> None:
        self.events: list[FlowEvent] = []
        self.aliases: Mapping[str, str] = {}
        """The ids of nodes that another one stands for, each with the id of that one."""
        self.ended: bool = False
        self.error: BaseException | None = None
        self._came_with: TracebackType | None = None

    def add(self, event: FlowEvent) -> None:
        """Another event."""
        self.events.append(event)

    def end(self, error: BaseException | None = None) -> None:
        """There are no more."""
        if error is not None:
            self.error, self._came_with = error, error.__traceback__
        self.ended = True

    def check(self) -> None:
        """Raise what the run has ended with, if it failed."""
        if self.error is not None:
            # Raised again, it does not grow by the frames of the time before.
            raise self.error.with_traceback(self._came_with)

    def result(self) -> Any:
        """What the flow gives; only after the end."""
        self.check()
        last = self.events[-1]
        assert isinstance(last, GraphResult)
        return last.value

    def node(self, node: Executable[Any] | Future | str) -> OneNode:
        """What reads the events of one node."""
        key = node if isinstance(node, str) else as_executable(node).id
        return OneNode(self.aliases.get(key, key))


class Reads(Generic[T]):
    """What a reader makes of the events."""

    finished: bool = False
    """It reads no further."""

    def __call__(self, event: FlowEvent) -> Iterable[T]:
        """What an event gives."""
        raise NotImplementedError

    def end(self, log: Log) -> Iterable[T]:
        """What the end gives; raises what the run failed with."""
        log.check()
        return ()


class All(Reads[FlowEvent]):
    """All events."""

    def __call__(self, event: FlowEvent) -> Iterable[FlowEvent]:
        """The event."""
        return (event,)


class OneNode(Reads[NodeEvent]):
    """The events of the first execution of a node, up to its result or error."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._key: int | None = None
        self._last: NodeEvent | None = None

    def __call__(self, event: FlowEvent) -> Iterable[NodeEvent]:
        """The event, if it is one of these."""
        if not isinstance(event, NodeEvent) or event.node != self.node:
            return ()
        if self._key is None:
            self._key = event.key
        if event.key != self._key:
            return ()
        self._last = event
        self.finished: bool = isinstance(event, (NodeResult, NodeError))
        return (event,)

    def result(self) -> Any:
        """What the node gave; only after all was read.

        Raises:
            Exception: what it failed with.
            BadRequest: if the stream told neither.
        """
        if isinstance(self._last, NodeError):
            raise self._last.error
        if isinstance(self._last, NodeResult):
            return self._last.value
        raise BadRequest(
            f"the stream has no result of {self.node!r}: it did not run, is hidden, or is "
            "nested deeper than the stream's depth"
        )


class Source(Generic[T]):
    """One reader's place in a log."""

    def __init__(self, log: Log, reads: Reads[T]) -> None:
        self.log = log
        self.reads = reads
        self.seen: int = 0
        """How many events it has read."""
        self._waiting: deque[T] = deque()
        self._closed = False

    def take(self) -> T | None:
        """The next one; `None` if it has not come yet, or none will."""
        while not self._waiting and not self.over:
            ended = self.log.ended  # looked at first: all events were added before it
            if self.seen < len(self.log.events):
                self.seen += 1
                self._waiting.extend(self.reads(self.log.events[self.seen - 1]))
            elif ended:
                self._closed = True
                self._waiting.extend(self.reads.end(self.log))
            else:
                return None
        return self._waiting.popleft() if self._waiting else None

    @property
    def over(self) -> bool:
        """Whether no more will come after what waits."""
        return self._closed or self.reads.finished
