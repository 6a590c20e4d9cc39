"""Passes: what changes a graph into one that gives the same with less work.

A pass is a function of a graph that gives a graph. `merge` leaves one of equal pure nodes, `drop`
what something wanted needs, and `BatchCalls` makes one call of several that are ready together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import attrs

from llmmw._plugins import Plugins, resolve
from llmmw.errors import BadRequest, ConfigError
from llmmw.flow._combine import gather
from llmmw.flow._contents import Contents
from llmmw.flow._events import FlowEvent, NodeError, NodeResult
from llmmw.flow._graph import Graph, Pass, merge, merge_into, ordered, with_new_inputs
from llmmw.flow._node import Executable, Operation, node
from llmmw.flow._same import arguments_key

__all__ = [
    "DEFAULT_PASSES",
    "BatchCalls",
    "Many",
    "Passes",
    "batch",
    "batchable",
    "drop",
    "improved",
    "told_for_aliases",
]

Node: TypeAlias = Executable[Any]
Passes: TypeAlias = Sequence[Pass | str]
DEFAULT_PASSES: tuple[str, ...] = ("merge",)


@attrs.frozen
class Many:
    """How several calls of an operation become one: a list goes in the place of one item, and
    a list of as many results, in its order, comes back."""

    over: str
    """The parameter that takes the item, or the list."""
    most: int = 2048
    """How many items one call takes at most."""


_FORMS: WeakKeyDictionary[Operation, Many] = WeakKeyDictionary()


def batchable(operation: Any, over: str, *, most: int = 2048) -> None:
    """Say of an executable or builtin how the pass `batch` makes one call of several.

    Args:
        operation: what `@executable` or `@builtin` made.
        over: its parameter that takes one item, or a list of them; for a list it gives a list.
        most: how many items one call takes at most.

    Raises:
        ConfigError: if it has no such parameter.
    """
    known: Operation = operation.operation
    if over not in known.parameters:
        raise ConfigError(f"{known.name} has no parameter {over!r}")
    if type(most) is not int or most < 1:
        raise ConfigError(f"most={most!r}: expected a whole number from 1 on")
    _FORMS[known] = Many(over, most)


def drop(graph: Graph) -> Graph:
    """A pass: leave out what nothing wanted needs."""
    needed = {one.id: one for one in ordered(graph.roots())}
    aliases = {key: stands for key, stands in graph.aliases.items() if stands in needed}
    return Graph(graph.value, needed, aliases)


@attrs.frozen
class BatchCalls:
    """A pass: calls of one operation with equal parameters, none of which needs another, become
    one call of all. Each id still answers, with its own item of the result.

    Only calls that are surely made take part: none of a branch that may not be taken, or of a
    `repeat`. They begin when the last of them is ready, and an error of one is an error of all.

    Args:
        forms: how calls become one, by executable or builtin; default: what `batchable` knows.
    """

    forms: Mapping[Any, Many] | None = None

    def __call__(self, graph: Graph) -> Graph:
        forms: Mapping[Operation, Many] = _FORMS
        if self.forms is not None:
            forms = {one.operation: form for one, form in self.forms.items()}
        calls = _calls(graph, forms)
        levels = _levels(graph, calls)
        groups: dict[object, list[Node]] = {}
        for one, call in calls.items():
            groups.setdefault((levels[one], call.key), []).append(one)
        joined = {one: group for group in groups.values() if len(group) > 1 for one in group}
        if not joined:
            return graph
        moved: dict[Node, Node] = {}
        items: dict[Node, Node] = {}

        def change(one: Node) -> Node:
            origin = graph.nodes[one.id]
            if origin not in joined:
                return one
            if origin not in items:
                group = joined[origin]
                items.update(_items(group, _whole(group, calls, moved)))
            return items[origin]

        several = sorted(graph.nodes.values(), key=lambda one: (levels[one], one not in joined))
        made = merge_into(graph, several, change, moved)
        nodes = {one.id: one for one in ordered([*made.roots(), *made.nodes.values()])}
        return Graph(made.value, nodes, made.aliases)


def batch(graph: Graph) -> Graph:
    """A pass: calls of what is `batchable`, such as `embed`, become one; see `BatchCalls`."""
    return BatchCalls()(graph)


@attrs.frozen(eq=False)
class _Call:
    """A call that may be one of several."""

    form: Many
    item: Any
    others: dict[str, Any]
    key: object
    """Equal for those that it may be made with."""


def _calls(graph: Graph, forms: Mapping[Operation, Many]) -> dict[Node, _Call]:
    """The calls in a graph that may be batched."""
    if not any(one.operation in forms for one in graph.nodes.values()):
        return {}
    perhaps = set(ordered({other: None for one in graph.nodes.values() for other in one.lazy}))
    found = {}
    for one in ordered(graph.roots()):
        form = forms.get(one.operation)
        if form is None or one in perhaps:
            continue
        others = dict(zip(one.operation.parameters, one.args, strict=False)) | dict(one.kwargs)
        if form.over in others and not isinstance(others[form.over], (list, tuple)):
            item = others.pop(form.over)
            key = arguments_key((), others)
            if key is not None:
                key = (id(one.operation), form, one.timeout, key)
                found[one] = _Call(form, item, others, key)
    return found


def _levels(graph: Graph, calls: Mapping[Node, _Call]) -> dict[Node, int]:
    """How many calls each node has before it, itself counted, on the longest way.

    None of two calls of one level needs the other.
    """
    levels: dict[Node, int] = {}
    for one in graph.nodes.values():
        before = max([levels[other] for other in (*one.inputs, *one.lazy)], default=0)
        levels[one] = before + (one in calls)
    return levels


def _whole(group: list[Node], calls: Mapping[Node, _Call], moved: Mapping[Node, Node]) -> Node:
    """One call for all of a group."""
    call, first = calls[group[0]], group[0]
    items = [calls[one].item for one in group]
    made = node(_BATCH, items, first.operation, call.form, call.others)
    depends = tuple(dict.fromkeys(before for one in group for before in one.depends))
    inputs = tuple(dict.fromkeys((*made.inputs, *depends)))
    made = attrs.evolve(made, inputs=inputs, depends=depends, timeout=first.timeout, hidden=True)
    return with_new_inputs(made, moved)


def _items(group: list[Node], whole: Node) -> dict[Node, Node]:
    """What stands for each call of a group: its item of the result of the whole."""
    kept = ("number", "hidden", "outputs")
    found = {}
    for place, one in enumerate(group):
        options = {name: getattr(one, name) for name in kept}
        found[one] = attrs.evolve(whole[place], label=one.id, **options)
    return found


async def _batch(
    items: list[Any], operation: Operation, form: Many, others: dict[str, Any]
) -> list[Any]:
    """Call an operation with lists of items, and with each alone that is itself a list."""
    results: list[Any] = [None] * len(items)
    places = [place for place, one in enumerate(items) if not isinstance(one, (list, tuple))]
    parts = [places[at : at + form.most] for at in range(0, len(places), form.most)]
    alone = sorted(set(range(len(items))) - set(places))

    def call(item: Any) -> Node:
        return node(operation, **{form.over: item}, **others)

    calls = [call([items[place] for place in part]) for part in parts]
    *came, singles = await gather(*calls, gather(*[call(items[place]) for place in alone]))
    for part, several in zip(parts, came, strict=True):
        if len(several) != len(part):
            name, got = operation.name, len(several)
            raise BadRequest(f"{name} was given {len(part)} items and gave {got} results")
        for place, one in zip(part, several, strict=True):
            results[place] = one
    for place, one in zip(alone, singles, strict=True):
        results[place] = one
    return results


_BATCH = Operation(
    name="batch",
    function=_batch,
    parameters=("items", "operation", "form", "others"),
    kind="batch",
)
_OWN: dict[str, Pass] = {"batch": batch, "drop": drop, "merge": merge}


def improved(value: Any, found: Contents, passes: Passes, plugins: Plugins | None) -> Graph | None:
    """What passes make of a value with these Executables in it; `None` if they change nothing.

    Raises:
        PluginError: for a name that no pass has; the message says what exists.
    """
    if not passes or (tuple(passes) == DEFAULT_PASSES and not _gains(found)):
        return None
    several = [_named(one, plugins) for one in passes]
    graph = Graph.collect(value)
    for each in several:
        graph = each(graph)
        if not isinstance(graph, Graph):
            raise BadRequest(f"the pass {each!r} gave no graph, but {graph!r}")
    return graph


def _gains(found: Iterable[Node]) -> bool:
    """Whether merging is worth it: some function was said to be pure. Operators and such cost
    less than to look for equal ones."""
    return any(one.operation.pure and one.operation.kind == "function" for one in ordered(found))


def _named(one: Pass | str, plugins: Plugins | None) -> Pass:
    if not isinstance(one, str):
        return one
    own = _OWN.get(one)
    if own is not None:
        return own
    found: Pass = resolve((plugins or Plugins()).spec("pass", one))
    return found


def told_for_aliases(
    hear: Callable[[FlowEvent], None], aliases: Mapping[str, str]
) -> Callable[[FlowEvent], None]:
    """An observer that hears of results and errors also under the ids that a node stands for."""
    others: dict[str, list[str]] = {}
    for key, stands in aliases.items():
        others.setdefault(stands, []).append(key)

    def hear_all(event: FlowEvent) -> None:
        hear(event)
        if isinstance(event, (NodeResult, NodeError)):
            for key in others.get(event.node, ()):
                hear(attrs.evolve(event, node=key))

    return hear_all if others else hear
