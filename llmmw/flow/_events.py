"""What happens in a run, as its observers hear it."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from llmmw._deltas import Delta
from llmmw._ledger import Ledger
from llmmw._request import Request
from llmmw._response import Response

__all__ = [
    "Appended",
    "CallMade",
    "FlowEvent",
    "GraphResult",
    "NodeDelta",
    "NodeError",
    "NodeResult",
    "NodeStarted",
    "Piece",
    "Placed",
    "Replaced",
]


@attrs.frozen
class FlowEvent:
    """Something that happened in a run."""


@attrs.frozen
class Appended:
    """A piece that a node adds to what it has given so far, as `so_far + value`."""

    value: Any


@attrs.frozen
class Replaced:
    """What a node has by now, in place of all before."""

    value: Any


@attrs.frozen
class Placed:
    """An item of the list that a node gives, at its place; those not there yet are `None`."""

    index: int
    value: Any


Piece: TypeAlias = Delta | Appended | Replaced | Placed
"""What comes of a node's result: as a model tells it, or as the node's own function gives it.
A `Restarted` takes back all before it."""


@attrs.frozen(kw_only=True)
class NodeEvent(FlowEvent):
    """Something that happened to one execution of a node."""

    node: str
    """The node's id."""
    name: str
    """What it does, in a word."""
    key: int
    """Which execution: a node in a `repeat` is executed several times in a run."""
    depth: int = 1
    """How deep it is nested: 1 for a node of the run itself, 2 for one that such a node ran."""


@attrs.frozen(kw_only=True)
class NodeStarted(NodeEvent):
    """A node has begun."""

    parent: int | None
    """The `key` of the execution that runs it."""
    inputs: dict[str, Any]
    """Its arguments by their names, with what the nodes among them gave; by their place, where
    the function names none."""
    hidden: bool = False
    at: float
    """When, in the seconds of trio's clock."""


@attrs.frozen(kw_only=True)
class CallMade(NodeEvent):
    """A node has asked a model, and what came of it."""

    request: Request
    ledger: Ledger | None
    response: Response | None = None
    error: Exception | None = None
    started: float
    ended: float


@attrs.frozen(kw_only=True)
class NodeDelta(NodeEvent):
    """A piece of a node's result."""

    piece: Piece
    at: float
    """When, in the seconds of trio's clock."""
    text: str = ""
    """The text that it adds to a text, without reasoning and refusals. What a `Restarted` or a
    `Replaced` takes back can't be told here: see `NodeFold`."""


@attrs.frozen(kw_only=True)
class NodeResult(NodeEvent):
    """A node is done."""

    value: Any
    at: float
    hidden: bool = False


@attrs.frozen(kw_only=True)
class NodeError(NodeEvent):
    """A node has failed."""

    error: Exception
    derived: bool = False
    """Not by itself: what it needs has failed, so it never began."""
    parent: int | None = None
    """The `key` of the execution that was to run it."""
    at: float


@attrs.frozen(kw_only=True)
class GraphResult(FlowEvent):
    """The run has ended: always the last event that a stream tells."""

    value: Any
    """What `run` gives; with `errors="keep"`, errors stand in the places of what failed."""
    data: dict[str, Any] = attrs.field(factory=dict)
    """The results of the run's own nodes that are not hidden, by their id."""
    errors: dict[str, Exception] = attrs.field(factory=dict)
    """The errors of those that failed, and of those that needed them."""
    derived: frozenset[str] = frozenset()
    """The ids of the latter."""
