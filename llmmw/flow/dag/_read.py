"""Executables out of the JSON of `POST /compose`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from llmmw.errors import BadRequest
from llmmw.flow import _text
from llmmw.flow._graph import check_order
from llmmw.flow._loaded import each_after_its_needs
from llmmw.flow._named import MOST_DEEP, OWN, unreachable
from llmmw.flow._node import Executable, node
from llmmw.flow.dag._nodes import made
from llmmw.flow.dag._write import PLACEHOLDER

__all__ = ["from_dag"]

Node: TypeAlias = Executable[Any]
_OPTIONS = ("_cache_age", "_cache_keys", "_max_retries")


def from_dag(
    dag: Mapping[str, Any] | str | bytes,
    functions: Mapping[str, Any] | None = None,
    *,
    models: Mapping[str, str] | None = None,
) -> dict[str, Node]:
    """The nodes of a graph whose results it gives out, by their id: `client.run` of that gives
    what an endpoint would.

    Args:
        dag: the JSON, also as the body of a request has it, under `dag`.
        functions: what carries out classes of nodes, by their name; default: what this package
            knows, and builtins.
        models: targets to take for models by the names in the graph.

    Raises:
        BadRequest: for what is no such graph; the message says where.
    """
    told = _parsed(dag)
    rows = {f"node {key}": row for key, row in _by_id(told, "nodes", {"node": str}).items()}
    rows |= {
        f"future {key}": row for key, row in _by_id(told, "futures", {"directive": dict}).items()
    }
    needs = {key: list(dict.fromkeys(_references(row))) for key, row in rows.items()}
    edges = told.get("edges") or []
    if not isinstance(edges, list):
        raise BadRequest("the edges of the dag are no list")
    for edge in edges:
        if not isinstance(edge, list) or len(edge) < 2:
            raise BadRequest(f"the dag has an edge that is none: {edge!r}")
        source, target = f"node {edge[0]}", f"node {edge[1]}"
        if target not in needs:
            raise BadRequest(f"the dag has an edge to a {target}, which is not there")
        needs[target].append(source)
        rows[target].setdefault("_before", []).append(source)
    for key, several in needs.items():
        for one in several:
            if one not in rows:
                raise BadRequest(f"the {key} needs the {one}, which is not there")
    check_order(needs)
    reader = _Reader(functions or {}, models or {})
    for key in each_after_its_needs(needs):
        reader.add(key, rows[key])
    outputs = [key for key in rows if rows[key].get("_should_output_globally")]
    return {rows[key]["id"]: reader.found[key] for key in outputs}


def _parsed(dag: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    if isinstance(dag, (str, bytes)):
        try:
            dag = json.loads(dag)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"the dag is no JSON: {error}") from None
    if isinstance(dag, Mapping) and isinstance(dag.get("dag"), Mapping):
        dag = dag["dag"]
    if not isinstance(dag, Mapping):
        raise BadRequest("the dag is no object")
    return dict(dag)


def _by_id(told: Mapping[str, Any], name: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    listed = told.get(name)
    if not isinstance(listed, list) and (name == "nodes" or listed is not None):
        raise BadRequest(f"the {name} of the dag are no list")
    for row in listed or ():
        if not isinstance(row, Mapping) or not isinstance(row.get("id"), str):
            raise BadRequest(f"one of the {name} of the dag has no id")
        for field, kind in kinds.items():
            if not isinstance(row.get(field), kind):
                raise BadRequest(f"{row['id']!r} in the dag has no {field}")
        if row["id"] in rows:
            raise BadRequest(f"two of the {name} of the dag have the id {row['id']!r}")
        rows[row["id"]] = {name: one for name, one in row.items() if name != "_before"}
    return rows


def _references(row: Any) -> Iterator[str]:
    """What a node or future needs: futures by their placeholders and ids, and a node."""
    stack = [(row, 0)]
    while stack:
        one, depth = stack.pop()
        if depth > MOST_DEEP:
            raise BadRequest(f"values in the dag nest more than {MOST_DEEP} deep")
        if isinstance(one, Mapping):
            if isinstance(one.get(PLACEHOLDER), str):
                yield f"future {one[PLACEHOLDER]}"
            if "directive" in row and isinstance(one.get("future_id"), str):
                yield f"future {one['future_id']}"
            if one.get("type") == "trace" and "origin_node_id" in one and "directive" in row:
                yield f"node {one['origin_node_id']}"
            stack.extend([(inner, depth + 1) for inner in one.values()])
        elif isinstance(one, list):
            stack.extend([(inner, depth + 1) for inner in one])


@attrs.define
class _Reader:
    functions: Mapping[str, Any]
    models: Mapping[str, str]
    found: dict[str, Any] = attrs.field(factory=dict)

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """A node or future, whose needs are there."""
        try:
            if "directive" in row:
                self.found[key] = self._future(key, row["directive"])
            else:
                self.found[key] = self._node(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadRequest(f"the {key} of the dag can't be read: {error!r}") from error

    def _node(self, row: Mapping[str, Any]) -> Node:
        given = self.value(row.get("args") or {})
        if isinstance(given.get("model"), str):
            given["model"] = self.models.get(given["model"], given["model"])
        options = {name: row[name] for name in _OPTIONS if row.get(name) is not None}
        before = [self.found[one] for one in row.get("_before", ())]
        name = row["node"]
        if name == "Experimental" and given.get("name") in self.functions:
            carrier = _named_output(self.functions[given["name"]])
        else:
            carrier = self.functions.get(name)
        hide = not row.get("_should_output_globally")
        options |= {"id": row["id"], "hide": hide, "_depends": before}
        return made(name, {**given, **options}, carrier)

    def value(self, data: Any) -> Any:
        """An argument, with futures in the places of placeholders."""
        if isinstance(data, list):
            return [self.value(one) for one in data]
        if not isinstance(data, Mapping):
            return data
        if isinstance(data.get(PLACEHOLDER), str):
            return self.found[f"future {data[PLACEHOLDER]}"]
        return {name: self.value(one) for name, one in data.items()}

    def _either(self, row: Any) -> Any:
        if not isinstance(row, Mapping):
            return row
        future = row.get("future_id")
        return self.value(row.get("val")) if future is None else self.found[f"future {future}"]

    def _future(self, key: str, row: Mapping[str, Any]) -> Any:
        kind = row.get("type")
        if kind == "trace":
            return self._trace(key, row)
        if kind == "string-concat":
            return _text.concat(*[self._either(one) for one in row["items"]])
        if kind == "format":
            return _text.format(self._either(row["f_string"]), **self.value(row["variables"]))
        if kind == "jinja":
            return _text.jinja(self._either(row["template"]), **self.value(row["variables"]))
        if kind == "jq":
            return _text.jq(self._either(row["target"]), row["query"])
        raise BadRequest(f"the {key} of the dag is of an unknown type {kind!r}")

    def _trace(self, key: str, row: Mapping[str, Any]) -> Any:
        one = self.found[f"node {row['origin_node_id']}"]
        for step in row["op_stack"]:
            future = step.get("future_id")
            name = step.get("key") if future is None else self.found[f"future {future}"]
            if step["accessor"] == "attr":
                refused = unreachable(OWN()["attribute"], (one, name), {})
                if refused:
                    raise BadRequest(f"the {key} of the dag: {refused}")
                one = node(OWN()["attribute"], one, name)
            elif step["accessor"] == "item":
                one = node(OWN()["item"], one, name)
            else:
                raise BadRequest(f"the {key} of the dag has an unknown way {step['accessor']!r}")
        return one


def _named_output(function: Any) -> Any:
    """What carries out an `Experimental` node of a name."""

    async def carried(name: str, args: Mapping[str, Any], timeout: float = 60) -> Any:
        inner = attrs.evolve(made(name, args, function), timeout=timeout)
        return {"output": await inner}

    return carried
