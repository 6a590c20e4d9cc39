"""The names by which saved graphs know the library's own operations, and what they may not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from llmmw.flow import _combine, _node, _prompt, _text, _through
from llmmw.flow._node import OPERATORS, Operation

__all__ = ["MOST_DEEP", "OWN", "TYPES", "name_of_own", "unreachable"]

MOST_DEEP = 200
"""How deep values may nest."""
TYPES: dict[str, Any] = {
    one.__name__: one for one in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)
}
"""Classes of Python that a value may name."""
_INSIDE = frozenset({"format", "format_map", "mro"})
_FRAMES = ("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_", "im_")


@cache
def OWN() -> dict[str, Operation]:  # noqa: N802 (a table, made when it is first needed)
    """The library's own operations by name."""
    several = {
        "item": _node._ITEM,  # noqa: SLF001 (their names in JSON are this file's)
        "attribute": _node._ATTRIBUTE,  # noqa: SLF001
        "call": _node._CALL,  # noqa: SLF001
        "parallel": _combine._GATHER,  # noqa: SLF001
        "parallel_with": _combine._PARALLEL,  # noqa: SLF001
        "serial": _combine._SERIAL,  # noqa: SLF001
        "map": _combine._MAP,  # noqa: SLF001
        "repeat": _combine._REPEAT,  # noqa: SLF001
        "if": _combine._IF,  # noqa: SLF001
        "box": _combine._BOX,  # noqa: SLF001
        "concat": _text._CONCAT,  # noqa: SLF001
        "format": _text._FORMAT,  # noqa: SLF001
        "jinja": _text._JINJA,  # noqa: SLF001
        "jq": _text._JQ,  # noqa: SLF001
        "prompt": _prompt._PROMPT,  # noqa: SLF001
        "through": _through._THROUGH,  # noqa: SLF001
    }
    return {**OPERATORS, **several}


def name_of_own(operation: Operation) -> str | None:
    """The name of one of the library's own operations."""
    return next((name for name, one in OWN().items() if one is operation), None)


def unreachable(operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Why a node that was read may not be, or `""`: it reaches for what is private."""
    if operation is not OWN()["attribute"]:
        return ""
    if len(args) != 2 or kwargs or not isinstance(args[1], str):
        return "an attribute has a value and a name"
    name = args[1]
    if name.startswith(("_", *_FRAMES)) or name in _INSIDE:
        return f"the attribute {name!r} may not be reached from a graph that was read"
    return ""
