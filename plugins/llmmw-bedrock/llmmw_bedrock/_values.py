"""Small things that all parts of this wire need. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmmw.errors import BadRequest

__all__ = ["NAME", "merged", "number", "objects", "own", "text"]

NAME = "bedrock"
"""Under which parts and requests keep what only this wire understands."""

_MOST = 2**63


def own(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for this host among those that a message, a part or a tool has besides.

    Raises:
        BadRequest: if they are no object.
    """
    fields = extra.get(NAME)
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise BadRequest(f"extra[{NAME!r}]={fields!r}: expected an object")
    return dict(fields)


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both, object within object; where they meet the other counts."""
    told = dict(one)
    for name, value in other.items():
        both = isinstance(value, Mapping) and isinstance(told.get(name), Mapping)
        told[name] = merged(told[name], value) if both else value
    return told


def text(told: Any) -> str:
    """A text; empty if it is none."""
    return told if isinstance(told, str) else ""


def number(told: Any) -> int | None:
    """A count; `None` if it is none. Headers have it as a text."""
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) < 19:
        return int(told)
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


def objects(told: Any) -> Iterable[dict[str, Any]]:
    """The objects of a list; none if it is no list."""
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
