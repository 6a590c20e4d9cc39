"""A flow about to run: its options checked, its graph rewritten, its events told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs
import trio

from llmmw.errors import BadRequest, DeadlineExceeded
from llmmw.flow._contents import Contents, contents_of, filled
from llmmw.flow._events import (
    CallMade,
    FlowEvent,
    GraphResult,
    NodeError,
    NodeEvent,
    NodeResult,
    NodeStarted,
)
from llmmw.flow._graph import ordered
from llmmw.flow._log import Log
from llmmw.flow._node import Executable, check_timeout
from llmmw.flow._passes import DEFAULT_PASSES, Passes, improved, told_for_aliases
from llmmw.flow._pool import evaluate, settle
from llmmw.flow._registry import Registry, in_force
from llmmw.flow._scope import Observer, Run, Scope

__all__ = ["FlowRun", "check_depth", "holds_executables"]


@attrs.frozen(eq=False)
class FlowRun:
    """A flow that can run once."""

    client: Any
    value: Any
    roots: Contents
    aliases: Mapping[str, str]
    timeout: float | None
    concurrency: int
    errors: str
    registry: Registry

    @classmethod
    def of(
        cls,
        client: Any,
        flow: Any,
        *,
        timeout: float | None = None,
        concurrency: int = 256,
        errors: Literal["raise", "keep"] = "raise",
        passes: Passes = DEFAULT_PASSES,
        registry: Registry | None = None,
    ) -> FlowRun:
        """Prepare a flow; arguments as for `Client.run`."""
        _check(concurrency, errors)
        check_timeout(timeout)
        roots: Contents = {}
        value = contents_of(flow, roots)
        aliases: Mapping[str, str] = {}
        graph = improved(value, roots, passes, client._plugins)  # noqa: SLF001
        if graph is not None:
            value, aliases = graph.value, graph.aliases
            roots = dict.fromkeys(graph.roots())
        bound = in_force.get() if registry is None else registry
        return cls(client, value, roots, aliases, timeout, concurrency, errors, bound)

    @classmethod
    def streamed(cls, client: Any, flow: Any, log: Log, **options: Any) -> FlowRun:
        """Prepare a flow whose events go into a log.

        Raises:
            BadRequest: also if two of its nodes have the same id.
        """
        run = cls.of(client, flow, **options)
        known: dict[str, Executable[Any]] = {}
        for one in ordered(run.roots):
            if known.setdefault(one.id, one) is not one:
                raise BadRequest(f"two nodes have the id {one.id!r}")
        log.aliases = run.aliases
        return run

    async def result(self, observer: Observer | None = None, also: Iterable[Any] = ()) -> Any:
        """Run it.

        Args:
            observer: hears what happens.
            also: other nodes to run with it, where errors are kept.
        """
        pieces = bool(getattr(observer, "pieces", True))
        if observer is not None:
            observer = told_for_aliases(observer, self.aliases)
        scope = Scope(Run(self.client, self.concurrency, observer, pieces), self.registry)
        with trio.move_on_after(float("inf") if self.timeout is None else self.timeout):
            if self.errors == "raise":
                await evaluate(scope, self.roots)
                return filled(self.value, scope.value)
            nodes = list(dict.fromkeys((*self.roots, *also)))
            came = dict(zip(nodes, await settle(scope, nodes), strict=True))
            return filled(self.value, lambda one: came[one])
        assert self.timeout is not None
        message = f"the flow was not done within {self.timeout:g} s"
        raise DeadlineExceeded(message, limit="timeout", after=self.timeout, layer="run")

    async def tell(
        self, put: Callable[[FlowEvent], object], depth: int | None, observer: Observer | None
    ) -> None:
        """Run it, and tell what a stream of it shows; the `GraphResult` last.

        Where errors are kept, all its nodes run whose inputs come to something, needed or not.
        """
        telling = _Telling(put, depth, observer)
        value = await self.result(telling, _all_inputs(self.roots))
        put(telling.graph_result(value))


@attrs.define(eq=False)
class _Telling:
    """The observer that picks out what a stream shows."""

    _put: Callable[[FlowEvent], object]
    _depth: int | None
    _observer: Observer | None
    _data: dict[str, Any] = attrs.field(factory=dict)
    _errors: dict[str, NodeError] = attrs.field(factory=dict)
    _hidden: set[int] = attrs.field(factory=set)
    """The executions of hidden nodes, and those within."""

    def __call__(self, event: FlowEvent) -> None:
        if self._observer is not None:
            self._observer(event)
        if isinstance(event, NodeStarted):
            if event.hidden or event.parent in self._hidden:
                self._hidden.add(event.key)
            return
        if not isinstance(event, NodeEvent) or isinstance(event, CallMade):
            return
        # That something failed is told of hidden ones, too: it explains what fails by it.
        if event.key in self._hidden and not isinstance(event, NodeError):
            return
        if event.depth == 1:
            if isinstance(event, NodeResult):
                self._data[event.node] = event.value
            elif isinstance(event, NodeError):
                self._errors[event.node] = event
        if self._depth is None or event.depth <= self._depth:
            self._put(event)

    def graph_result(self, value: Any) -> GraphResult:
        """The last event."""
        return GraphResult(
            value=value,
            data=self._data,
            errors={key: one.error for key, one in self._errors.items()},
            derived=frozenset(key for key, one in self._errors.items() if one.derived),
        )


def _all_inputs(roots: Iterable[Executable[Any]]) -> list[Executable[Any]]:
    """The nodes, and all that runs before them."""
    found: Contents = {}
    stack = list(roots)
    while stack:
        one = stack.pop()
        if one not in found:
            found[one] = None
            stack.extend(one.inputs)
    return list(found)


def holds_executables(value: object) -> bool:
    """Whether a value is a flow: an Executable, or containers that hold any."""
    found: Contents = {}
    contents_of(value, found)
    return bool(found)


def check_depth(depth: object) -> int | None:
    """The levels that a stream shows; `None` for all.

    Raises:
        BadRequest: if it is no number of levels.
    """
    if depth is None or (type(depth) is int and depth == -1):
        return None
    if type(depth) is not int or depth < 0:
        raise BadRequest(f"depth={depth!r}: expected a number of levels, or None for all")
    return depth


def _check(concurrency: int, errors: str) -> None:
    if type(concurrency) is not int or concurrency < 1:
        raise BadRequest(f"concurrency={concurrency!r}: expected a whole number from 1 on")
    if errors not in ("raise", "keep"):
        raise BadRequest(f"errors={errors!r}: expected 'raise' or 'keep'")
