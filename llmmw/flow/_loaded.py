"""Graphs out of JSON: checked before anything is made, and nothing in it is executed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from llmmw._plain import restore
from llmmw.errors import BadRequest, PluginError
from llmmw.flow._builtin import Builtin
from llmmw.flow._executable import Flow, executable
from llmmw.flow._graph import Graph, check_order
from llmmw.flow._named import MOST_DEEP, OWN, TYPES, unreachable
from llmmw.flow._node import Executable, Operation, node
from llmmw.flow._prompt import Prompt
from llmmw.flow._registry import in_force

__all__ = ["each_after_its_needs", "from_json"]

Node: TypeAlias = Executable[Any]
_MOST_LONG = 64 * 2**20
_FIELDS = {"id", "do", "args", "with", "depends", "timeout", "outputs", "hidden"}


def from_json(text: str | bytes, functions: Mapping[str, Any] | Iterable[Any] = ()) -> Graph:
    """What `Graph.from_json` does."""
    if len(text) > _MOST_LONG:
        raise BadRequest(f"a graph may have {_MOST_LONG:,} characters, this has {len(text):,}")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"this is no graph in JSON: {error}") from None
    if not isinstance(told, dict) or told.get("graph") != 1:
        raise BadRequest('this is no graph in JSON: it has no "graph": 1')
    rows = _rows(told)
    reader = _Reader(_by_name(functions))
    needs = {key: list(_needs(row)) for key, row in rows.items()}
    _check_there(rows, {**needs, "the value": list(_references(told.get("value")))})
    check_order(needs)
    for key in each_after_its_needs(needs):
        reader.nodes[key] = reader.node(key, rows[key])
    aliases = told.get("aliases", {})
    if not isinstance(aliases, dict) or not set(map(str, aliases.values())) <= rows.keys():
        raise BadRequest("the aliases of the graph name nodes that are not there")
    return Graph(reader.of(told.get("value"), "the value"), reader.nodes, dict(aliases))


def _rows(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes in JSON by their id."""
    rows: dict[str, dict[str, Any]] = {}
    listed = told.get("nodes")
    if not isinstance(listed, list):
        raise BadRequest('this is no graph in JSON: its "nodes" are no list')
    for row in listed:
        if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not row["id"]:
            raise BadRequest("this is no graph in JSON: a node has no id")
        unknown = row.keys() - _FIELDS
        if unknown:
            raise BadRequest(f"the node {row['id']!r} has an unknown field {min(unknown)!r}")
        for name, kind in (("args", list), ("with", dict), ("depends", list), ("do", str)):
            if not isinstance(row.get(name, kind()), kind):
                raise BadRequest(f"the node {row['id']!r}: {name!r} is no {kind.__name__}")
        if not all(isinstance(one, str) for one in row.get("depends", ())):
            raise BadRequest(f"the node {row['id']!r}: 'depends' are no ids")
        if rows.setdefault(row["id"], row) is not row:
            raise BadRequest(f"two nodes have the id {row['id']!r}")
    return rows


def _needs(row: dict[str, Any]) -> Iterator[str]:
    yield from dict.fromkeys(_references([row.get("args"), row.get("with"), row.get("depends")]))
    yield from row.get("depends", ())


def _references(data: Any) -> Iterator[str]:
    """The ids of the nodes in a value in JSON."""
    stack = [(data, 0)]
    while stack:
        one, depth = stack.pop()
        if depth > 3 * MOST_DEEP:
            raise BadRequest(f"values nest more than {MOST_DEEP} deep")
        if isinstance(one, dict):
            if one.keys() == {"$node"}:
                yield str(one["$node"])
            stack.extend([(inner, depth + 1) for inner in one.values()])
        elif isinstance(one, list):
            stack.extend([(inner, depth + 1) for inner in one])


def _check_there(rows: Mapping[str, Any], needs: Mapping[str, list[str]]) -> None:
    for key, several in needs.items():
        for one in several:
            if one not in rows:
                raise BadRequest(f"{key!r} needs the node {one!r}, which is not there")


def each_after_its_needs(needs: Mapping[str, list[str]]) -> Iterator[str]:
    """As they are listed, but for those that need a later one."""
    seen: set[str] = set()
    for first in needs:
        stack = [(first, False)]
        while stack:
            key, ready = stack.pop()
            if ready:
                yield key
            elif key not in seen:
                seen.add(key)
                stack.append((key, True))
                stack.extend([(other, False) for other in reversed(needs[key])])


def _by_name(functions: Mapping[str, Any] | Iterable[Any]) -> dict[str, Any]:
    if isinstance(functions, Mapping):
        return dict(functions)
    found: dict[str, Any] = {}
    for one in functions:
        operation = getattr(one, "operation", None)
        name = getattr(one, "__name__", repr(one)) if operation is None else operation.name
        if found.setdefault(name, one) is not one:
            raise BadRequest(f"two functions are named {name!r}: give them as a dict")
    return found


@attrs.define
class _Reader:
    """Values and nodes out of JSON."""

    functions: dict[str, Any]
    nodes: dict[str, Node] = attrs.field(factory=dict)

    def node(self, key: str, row: dict[str, Any]) -> Node:
        where = f"the node {key!r}"
        args = [self.of(one, where) for one in row.get("args", ())]
        kwargs = {name: self.of(one, where) for name, one in row.get("with", {}).items()}
        operation = self._operation(row.get("do", ""), where)
        refused = unreachable(operation, args, kwargs)
        if refused:
            raise BadRequest(f"{where}: {refused}")
        made = node(operation, *args, **kwargs)
        depends = tuple(dict.fromkeys(self.nodes[one] for one in row.get("depends", ())))
        inputs = tuple(dict.fromkeys((*made.inputs, *depends)))
        names = ("timeout", "outputs", "hidden")
        options: dict[str, Any] = {name: row[name] for name in names if name in row}
        _check_options(options, where)
        return attrs.evolve(made, label=key, inputs=inputs, depends=depends, **options)

    def _operation(self, told: str, where: str) -> Operation:
        kind, _, name = told.partition(":")
        if kind not in ("builtin", "function") or not name:
            if told in OWN():
                return OWN()[told]
            known = ", ".join(sorted(OWN()))
            raise BadRequest(f"{where} does {told!r}, which is none of {known}")
        found = self._function(name, where)
        if isinstance(found, (Flow, Builtin)):
            return found.operation
        if not callable(found):
            raise BadRequest(f"{where} needs a function {name!r}, not {found!r}")
        return executable(found).operation

    def _function(self, name: object, where: str) -> Any:
        if name in self.functions:
            return self.functions[str(name)]
        try:
            return in_force.get().builtin(str(name))
        except PluginError:
            raise BadRequest(
                f"{where} needs {name!r}, which is no builtin: give it as "
                f"from_json(text, functions={{{name!r}: …}})"
            ) from None

    def of(self, data: Any, where: str, depth: int = 0) -> Any:
        """The value that JSON has the form of."""
        if depth > MOST_DEEP:
            raise BadRequest(f"{where}: values nest more than {MOST_DEEP} deep")
        if isinstance(data, list):
            return [self.of(one, where, depth + 1) for one in data]
        if not isinstance(data, dict):
            return data
        form = next(iter(data), "")
        if len(data) != 1 or not form.startswith("$"):
            return {name: self.of(one, where, depth + 1) for name, one in data.items()}
        try:
            return self._formed(form, data[form], where, depth + 1)
        except (TypeError, ValueError, KeyError) as error:
            raise BadRequest(f"{where}: {form} can't be read: {error}") from error

    def _formed(self, form: str, given: Any, where: str, depth: int) -> Any:
        if form == "$node":
            return self.nodes[given]
        if form in ("$tuple", "$set", "$frozenset"):
            kind = {"$tuple": tuple, "$set": set, "$frozenset": frozenset}[form]
            return kind(self.of(one, where, depth) for one in given)
        if form == "$dict":
            rows = [[self.of(one, where, depth) for one in row] for row in given]
            return {name: one for name, one in rows}  # noqa: C416 (rows are lists)
        if form == "$function":
            return self._function(given, where)
        if form == "$prompt":
            template, language = given
            return Prompt(template, language=language)
        if form not in _SIMPLE:
            raise BadRequest(f"{where}: no value has the form {form!r}")
        return _SIMPLE[form](given)


def _bytes(given: str) -> bytes:
    return base64.b64decode(given, validate=True)


_SIMPLE: dict[str, Callable[[Any], Any]] = {
    "$float": float,
    "$bytes": _bytes,
    "$type": TYPES.__getitem__,
    "$value": restore,
}


def _check_options(options: dict[str, Any], where: str) -> None:
    for name, kinds in (("timeout", (int, float)), ("outputs", (int,)), ("hidden", (bool,))):
        if name in options and type(options[name]) not in kinds:
            raise BadRequest(f"{where}: {name}={options[name]!r} can't be")
        if name != "hidden" and not options.get(name, 0) >= 0:
            raise BadRequest(f"{where}: {name}={options[name]!r} is less than 0")
