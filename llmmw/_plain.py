"""Values as plain data and back: what a key is made of, and what is stored.

A value class registers with `@value`. Its plain form is a dict with its name under `"$kind"` and
every field that differs from its default; bytes are base64 text. `restore` accepts registered
names only, so nothing read from outside can build anything else.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

import attrs

from llmmw.errors import BadRequest

__all__ = [
    "canonical_key",
    "check_names",
    "default_of",
    "key_of_plain",
    "plain",
    "restore",
    "value",
]

T = TypeVar("T")

_KINDS: dict[str, type] = {}
_MAX_DEPTH = 64


def value(cls: type[T]) -> type[T]:
    """Register an attrs class as one whose instances have a plain form."""
    _KINDS[cls.__name__] = cls
    return cls


def plain(item: object, depth: int = 0) -> Any:
    """The plain form of a value: dicts, lists, strings, numbers, booleans and `None`.

    Raises:
        BadRequest: for a type that has no plain form, or nesting deeper than 64.
    """
    if item is None or isinstance(item, (str, bool, int, float)):
        return item
    if depth > _MAX_DEPTH:
        raise BadRequest(f"a request may nest {_MAX_DEPTH} levels deep, this one nests deeper")
    if isinstance(item, bytes):
        return {"$kind": "bytes", "base64": base64.b64encode(item).decode()}
    if isinstance(item, Mapping):
        return {str(name): plain(one, depth + 1) for name, one in item.items()}
    if isinstance(item, (list, tuple)):
        return [plain(one, depth + 1) for one in item]
    if _KINDS.get(type(item).__name__) is type(item):
        made = {"$kind": type(item).__name__}
        for name, default in _defaults_of(cast("Any", type(item))):
            given = getattr(item, name)
            if given is not default and given != default:
                made[name] = plain(given, depth + 1)
        return made
    raise BadRequest(f"{type(item).__name__} has no place in a request: use plain data")


@cache
def _defaults_of(kind: Any) -> list[tuple[str, object]]:
    """The fields that count, each with its default, which is only compared with."""
    fields = attrs.fields(kind)
    return [(field.name, default_of(field)) for field in fields if field.init and field.eq]


def default_of(field: attrs.Attribute[Any]) -> object:
    """The default of an attrs field; made anew where a factory makes it."""
    made: Any = field.default
    if not hasattr(made, "factory"):
        return made
    return attrs.NOTHING if made.takes_self else made.factory()


def restore(data: Any, depth: int = 0) -> Any:
    """The value whose plain form is `data`; the inverse of `plain`.

    Raises:
        BadRequest: for an unknown kind, unknown fields, or nesting deeper than 64.
    """
    if depth > _MAX_DEPTH:
        raise BadRequest(f"stored data may nest {_MAX_DEPTH} levels deep, this nests deeper")
    if isinstance(data, list):
        return tuple(restore(one, depth + 1) for one in data)
    if not isinstance(data, Mapping):
        return data
    fields = {name: restore(one, depth + 1) for name, one in data.items() if name != "$kind"}
    kind = data.get("$kind")
    if kind is None:
        return fields
    if kind == "bytes":
        return base64.b64decode(str(fields.get("base64", "")))
    if kind not in _KINDS:
        raise BadRequest(f"unknown kind of value {kind!r}; known are {', '.join(sorted(_KINDS))}")
    try:
        return _KINDS[kind](**fields)
    except TypeError as error:
        raise BadRequest(f"{kind}: {error}") from error


def canonical_key(item: object) -> str:
    """A 128-bit hash over the plain form.

    Equal for equal values, whatever the order of dicts and the Unicode form of texts (NFC).
    """
    return key_of_plain(plain(item))


def key_of_plain(data: Any) -> str:
    """The `canonical_key` of what has this plain form."""
    encoded = _encoded(data)
    if not encoded.isascii() or _FLOAT.search(encoded):  # else `_normal` changes nothing
        encoded = _encoded(_normal(data))
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


_FLOAT = re.compile(rb"\.0|\de")


def _encoded(data: Any) -> bytes:
    import orjson  # kept out of `import llmmw`

    try:
        return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates: rare, and still a key
        return json.dumps(data, sort_keys=True).encode()


def _normal(data: Any) -> Any:
    if isinstance(data, str):
        return data if data.isascii() else unicodedata.normalize("NFC", data)
    if isinstance(data, float) and data.is_integer():
        return int(data)
    if isinstance(data, dict):
        return {_normal(name): _normal(one) for name, one in data.items()}
    if isinstance(data, list):
        return [_normal(one) for one in data]
    return data


def check_names(given: Iterable[str], kind: type, also: Iterable[str] = ()) -> None:
    """Raise `BadRequest` for a name that is no field of `kind`, with the nearest that is."""
    known = [field.name for field in attrs.fields(kind) if field.init] + list(also)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise BadRequest(f"{kind.__name__} has no parameter {name!r}; {hint}")
