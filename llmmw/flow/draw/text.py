"""A graph as lines of text: what is wanted, and below it what that needs."""

from __future__ import annotations

from typing import Any, TypeAlias

from llmmw.flow._contents import filled
from llmmw.flow._graph import Graph
from llmmw.flow._node import Executable, ids_in
from llmmw.flow.draw._picture import arguments_of, shortened

__all__ = ["as_text"]

Node: TypeAlias = Executable[Any]
_MOST_LINES = 400
_DEEPEST = 24


def as_text(graph: Graph) -> str:
    """A tree of lines. A node that several need has its own once, and `↑` in the other places.

    Lines begin with `?` for what is run only if its parent does so, and with `after` for what
    must only be done before.
    """
    lines: list[str] = []
    seen: set[Node] = set()
    tops = [*graph.roots(), *reversed(list(graph.values()))]
    stack = [(one, "", "", "", 0) for one in reversed(list(dict.fromkeys(tops)))]
    while stack:
        one, before, branch, mark, depth = stack.pop()
        if one in seen and not depth:
            continue
        if len(lines) == _MOST_LINES:
            lines.append(f"… and more: {len(graph):,} nodes in all")
            break
        needs = [] if one in seen else _needs(one)
        again = " ↑" if one in seen and (one.inputs or one.lazy) else ""
        lines.append(f"{before}{branch}{mark}{_line(one)}{again}")
        seen.add(one)
        inner = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        if depth == _DEEPEST and needs:
            lines.append(f"{inner}└─ …")
            seen.update(other for other, _ in needs)
            continue
        for place, (other, word) in enumerate(reversed(needs)):
            stack.append((other, inner, "├─ " if place else "└─ ", word, depth + 1))
    return "\n".join(lines)


def _needs(one: Node) -> list[tuple[Node, str]]:
    given: dict[Node, None] = {}
    for _, value in arguments_of(one):
        filled(value, lambda other: given.setdefault(other))
    inputs = set(one.inputs)
    several = [(other, "" if other in given else "after ") for other in one.inputs]
    return several + [(other, "? ") for other in one.lazy if other not in inputs]


def _line(one: Node) -> str:
    given = [
        f"{name}={_shown(value)}" if name else _shown(value)
        for name, value in arguments_of(one)
        if value is not None or not name
    ]
    name = f"{one.label} = {one.name}" if one.label else one.id
    return f"{name}({', '.join(given)})"


def _shown(value: Any) -> str:
    return value.id if isinstance(value, Executable) else shortened(ids_in(value))
