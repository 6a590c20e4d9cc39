"""When two nodes are the same: one pure operation, equal arguments, the same inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import attrs

from llmmw.flow._node import Executable

__all__ = ["arguments_key", "same_key"]

_EXACT = frozenset({str, int, bool, bytes, type(None)})


def same_key(node: Executable[Any]) -> Hashable | None:
    """Equal for nodes of which one is enough; `None` for one that is like no other.

    Equal arguments have equal types, too: `1`, `1.0` and `True` are three, also within frozen
    values of attrs and dataclasses. Of other classes equal ones may differ, as 1.0 and 1.00 do
    as decimals: each is only equal to itself.
    """
    operation = node.operation
    if not operation.pure:
        return None
    args = arguments_key(node.args, node.kwargs)
    if args is None:
        return None
    depends = tuple(map(id, node.depends))
    return (id(operation), args, depends, node.timeout, node.hidden, node.outputs)


def arguments_key(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable | None:
    """Equal for equal arguments; `None` for such that are like no others."""
    try:
        key: Hashable = tuple([_key(one) for one in args])
        if kwargs:
            key = (key, tuple([(name, _key(kwargs[name])) for name in sorted(kwargs)]))
        hash(key)
    except (TypeError, RecursionError):
        return None
    return key


def _key(value: Any) -> Hashable:
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]  # told apart from all others by its equality
    if kind in _EXACT:
        return (kind, value)
    if kind is Executable:
        return (Executable, id(value))
    if kind is float:
        return (float, value.hex())  # a zero has a sign
    if kind is list or kind is tuple:
        return (kind, tuple([_key(one) for one in value]))
    if kind is dict:
        return (dict, tuple([(_key(name), _key(one)) for name, one in value.items()]))
    if kind is set or kind is frozenset:
        return (kind, frozenset([_key(one) for one in value]))
    fields = _fields(kind)  # type: ignore[arg-type]  # classes can be hashed
    if fields is None:
        return (Executable, id(value))
    hash(value)  # one that has what can be changed is like no other
    return (kind, tuple([_key(getattr(value, name)) for name in fields]))


@lru_cache(maxsize=256)
def _fields(kind: Any) -> tuple[str, ...] | None:
    """What instances of a class are made of, if that is all that they are."""
    if issubclass(kind, tuple) and hasattr(kind, "_make") and kind.__eq__ is tuple.__eq__:
        return tuple(kind._fields)
    if attrs.has(kind) and kind.__hash__ is not object.__hash__:
        return tuple(one.name for one in attrs.fields(kind))
    if dataclasses.is_dataclass(kind) and kind.__hash__ is not object.__hash__:
        return tuple(one.name for one in dataclasses.fields(kind))
    return None
