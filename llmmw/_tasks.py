"""Nurseries whose errors leave them as themselves, and the host of background work."""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, TypeVar

import attrs
import trio

from llmmw._capabilities import Capabilities
from llmmw._instrument import Instrument, tell_all
from llmmw._ledger import Event
from llmmw._prices import Price, built_in_prices
from llmmw._request import Request
from llmmw._store import only_given
from llmmw.errors import ConfigError

__all__ = ["Host", "Task", "open_host", "open_nursery", "own_error", "unstopped"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


@asynccontextmanager
async def open_nursery() -> AsyncIterator[trio.Nursery]:
    """A trio nursery that raises one plain exception instead of an `ExceptionGroup`.

    An interrupt of the program first, else what the block raised, as it is, else the earliest
    error of a task, else the cancellation.
    """
    raised: BaseException
    block: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except Exception as error:
                block = error
                raise
        return
    except BaseExceptionGroup as group:
        raised = _weightiest(group, block)
    # Raised out here so that the group does not become its context.
    raise raised


def _weightiest(group: BaseExceptionGroup[BaseException], block: Exception | None) -> BaseException:
    leaves = list(_leaves(group))
    for leaf in leaves:
        if not isinstance(leaf, (Exception, trio.Cancelled)):
            return leaf
    if block is not None:
        return block
    return next((leaf for leaf in leaves if isinstance(leaf, Exception)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def unstopped(error: E) -> E | RuntimeError:
    """The error, unless it would end an iteration as if all were well: a `RuntimeError` then, as
    in a generator."""
    if not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    raised = RuntimeError(f"{type(error).__name__} was raised, which is no error of a call")
    raised.__cause__ = error
    return raised


@attrs.define(eq=False)
class Task(Generic[T]):
    """Background work that can be waited for; its error goes to those who wait."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)
    _value: T | None = None
    _error: Exception | None = None
    _traceback: TracebackType | None = None
    _finished: bool = False

    async def wait(self) -> T:
        """The result of the work.

        Raises:
            Exception: what the work raised.
            RuntimeError: if the work was cancelled, because its host closed.
        """
        await self.ended.wait()
        return self.result_nowait()

    def result_nowait(self) -> T:
        """The result of work that has ended; raises as `wait` does."""
        if self._error is not None:
            raise own_error(self._error).with_traceback(self._traceback)
        if not self._finished:
            raise RuntimeError("the background work was cancelled, or its host has closed")
        return self._value  # type: ignore[return-value]

    async def _run(self, work: Callable[[], Awaitable[T]]) -> None:
        try:
            with self.scope:
                self._value = await work()
                self._finished = True
        except Exception as error:
            self._error, self._traceback = error, error.__traceback__
        finally:
            self.ended.set()


def own_error(error: Exception) -> Exception:
    """A copy for one of several who wait: policies write on an error what they know of their
    call. An error of somebody else's that can't be copied is shared."""
    try:
        own = copy.copy(error)
    except Exception:
        return error
    if type(own) is not type(error) or own.args != error.args:
        return error
    own.__cause__, own.__context__ = error.__cause__, error.__context__
    own.__suppress_context__ = error.__suppress_context__
    if hasattr(own, "__notes__"):
        own.__notes__ = list(own.__notes__)
    return own


async def _no_provider(asked: object) -> Any:
    raise ConfigError("there is no provider here: call through a Client")


@attrs.define(eq=False)
class Host:
    """Where work lives that outlasts a call: a nursery, instruments, stores, a random source."""

    nursery: trio.Nursery
    instruments: Sequence[Instrument] = ()
    stores: dict[str, Any] = attrs.field(factory=dict, repr=False)
    random: random.Random = attrs.field(factory=lambda: random.Random())  # noqa: S311 (jitter)
    price: Callable[[str], Price | None] = lambda target: built_in_prices().row(target)
    """What a target costs; with a client, by its own prices too."""
    make_store: Callable[..., Any] = only_given
    """Makes a store of its name, options and first argument; with a client, by its registry."""
    able: Callable[[str], Capabilities] = lambda target: Capabilities()
    """What a target can do; without a client, nobody knows."""
    objection: Callable[[Request], str] = lambda request: ""
    """Why the target of a request can't serve it, or nothing."""
    provider: Callable[[str], Awaitable[Any]] = _no_provider
    """The provider of a target, open; with a client."""
    ask: Callable[[Any], Awaitable[Any]] = _no_provider
    """What answers calls where all policies end; with a client."""
    warm: Callable[[str], None] = lambda target: None
    """Has a connection to a target made in the background; with a client."""
    shut_stores: dict[str, Any] = attrs.field(factory=dict, repr=False)
    """Stores that could not be opened, and when that is tried anew."""
    hear: Instrument | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.hear = tell_all(self.instruments)

    def start(self, work: Callable[[], Awaitable[T]]) -> Task[T]:
        """Start background work. It ends with the host; its error harms nobody else."""
        task: Task[T] = Task()
        self.nursery.start_soon(task._run, work)  # noqa: SLF001 (one file, one idea)
        return task

    def emit(self, event: Event) -> None:
        """Tell the instruments of something that belongs to no single call."""
        if self.hear is not None:
            self.hear(event)


@asynccontextmanager
async def open_host(instruments: Sequence[Instrument] = ()) -> AsyncIterator[Host]:
    """A host for as long as the block runs; leaving it cancels the work that still goes on."""
    async with open_nursery() as nursery:
        try:
            yield Host(nursery, instruments)
        finally:
            nursery.cancel_scope.cancel()
