"""Whether a value follows a JSON schema: the part of draft 2020-12 that hosts take for answers.

What is not known here is not checked: formats, references to other documents, conditions.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

__all__ = ["mismatch"]

Schema: TypeAlias = Any
_Found: TypeAlias = Iterator[str]


def mismatch(given: Any, schema: Schema) -> str | None:
    """The first thing that is wrong with a value, with its place; `None`: it fits."""
    try:
        return next(_wrong(given, schema, schema, "$"), None)
    except RecursionError:
        return "$ nests too deep to be checked"


def _wrong(given: Any, schema: Schema, root: Schema, at: str) -> _Found:
    if schema is False:
        yield f"{at} must not be there"
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        yield from _wrong(given, _referred(schema["$ref"], root), root, at)
    yield from _kind(given, schema, at)
    yield from _choices(given, schema, root, at)
    if isinstance(given, dict):
        yield from _object(given, schema, root, at)
    elif isinstance(given, list):
        yield from _list(given, schema, root, at)
    elif isinstance(given, str):
        yield from _text(given, schema, at)
    elif _is_number(given):
        yield from _bounds(given, schema, at, _LIMITS)


def _referred(reference: Any, root: Schema) -> Schema:
    """What `#/$defs/name` names; another document is not looked at."""
    found = root
    if not isinstance(reference, str) or not reference.startswith("#"):
        return True
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            return True
        found = found[key]
    return found


def _is_number(given: Any) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def _is_whole(given: float) -> bool:
    return math.isclose(given, round(given), rel_tol=1e-9)


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda given: given is None,
    "boolean": lambda given: isinstance(given, bool),
    "integer": lambda given: _is_number(given) and float(given).is_integer(),
    "number": _is_number,
    "string": lambda given: isinstance(given, str),
    "array": lambda given: isinstance(given, list),
    "object": lambda given: isinstance(given, dict),
}


def _kind(given: Any, schema: Mapping[str, Any], at: str) -> _Found:
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, (list, tuple)) else [kinds]
    if kinds and not any(_KINDS.get(kind, lambda _: True)(given) for kind in kinds):
        yield f"{at} must be {' or '.join(map(str, kinds))}"


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON, where `true` is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _choices(given: Any, schema: Mapping[str, Any], root: Schema, at: str) -> _Found:
    if "const" in schema and not _same(given, schema["const"]):
        yield f"{at} must be {schema['const']!r}"
    if "enum" in schema and not any(_same(given, one) for one in schema["enum"]):
        yield f"{at} must be one of {', '.join(map(repr, schema['enum']))}"
    for one in schema.get("allOf", ()):
        yield from _wrong(given, one, root, at)

    def fits(one: Schema) -> bool:
        return next(_wrong(given, one, root, at), None) is None

    if "anyOf" in schema and not any(map(fits, schema["anyOf"])):
        yield f"{at} fits none of anyOf"
    if "oneOf" in schema and sum(map(fits, schema["oneOf"])) != 1:
        yield f"{at} must fit exactly one of oneOf"
    if "not" in schema and fits(schema["not"]):
        yield f"{at} fits what it must not"


def _object(given: Any, schema: Mapping[str, Any], root: Schema, at: str) -> _Found:
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for name in schema.get("required", ()):
        if name not in given:
            yield f"{at}.{name} is missing"
    for name, one in given.items():
        fitting = [inner for pattern, inner in patterns.items() if _matches(pattern, name)]
        if name in known:
            fitting.append(known[name])
        for inner in fitting or [schema.get("additionalProperties", True)]:
            yield from _wrong(one, inner, root, f"{at}.{name}")
    yield from _bounds(len(given), schema, at, _MEMBERS)


def _list(given: Any, schema: Mapping[str, Any], root: Schema, at: str) -> _Found:
    first = schema.get("prefixItems", ())
    for place, one in enumerate(given):
        inner = first[place] if place < len(first) else schema.get("items", True)
        yield from _wrong(one, inner, root, f"{at}[{place}]")
    pairs = itertools.combinations(given, 2) if schema.get("uniqueItems") is True else ()
    if any(_same(*pair) for pair in pairs):
        yield f"{at} has an item twice"
    yield from _bounds(len(given), schema, at, _ITEMS)


def _text(given: str, schema: Mapping[str, Any], at: str) -> _Found:
    if "pattern" in schema and not _matches(schema["pattern"], given):
        yield f"{at} does not match {schema['pattern']!r}"
    yield from _bounds(len(given), schema, at, _LENGTH)


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # of another dialect
        return True


_Bounds: TypeAlias = Mapping[str, tuple[str, Callable[[Any, Any], bool]]]
_LIMITS: _Bounds = {
    "minimum": ("be at least", lambda given, limit: given >= limit),
    "maximum": ("be at most", lambda given, limit: given <= limit),
    "exclusiveMinimum": ("be above", lambda given, limit: given > limit),
    "exclusiveMaximum": ("be below", lambda given, limit: given < limit),
    "multipleOf": ("be a multiple of", lambda given, step: _is_whole(given / step)),
}


def _counted(what: str) -> _Bounds:
    return {
        f"min{what}": ("be longer: at least", _LIMITS["minimum"][1]),
        f"max{what}": ("be shorter: at most", _LIMITS["maximum"][1]),
    }


_MEMBERS, _ITEMS, _LENGTH = _counted("Properties"), _counted("Items"), _counted("Length")


def _bounds(number: float, schema: Mapping[str, Any], at: str, bounds: _Bounds) -> _Found:
    for name, (words, holds) in bounds.items():
        limit = schema.get(name)
        if limit is not None and not holds(number, limit):
            yield f"{at} must {words} {limit}"
