"""Executables as JSON of `POST /compose`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from llmmw.errors import BadRequest
from llmmw.flow._contents import Contents, contents_of
from llmmw.flow._graph import check_order, ordered
from llmmw.flow._named import OWN
from llmmw.flow._node import Executable, Future, as_executable
from llmmw.flow._text import as_text
from llmmw.flow.dag._carried import NodeClass

__all__ = ["PLACEHOLDER", "node_id", "to_dag", "way_to"]

Node: TypeAlias = Executable[Any]
PLACEHOLDER = "__$$SB_GRAPH_OP_ID$$__"
_BUILTINS: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, str]]] = {
    "generate_text": ("ComputeText", ("text",), {"max_output_tokens": "max_tokens"}),
    "embed": ("EmbedText", ("embedding", "vector"), {"inputs": "text"}),
}
"""Builtins: the class of the wire, where in its result that of the builtin is, and arguments that
have another name there."""


def to_dag(*executables: Any) -> dict[str, Any]:
    """The JSON of nodes and of all that they need, as an endpoint for `POST /compose` takes it.

    Args:
        executables: nodes of this package; `generate_text`, `embed`, `If` and `Box`; and what is
            made of them by `.future`, `concat`, `format`, `jinja` and `jq`; or containers. Or one
            dag in JSON, which is given back.

    Raises:
        BadRequest: for what no endpoint can be sent: an operation that none knows, a set, names
            of an object that are no texts, numbers that JSON lacks, two nodes of one id, nodes
            that need each other in a circle.
    """
    if len(executables) == 1 and isinstance(executables[0], Mapping) and "nodes" in executables[0]:
        return _checked(executables[0])
    found: Contents = {}
    contents_of(executables, found)
    needs: dict[str, list[str]] = {}
    several = list(ordered(found))
    for one in several:
        if one.id in needs:
            raise BadRequest(f"two nodes have the id {one.id!r}")
        needs[one.id] = [other.id for other in (*one.inputs, *one.lazy)]
    check_order(needs)
    writer = _Writer()
    for one in several:
        writer.add(one)
    dag = {"nodes": list(writer.nodes.values()), "edges": writer.edges, "futures": writer.futures}
    digest = hashlib.blake2b(json.dumps(dag).encode(), digest_size=8).hexdigest()
    return {"id": f"graph_{digest}", **dag, "initial_args": {}}


def node_id(node: Node | Future | str) -> str:
    """The id of a node on the wire; of a future on a result, that of the node that gives it.

    Raises:
        BadRequest: for what is made of several, as a text of `concat`.
    """
    return way_to(node)[0]


def way_to(node: Node | Future | str) -> tuple[str, list[tuple[str, Any]]]:
    """The id of the node that has what something stands for in its result, and the way there."""
    if isinstance(node, str):
        return node, []
    one, path = _traced(as_executable(node))
    if _class_of(one) is None:
        raise BadRequest(f"{one.id} is no node of the graph, but made of what its nodes give")
    return _id(one), path


def _checked(dag: Mapping[str, Any]) -> dict[str, Any]:
    rows = dag["nodes"]
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, Mapping) or not all(
            isinstance(row.get(name), str) for name in ("id", "node")
        ):
            raise BadRequest("the dag is none: each of its nodes is an object with `id` and `node`")
    return dict(dag)


def _holds_any(value: Any) -> bool:
    found: Contents = {}
    contents_of(value, found)
    return bool(found)


def _id(one: Node) -> str:
    return one.label or f"{_class_of(one)}{one.number}"


def _traced(one: Node) -> tuple[Node, list[tuple[str, Any]]]:
    """The node that has what an Executable stands for in its result, and the way to it there."""
    path: list[tuple[str, Any]] = []
    while _is_step(one):
        path.append(("attr" if one.operation is OWN()["attribute"] else "item", one.args[1]))
        one = one.args[0]
    return one, [("attr", name) for name in _inner(one)] + path[::-1]


def _nodes_of(one: Node) -> list[Node]:
    """The nodes of the wire that an Executable is made of."""
    found: dict[Node, None] = {}
    stack, seen = [one], {one}
    while stack:
        some = stack.pop()
        if _class_of(some) is not None:
            found[some] = None
            continue
        fresh = [other for other in some.inputs if other not in seen]
        seen.update(fresh)
        stack.extend(reversed(fresh))
    return list(found)


def _is_step(one: Node) -> bool:
    steps = OWN()["attribute"], OWN()["item"]
    return one.operation in steps and isinstance(one.args[0], Executable)


def _class_of(one: Node) -> str | None:
    """The class of the wire that a node is of."""
    operation = one.operation
    if isinstance(operation, NodeClass):
        return operation.name
    if operation is OWN()["if"]:
        return "If"
    if operation is OWN()["box"]:
        return "Box"
    row = _BUILTINS.get(operation.name) if operation.kind == "builtin" else None
    return None if row is None else row[0]


def _inner(one: Node) -> tuple[str, ...]:
    """Where in the result on the wire that of a node of ours is."""
    if isinstance(one.operation, NodeClass):
        return ()
    if one.operation.kind == "builtin":
        return _BUILTINS[one.operation.name][1] if one.operation.name in _BUILTINS else ()
    return {"If": ("result",), "Box": ("value",)}.get(_class_of(one) or "", ())


@attrs.define
class _Writer:
    nodes: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    edges: list[Any] = attrs.field(factory=list)
    futures: list[dict[str, Any]] = attrs.field(factory=list)
    _ids: dict[Node, str] = attrs.field(factory=dict)

    def add(self, one: Node) -> None:
        """A node of the wire, or a text made of futures; steps are added where they are used."""
        kind = _class_of(one)
        if kind is None:
            if one.operation in self._directives():
                self.future(one)  # now, since those that it needs are there: no recursion
            elif not _is_step(one):
                raise BadRequest(
                    f"{one.id} can't be sent to an endpoint: none knows what {one.name!r} does"
                )
            elif isinstance(one.args[1], Executable):
                self.future(one.args[1])  # likewise
            return
        key = _id(one)
        if key in self.nodes:
            raise BadRequest(f"two nodes have the id {key!r}")
        row: dict[str, Any] = {"id": key, "node": kind, "args": self._arguments(one)}
        if not one.hidden:
            row["_should_output_globally"] = True
        if isinstance(one.operation, NodeClass):
            kept = {name: getattr(one.operation, name) for name in _KEPT}
            row |= {f"_{name}": given for name, given in kept.items() if given is not None}
        if "_cache_keys" in row:
            row["_cache_keys"] = list(row["_cache_keys"])
        self.nodes[key] = row
        before = dict.fromkeys(some for given in one.depends for some in _nodes_of(given))
        self.edges += [[_id(some), key, {}] for some in before]

    def _arguments(self, one: Node) -> dict[str, Any]:
        if one.operation is OWN()["if"]:
            given = dict(
                zip(("condition", "value_if_true", "value_if_false"), one.args, strict=True)
            )
        elif one.operation is OWN()["box"]:
            given = {"value": one.args[0]}
        else:
            given = dict(zip(one.operation.parameters, one.args, strict=False)) | dict(one.kwargs)
        if one.operation.kind == "builtin":
            names = _BUILTINS[one.operation.name][2]
            given = {names.get(name, name): value for name, value in given.items()}
        where = _id(one)
        return {name: self.value(value, where) for name, value in given.items()}

    def value(self, value: Any, where: str) -> Any:
        """An argument, with placeholders for what is not there yet."""
        if isinstance(value, Executable):
            return {PLACEHOLDER: self.future(value)}
        if isinstance(value, dict):
            if not all(isinstance(name, str) for name in value):
                raise BadRequest(f"{where}: the names in an object are texts on the wire")
            if PLACEHOLDER in value:
                raise BadRequest(f"{where}: {PLACEHOLDER} in an object stands for a future")
            return {name: self.value(one, where) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(one, where) for one in value]
        if value is None or isinstance(value, (str, bool, int)):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise BadRequest(f"{where}: {value} is no number in JSON")
            return value
        raise BadRequest(f"{where}: a {type(value).__name__} can't be sent to an endpoint")

    def future(self, one: Node) -> str:
        """The id of the future that an Executable is on the wire."""
        if one not in self._ids:
            directive = self._directives().get(one.operation, self._trace)(one)
            self._ids[one] = f"future{len(self.futures) + 1}"
            self.futures.append({"id": self._ids[one], "directive": directive})
        return self._ids[one]

    def _directives(self) -> Mapping[Any, Callable[[Node], dict[str, Any]]]:
        return {
            OWN()["concat"]: self._concat,
            OWN()["format"]: self._format,
            OWN()["jinja"]: self._jinja,
            OWN()["jq"]: self._jq,
        }

    def _trace(self, one: Node) -> dict[str, Any]:
        origin, path = _traced(one)
        if origin.operation in self._directives():
            raise BadRequest(f"{one.id} takes a part of {origin.id}, which is a text or data")
        steps = []
        for accessor, key in path:
            future = self.future(key) if isinstance(key, Executable) else None
            if future is None and type(key) not in (str, int):
                raise BadRequest(f"{one.id}: {key!r} is no key on the wire, but a text or a number")
            plain = None if future else key
            steps.append({"future_id": future, "key": plain, "accessor": accessor})
        return {"type": "trace", "origin_node_id": _id(origin), "op_stack": steps}

    def _either(self, value: Any, where: str) -> dict[str, Any]:
        if isinstance(value, Executable):
            return {"future_id": self.future(value), "val": None}
        return {"future_id": None, "val": self.value(value, where)}

    def _concat(self, one: Node) -> dict[str, Any]:
        items = [item if _holds_any(item) else as_text(item) for item in one.args]
        return {"type": "string-concat", "items": [self._either(item, one.id) for item in items]}

    def _format(self, one: Node) -> dict[str, Any]:
        return {"type": "format", "f_string": self._either(one.args[0], one.id), **self._over(one)}

    def _jinja(self, one: Node) -> dict[str, Any]:
        return {"type": "jinja", "template": self._either(one.args[0], one.id), **self._over(one)}

    def _over(self, one: Node) -> dict[str, Any]:
        return {"variables": self.value(dict(one.kwargs), one.id)}

    def _jq(self, one: Node) -> dict[str, Any]:
        target, query, every = one.args
        if not isinstance(query, str):
            raise BadRequest(f"{one.id}: a query is a text on the wire")
        query = f"[{query}\n]" if every else query
        return {"type": "jq", "target": self._either(target, one.id), "query": query}


_KEPT = ("cache_age", "cache_keys", "max_retries")
