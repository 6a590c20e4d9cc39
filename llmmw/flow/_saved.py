"""Graphs as JSON: the same graph gives the same text in any process.

    {"graph": 1,
     "value": [{"$node": "n2"}],
     "nodes": [{"id": "n1", "do": "builtin:generate_text", "with": {"prompt": "Name a city."}},
               {"id": "n2", "do": "add", "args": [{"$node": "n1"}, "!"]}]}

What JSON has no form for is an object whose only name begins with `$`. Functions stand by their
names, which the reader must supply: nothing in a text is imported or executed.
"""

from __future__ import annotations

import base64
import heapq
import json
from typing import Any, TypeAlias

import attrs

from llmmw._plain import plain
from llmmw.errors import BadRequest
from llmmw.flow._builtin import Builtin
from llmmw.flow._executable import Flow
from llmmw.flow._graph import Graph
from llmmw.flow._named import MOST_DEEP, TYPES, name_of_own
from llmmw.flow._node import Executable, Operation
from llmmw.flow._prompt import Prompt

__all__ = ["to_json"]

Node: TypeAlias = Executable[Any]


def to_json(graph: Graph) -> str:
    """What `Graph.to_json` does."""
    several = _in_order_of_making(graph)
    writer = _Writer(_names(several))
    told: dict[str, Any] = {"graph": 1, "value": writer.of(graph.value, "the value")}
    told["nodes"] = [writer.node(one) for one in several]
    named = {key: stands for key, stands in graph.aliases.items() if not _is_made_up(key)}
    if named:
        told["aliases"] = {key: writer.names[graph.nodes[one]] for key, one in named.items()}
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _in_order_of_making(graph: Graph) -> list[Node]:
    """Sorted by their number, but for those that need a later one."""
    missing = {one: len({*one.inputs, *one.lazy}) for one in graph.nodes.values()}
    needed: dict[Node, list[Node]] = {one: [] for one in missing}
    for one in missing:
        for other in {*one.inputs, *one.lazy}:
            needed[other].append(one)
    ready = [(one.number, one.id, one) for one, count in missing.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        *_, one = heapq.heappop(ready)
        order.append(one)
        for dependent in needed[one]:
            missing[dependent] -= 1
            if not missing[dependent]:
                heapq.heappush(ready, (dependent.number, dependent.id, dependent))
    return order


def _names(several: list[Node]) -> dict[Node, str]:
    """Labels, and n1, n2, … for nodes without one."""
    taken = {one.label for one in several}
    names = {}
    for place, one in enumerate(several, 1):
        name = one.label or f"n{place}"
        while not one.label and name in taken:
            name += "_"
        names[one] = name
    return names


def _is_made_up(key: str) -> bool:
    """Whether an id is one that a node without a label has, another one in each process."""
    return key.rpartition("-")[2].isdecimal()


@attrs.define
class _Writer:
    """Values and nodes as JSON has them."""

    names: dict[Node, str]
    _functions: dict[str, object] = attrs.field(factory=dict)

    def node(self, one: Node) -> dict[str, Any]:
        where = f"the node {self.names[one]!r}"
        made: dict[str, Any] = {"id": self.names[one], "do": self._operation(one.operation, where)}
        if one.args:
            made["args"] = [self.of(given, where) for given in one.args]
        if one.kwargs:
            made["with"] = {name: self.of(given, where) for name, given in one.kwargs.items()}
        if one.depends:
            made["depends"] = [self.names[other] for other in one.depends]
        for name in ("timeout", "outputs"):
            if getattr(one, name) is not None:
                made[name] = getattr(one, name)
        if one.hidden:
            made["hidden"] = True
        return made

    def _operation(self, operation: Operation, where: str) -> str:
        if operation.kind in ("builtin", "function"):
            return f"{operation.kind}:{self._function(operation.name, operation, where)}"
        name = name_of_own(operation)
        if name is None:
            raise BadRequest(f"{where}: {operation.name!r} can't be written as JSON")
        return name

    def _function(self, name: str, function: object, where: str) -> str:
        if not name.isidentifier():
            raise BadRequest(f"{where}: {name!r} is no name by which a reader could supply it")
        if self._functions.setdefault(name, function) is not function:
            raise BadRequest(f"{where}: two different functions are named {name!r}")
        return name

    def of(self, value: Any, where: str, depth: int = 0) -> Any:
        """The form of a value in JSON."""
        if value is None or type(value) in (str, bool, int):
            return value
        if type(value) is float:
            return value if value - value == 0 else {"$float": repr(value)}
        if isinstance(value, Executable):
            return {"$node": self.names[value]}
        if depth > MOST_DEEP:
            raise BadRequest(f"{where}: values nest more than {MOST_DEEP} deep")
        if type(value) is dict:
            return self._dict(value, where, depth)
        if type(value) in (list, tuple, set, frozenset):
            several = [self.of(one, where, depth + 1) for one in value]
            if type(value) is list:
                return several
            if type(value) is not tuple:
                several.sort(key=json.dumps)
            return {f"${type(value).__name__}": several}
        return self._other(value, where)

    def _dict(self, value: dict[Any, Any], where: str, depth: int) -> Any:
        rows = [
            (self.of(name, where, depth + 1), self.of(one, where, depth + 1))
            for name, one in value.items()
        ]
        if all(type(name) is str and not name.startswith("$") for name in value):
            return dict(rows)
        return {"$dict": [list(row) for row in rows]}

    def _other(self, value: Any, where: str) -> Any:
        if type(value) is bytes:
            return {"$bytes": base64.b64encode(value).decode()}
        if isinstance(value, (Flow, Builtin)):
            operation = value.operation
            return {"$function": self._function(operation.name, operation, where)}
        if type(value) is Prompt and value == Prompt(value.template, language=value.language):
            return {"$prompt": [value.template, value.language]}
        called = getattr(value, "__name__", None)
        if isinstance(called, str) and TYPES.get(called) is value:
            return {"$type": called}
        if callable(value) and isinstance(called, str):
            return {"$function": self._function(called, value, where)}
        try:
            return {"$value": plain(value)}
        except BadRequest:
            kind = type(value).__name__
            raise BadRequest(f"{where}: a {kind} can't be written as JSON") from None
