"""A graph of Executables: collected from any value, put in order, looked at and rewritten."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from llmmw.errors import BadRequest
from llmmw.flow._contents import Contents, contents_of, filled
from llmmw.flow._node import Executable
from llmmw.flow._same import same_key

__all__ = [
    "Edge",
    "Graph",
    "Pass",
    "check_order",
    "merge",
    "merge_into",
    "ordered",
    "with_new_inputs",
]

Node: TypeAlias = Executable[Any]


@attrs.frozen
class Edge:
    """That one node needs another."""

    source: str
    """The id of what is needed."""
    target: str
    """The id of what needs it."""
    kind: Literal["value", "order", "lazy"]
    """Its value is used; it must only be done before; or it is run by the other, if at all."""


@attrs.frozen(eq=False, repr=False)
class Graph(Mapping[str, Node]):
    """Nodes by their id, each after all that it needs.

    `graph[id]` is the node of an id, also of one that another stands for by now.
    """

    value: Any
    """What it was collected from; its Executables are what is wanted."""
    nodes: dict[str, Node] = attrs.field(factory=dict)
    aliases: dict[str, str] = attrs.field(factory=dict)
    """The ids of nodes that another one stands for, each with the id of that one."""

    @classmethod
    def collect(cls, value: object) -> Graph:
        """The graph of all Executables in a value: one, or any containers of them.

        Of pure nodes with equal arguments there is one; the others are its aliases.

        Raises:
            BadRequest: if two different nodes have the same id.
        """
        found: Contents = {}
        value = contents_of(value, found)
        return merge(cls(value, {}), list(ordered(found)))

    def __getitem__(self, key: str) -> Node:
        return self.nodes[self.aliases.get(key, key)]

    def __contains__(self, key: object) -> bool:
        return key in self.nodes or key in self.aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes)} nodes>"

    def __str__(self) -> str:
        from llmmw.flow.draw import draw

        return draw(self)

    def edges(self) -> list[Edge]:
        """What needs what, in the order of the nodes."""
        found: list[Edge] = []
        for one in self.nodes.values():
            order = set(map(id, one.depends)) - set(map(id, _in_arguments(one)))
            found.extend(
                Edge(other.id, one.id, "order" if id(other) in order else "value")
                for other in one.inputs
            )
            found.extend(Edge(other.id, one.id, "lazy") for other in one.lazy)
        return found

    def dependencies(self) -> dict[str, set[str]]:
        """The ids of what each node needs by itself."""
        return {
            key: {other.id for other in (*one.inputs, *one.lazy)} for key, one in self.nodes.items()
        }

    def order(self) -> list[str]:
        """The ids, each after all that it needs."""
        return list(self.nodes)

    def sorter(self) -> graphlib.TopologicalSorter[str]:
        """The same for the standard library, which tells by and by what is ready."""
        return graphlib.TopologicalSorter(self.dependencies())

    def roots(self) -> list[Node]:
        """The nodes in the value itself."""
        found: Contents = {}
        contents_of(self.value, found)
        return list(found)

    def validate(self) -> None:
        """See that it can run.

        Raises:
            BadRequest: if a node needs one that is not there, two have one id, or some need
                each other in a circle; the message names them.
        """
        for key, one in self.nodes.items():
            if one.id != key:
                raise BadRequest(f"the node {one.id!r} stands under the id {key!r}")
            for other in (*one.inputs, *one.lazy):
                if self.nodes.get(other.id) is not other:
                    wrong = "is another node" if other.id in self.nodes else "is not there"
                    raise BadRequest(f"the node {key!r} needs {other.id!r}, which {wrong}")
        check_order(self.dependencies())

    def rewrite(self, change: Callable[[Node], Node]) -> Graph:
        """A graph whose nodes are what a function makes of them.

        The function is called with each node in order, its inputs changed already, and gives it
        back, or what takes its place. Of the latter the id of the first answers for the second.

        Raises:
            BadRequest: if two different nodes have the same id then.
        """
        return merge_into(self, self.nodes.values(), change)

    def to_json(self) -> str:
        """Its JSON, the same for the same graph in any process; see `from_json`.

        Raises:
            BadRequest: if it holds what has no place in JSON; the message names it.
        """
        from llmmw.flow._saved import to_json

        return to_json(self)

    @classmethod
    def from_json(
        cls, text: str | bytes, functions: Mapping[str, Any] | Iterable[Any] = ()
    ) -> Graph:
        """The graph that `to_json` made a text of. Nothing in the text is executed.

        Args:
            text: the JSON.
            functions: what the text may name besides builtins that are installed: functions and
                classes, by the names that they had, or those themselves.

        Raises:
            BadRequest: for a text that is no graph, or names what there is not; the message
                says where.
        """
        from llmmw.flow._loaded import from_json

        return from_json(text, functions)


Pass: TypeAlias = Callable[[Graph], Graph]
"""Changes a graph into one that gives the same, in a better way."""


def merge(graph: Graph, nodes: Iterable[Node] | None = None) -> Graph:
    """A pass: of pure nodes with equal arguments one is left, and the others are its aliases."""
    known: dict[Any, Node] = {}

    def change(one: Node) -> Node:
        if not one.operation.pure:
            return one
        key = same_key(one)
        return one if key is None else known.setdefault(key, one)

    return merge_into(graph, graph.nodes.values() if nodes is None else nodes, change)


def merge_into(
    graph: Graph,
    several: Iterable[Node],
    change: Callable[[Node], Node],
    moved: dict[Node, Node] | None = None,
) -> Graph:
    """What `Graph.rewrite` does, for nodes in an order; `moved` is filled with what changed."""
    moved = {} if moved is None else moved
    nodes: dict[str, Node] = {}
    aliases = dict(graph.aliases)
    for one in several:
        other = change(with_new_inputs(one, moved) if moved else one)
        key = other.id
        if other is not one:
            moved[one] = other
            if one.id != key:
                aliases[one.id] = key
        if nodes.setdefault(key, other) is not other:
            raise BadRequest(f"two nodes have the id {key!r}")
    if not moved:
        return Graph(graph.value, nodes, aliases)
    for key, stands in aliases.items():
        while stands in aliases and stands not in nodes:
            stands = aliases[key] = aliases[stands]
    value = filled(graph.value, lambda one: moved.get(one, one))
    return Graph(value, nodes, aliases)


def with_new_inputs(one: Node, moved: Mapping[Node, Node]) -> Node:
    """A node with others in the places of those that have moved."""
    if not any(map(moved.__contains__, one.inputs)) and not any(map(moved.__contains__, one.lazy)):
        return one

    def new(other: Node) -> Node:
        return moved.get(other, other)

    return attrs.evolve(
        one,
        args=tuple([filled(given, new) for given in one.args]),
        kwargs={name: filled(given, new) for name, given in one.kwargs.items()},
        inputs=tuple(dict.fromkeys(map(new, one.inputs))),
        lazy=tuple(dict.fromkeys(map(new, one.lazy))),
        depends=tuple(dict.fromkeys(map(new, one.depends))),
    )


def ordered(roots: Iterable[Node]) -> Iterator[Node]:
    """The roots and all they need, each after what it needs; no recursion."""
    seen: set[int] = set()
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            one, ready = stack.pop()
            if ready:
                yield one
            elif id(one) not in seen:
                seen.add(id(one))
                if not one.inputs and not one.lazy:
                    yield one
                    continue
                stack.append((one, True))
                stack.extend([(other, False) for other in reversed((*one.inputs, *one.lazy))])


def check_order(needs: Mapping[str, Iterable[str]]) -> None:
    """Raise `BadRequest` if nodes need each other in a circle."""
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(map(str, reversed(error.args[1])))
        raise BadRequest(f"nodes need each other in a circle: {circle}") from None


def _in_arguments(one: Node) -> Contents:
    found: Contents = {}
    if one.depends:
        for given in (*one.args, *one.kwargs.values()):
            contents_of(given, found)
    return found
