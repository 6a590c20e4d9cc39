"""What nodes run in: the run, and within it scopes.

A scope has the registry in force, which sample of a `repeat` this is, and what each node has come
to. A run begins with one; `with_registry` and `repeat` run their nodes in further ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import attrs
import trio

from llmmw.flow._events import FlowEvent
from llmmw.flow._node import Executable
from llmmw.flow._registry import Registry

__all__ = ["Observer", "Run", "Scope"]

Observer: TypeAlias = Callable[[FlowEvent], None]
"""Hears what happens in a run. One that has an attribute `pieces = False` is spared the pieces of
answers, so that no model streams, and no call stays out of a batch, for its sake."""


@attrs.define(eq=False)
class Run:
    """What all scopes of one run share."""

    client: Any
    concurrency: int
    """How many nodes of one level, and how many calls in all, are in flight at most."""
    hear: Observer | None = None
    pieces: bool = True
    """Whether it wants the pieces of answers; else models need not stream for it."""
    calls: trio.Semaphore = attrs.field(init=False)
    threads: trio.CapacityLimiter = attrs.field(init=False)
    """For functions that block."""
    keys: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    """Numbers the executions of nodes."""

    def __attrs_post_init__(self) -> None:
        self.calls = trio.Semaphore(self.concurrency)
        self.threads = trio.CapacityLimiter(min(self.concurrency, 40))


@attrs.define(eq=False)
class Scope:
    """Where nodes run."""

    run: Run
    registry: Registry
    sample: tuple[int, ...] = ()
    """Which sample of each `repeat` around, outermost first."""
    entries: dict[int, Any] = attrs.field(factory=dict)
    """What each node has come to, by its number; forgotten with the node itself."""
    _all: WeakKeyDictionary[Registry, dict[int, Any]] = attrs.field(factory=WeakKeyDictionary)
    """The entries of this sample under all registries that there still are."""

    def __attrs_post_init__(self) -> None:
        self._all[self.registry] = self.entries

    def value(self, node: Executable[Any]) -> Any:
        """What a node that is done has given."""
        return self.entries[node.number].value

    def under(self, registry: Registry) -> Scope:
        """The scope of the same run and sample under another registry."""
        if registry is self.registry:
            return self
        entries = self._all.get(registry, {})
        return Scope(self.run, registry, self.sample, entries, self._all)

    def sampled(self, index: int) -> Scope:
        """A new scope for one sample, where nothing has run yet."""
        return Scope(self.run, self.registry, (*self.sample, index))
