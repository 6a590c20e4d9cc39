"""Executables within values: found in containers of any depth, and replaced by what they gave."""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from llmmw.errors import BadRequest

if TYPE_CHECKING:
    from llmmw.flow._node import Executable

__all__ = ["Contents", "contents_of", "filled"]

Contents: TypeAlias = "dict[Executable[Any], None]"
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_MOST = 200


def contents_of(value: Any, found: Contents, depth: int = 0) -> Any:
    """A value whose containers are copied and whose futures are Executables; those are noted.

    Instances of dataclasses and attrs classes are copied where they hold any, else kept.

    Raises:
        BadRequest: if containers nest more than 200 deep.
    """
    from llmmw.flow._node import Executable, Future

    if type(value) in _PLAIN:
        return value
    if isinstance(value, Executable):
        found[value] = None
        return value
    if type(value) is Future:
        found[value.__node__] = None
        return value.__node__
    if depth > _MOST:
        raise BadRequest(f"the arguments of a node nest more than {_MOST} deep")
    return _rebuilt(value, lambda one: contents_of(one, found, depth + 1))


def filled(value: Any, result: Callable[[Executable[Any]], Any]) -> Any:
    """A value with the results of the Executables in it in their places."""
    from llmmw.flow._node import Executable

    if type(value) in _PLAIN:
        return value
    if isinstance(value, Executable):
        return result(value)
    return _rebuilt(value, lambda one: filled(one, result))


def _rebuilt(value: Any, each: Callable[[Any], Any]) -> Any:
    kind = type(value)
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return kind([each(one) for one in value])
    if kind is dict:
        return {each(key): each(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(kind, "_make"):
        return kind._make([each(one) for one in value])
    if kind.__module__.startswith("llmmw."):
        return value  # frozen values of ours hold none
    names = _fields(kind)
    if isinstance(value, (dict, list, deque)):
        return _refilled(value, each) if _holds_any(value) else value
    if not names or not _holds_any(value):
        return value
    replace: Callable[..., Any] = attrs.evolve if attrs.has(kind) else dataclasses.replace
    return replace(value, **{given: each(getattr(value, name)) for name, given in names.items()})


def _refilled(value: Any, each: Callable[[Any], Any]) -> Any:
    """A container of another class, as it is but for what is in it."""
    made = copy.copy(value)
    made.clear()
    if isinstance(value, dict):
        for key, one in value.items():
            made[each(key)] = each(one)
    else:
        made.extend([each(one) for one in value])
    return made


def _fields(kind: type) -> dict[str, str]:
    """The fields of a class, and the names by which they are given to it."""
    if attrs.has(kind):
        return {one.name: one.alias or one.name for one in attrs.fields(kind) if one.init}
    if dataclasses.is_dataclass(kind):
        return {one.name: one.name for one in dataclasses.fields(kind) if one.init}
    return {}


def _holds_any(value: Any) -> bool:
    """Whether there is an Executable in a value, which may hold itself, too."""
    from llmmw.flow._node import Executable, Future

    stack, seen = [value], {}
    while stack:
        one = stack.pop()
        if isinstance(one, (Executable, Future)):
            return True
        if type(one) in _PLAIN or id(one) in seen:
            continue
        seen[id(one)] = one  # kept, so that its id is nobody else's
        if isinstance(one, (list, tuple, set, frozenset, deque)):
            stack.extend(one)
        elif isinstance(one, dict):
            stack.extend([*one, *one.values()])
        else:
            stack.extend([getattr(one, name, None) for name in _fields(type(one))])
    return False
