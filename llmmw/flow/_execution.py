"""One execution of a node: what the code in it may do, and what it tells of its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from llmmw._call import Listener
from llmmw._deltas import Delta, Restarted
from llmmw.flow._events import Appended, NodeDelta, Piece, Placed, Replaced
from llmmw.flow._fold import NodeFold, snapshot
from llmmw.flow._node import Executable
from llmmw.flow._scope import Scope

__all__ = ["Execution"]


@attrs.define(eq=False)
class Execution:
    """One execution of a node, and what the code in it may do."""

    scope: Scope
    node: Executable[Any]
    parent: Execution | None
    depth: int
    key: int
    _wait: Any = attrs.field(repr=False)
    _fold: NodeFold | None = None
    """What it has told comes to; kept only if somebody hears it."""
    _speaking: bool = False
    """An answer, or what its generator yields, is told now, and nothing else."""
    passed_on: tuple[Executable[Any], Callable[[Piece], None]] | None = None
    """The node that it runs whose result is its own, and what takes the pieces of that."""
    places: Mapping[Executable[Any], int] = attrs.field(factory=dict)
    """Which item of its result a node gives that it runs."""
    around: Any = None
    """What the nodes that it runs find around them: the context of a composition."""

    async def wait(self, node: Executable[Any]) -> Any:
        """The result of another node, run now if it has not been in this scope."""
        return await self._wait(self, node)

    def tell(self, piece: Piece) -> None:
        """Tell a piece of its result, if anybody hears it."""
        hear, parent = self.scope.run.hear, self.parent
        if hear is None:
            return
        if isinstance(piece, (Appended, Placed, Replaced)):
            piece = attrs.evolve(piece, value=snapshot(piece.value))
        self._fold = self._fold or NodeFold()
        text = self._fold(piece)
        hear(NodeDelta(**self.named(), piece=piece, text=text, at=trio.current_time()))
        if parent is not None and parent.passed_on and parent.passed_on[0] is self.node:
            parent.passed_on[1](piece)

    @contextmanager
    def answering(self) -> Iterator[Listener | None]:
        """What hears an answer as the node's own; nothing while another one is told."""
        run = self.scope.run
        if run.hear is None or not run.pieces or self._speaking:
            yield None
            return

        async def listener(delta: Delta) -> None:
            self.tell(delta)

        self._restart()
        self._speaking = True
        try:
            yield listener
        finally:
            self._speaking = False

    @contextmanager
    def passing_on(
        self, node: Executable[Any], to: Callable[[Piece], None] | None = None
    ) -> Iterator[None]:
        """What a node that it runs gives is its own result, so the pieces of the one are told as
        pieces of the other.

        Args:
            node: the one that it runs.
            to: takes the pieces; default: they are told as they are.
        """
        if self.scope.run.hear is None or self._speaking:
            yield
            return
        self._restart()
        self.passed_on = node, to or self.tell
        try:
            yield
        finally:
            self.passed_on = None

    def speaks(self) -> None:
        """It is a generator: what it yields is all that it tells."""
        if self.scope.run.hear is not None:
            self._restart()
            self._speaking = True

    def _restart(self) -> None:
        if self._fold is not None and self._fold.begun:
            self.tell(Restarted("the node goes on with something else"))

    def told(self, value: Any) -> None:
        """Its result: what it has told comes to that, if it has told anything."""
        if self._fold is not None and not self._fold.equals(value):
            self.tell(Replaced(value))
        parent = self.parent
        if parent is not None and self.node in parent.places:
            parent.tell(Placed(parent.places[self.node], value))

    def named(self) -> dict[str, Any]:
        """How its events name it."""
        node = self.node
        return {"node": node.id, "name": node.name, "key": self.key, "depth": self.depth}
