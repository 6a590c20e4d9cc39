"""What is drawn of a graph: a box for each node, with a few words, and wires between them.

Attributes and items of a value are no boxes: they stand on the wire that goes on from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from llmmw.errors import BadRequest
from llmmw.flow._contents import Contents, contents_of
from llmmw.flow._graph import Graph
from llmmw.flow._node import Executable

__all__ = ["Drawn", "Picture", "Wire", "arguments_of", "shortened"]

Node: TypeAlias = Executable[Any]
_MOST = 2_000
_SIGNS = dict(
    pair.split(" ")
    for pair in (
        *("add +", "sub −", "mul ×", "truediv ÷", "floordiv //", "mod %", "pow **", "matmul @"),
        *("and_ &", "or_ |", "xor ^", "lshift <<", "rshift >>", "neg −", "pos +", "invert ~"),
        *("eq =", "ne ≠", "lt <", "le ≤", "gt >", "ge ≥"),
    )
)


@attrs.frozen
class Drawn:
    """A box."""

    key: str
    """Its name within the picture, as `n1`."""
    title: str
    lines: tuple[str, ...]
    """Arguments that are values."""
    kind: Literal["builtin", "function", "choice", "value", "several"]
    wanted: bool
    """Its result is wanted, and not only needed by others."""


@attrs.frozen
class Wire:
    """What one node has from another."""

    source: str
    target: str
    label: str
    """The parameter that it goes to, and what it takes of the value."""
    kind: Literal["value", "order", "lazy"]


@attrs.frozen
class Picture:
    """Boxes and wires, in the order of the graph."""

    boxes: list[Drawn]
    wires: list[Wire]

    @classmethod
    def of(cls, graph: Graph) -> Picture:
        """What is drawn of a graph.

        Raises:
            BadRequest: for more than 2,000 nodes.
        """
        if len(graph) > _MOST:
            raise BadRequest(
                f"a graph of {len(graph):,} nodes can't be looked at: up to {_MOST:,} are drawn; "
                "print(graph) shows the beginning"
            )
        wanted = set(graph.roots())
        taken = {one: _taken(one) for one in graph.values() if one not in wanted}
        drawn = [one for one in graph.values() if not taken.get(one)]
        keys = {one: f"n{place}" for place, one in enumerate(drawn, 1)}
        boxes = [_box(one, keys[one], one in wanted) for one in drawn]
        wires = [
            Wire(keys[source], keys[one], label, kind)
            for one in drawn
            for source, label, kind in _wires(one, taken)
        ]
        return cls(boxes, list(dict.fromkeys(wires)))


def _taken(one: Node) -> str:
    """How an attribute or item is written after the value, or `""` for another node."""
    if one.label or one.depends or len(one.args) != 2 or isinstance(one.args[1], Executable):
        return ""
    if one.operation.kind == "attribute":
        return f".{one.args[1]}"
    if one.operation.kind == "item" and isinstance(one.args[1], (str, int)):
        return f"[{one.args[1]!r}]"
    return ""


def _box(one: Node, key: str, wanted: bool) -> Drawn:
    operation = one.operation
    is_operator = operation.kind == "operator"  # a function may be called `add`, too
    name = _SIGNS.get(operation.name, operation.name) if is_operator else operation.name
    lines = [
        f"{given} = {shortened(value)}" if given else shortened(value)
        for given, value in arguments_of(one)
        if value is not None and not _inside(value)
    ]
    kind = _KINDS.get(operation.kind, "several")
    title = f"{one.label}: {name}" if one.label else name
    return Drawn(key, shortened(title, plain=True), tuple(lines), kind, wanted)


_KINDS: Mapping[str, Literal["builtin", "function", "choice", "value", "several"]] = {
    "builtin": "builtin",
    "function": "function",
    "call": "function",
    "If": "choice",
    **dict.fromkeys(
        ("Box", "operator", "attribute", "item", "concat", "format", "jinja", "jq", "prompt"),
        "value",
    ),
}


def arguments_of(one: Node) -> Iterator[tuple[str, Any]]:
    """The arguments of a node with their names; `""` where they have none."""
    names = one.operation.parameters
    for place, given in enumerate(one.args):
        yield names[place] if place < len(names) else "", given
    yield from one.kwargs.items()


def _inside(value: Any) -> Contents:
    found: Contents = {}
    contents_of(value, found)
    return found


def _wires(
    one: Node, taken: Mapping[Node, str]
) -> Iterator[tuple[Node, str, Literal["value", "order", "lazy"]]]:
    lazy, inputs = set(one.lazy), set(one.inputs)
    used: set[Node] = set()
    for name, given in arguments_of(one):
        for other in _inside(given):
            used.add(other)
            source, path = _source(other, taken)
            in_lazy = other in lazy and (other not in inputs or name in one.operation.lazy)
            yield source, f"{name}{' ' * bool(name and path)}{path}", "lazy" if in_lazy else "value"
    for other in one.depends:
        if other not in used:
            yield _source(other, taken)[0], "after", "order"


def _source(one: Node, taken: Mapping[Node, str]) -> tuple[Node, str]:
    """The node that is drawn, and what is taken of its value on the way."""
    path = ""
    while taken.get(one):
        path = taken[one] + path
        one = one.args[0]
    return one, path


def shortened(value: object, most: int = 40, *, plain: bool = False) -> str:
    """A value in one short line."""
    text = value if plain and isinstance(value, str) else _written(value)
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _written(value: object) -> str:
    if isinstance(value, str):
        return f"“{value[:200]}”"
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        return name
    if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > 20:
        return f"{type(value).__name__} of {len(value)}"
    if type(value).__repr__ is object.__repr__:
        return f"a {type(value).__name__}"  # its address is another one each time
    return repr(sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value)
