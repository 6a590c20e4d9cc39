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
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from itertools import compress
from operator import attrgetter, is_not
from typing import Any, TypeVar, cast

import attrs

from llmmw.errors import BadRequest

__all__ = [
    "canonical_key",
    "check_names",
    "copied",
    "default_of",
    "key_of_plain",
    "plain",
    "reader",
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


def plain(item: Any, depth: int = 0, changeable: list[Any] | None = None) -> Any:
    """The plain form of a value: dicts, lists, strings, numbers, booleans and `None`.

    A whole float is written as an integer. What of the value can be changed in place, or can get
    something in it, is added to `changeable`. Quick, since every cached call has one made.

    Raises:
        BadRequest: for a type that has no plain form, or nesting deeper than 64.
    """
    kind: Any = type(item)
    if kind in _ATOMS:
        return item
    if kind is tuple and depth <= _MAX_DEPTH:
        return [plain(one, depth + 1, changeable) for one in item]
    is_ours = _KINDS.get(kind.__name__) is kind
    if not is_ours or depth > _MAX_DEPTH:
        return _plain_data(item, depth, changeable)
    shape, made = _shape_of(kind), {"$kind": kind.__name__}
    given = shape.read(item)
    for place in compress(shape.places, map(is_not, given, shape.defaults)):
        one, default = given[place], shape.defaults[place]
        if type(default) is dict and changeable is not None:
            changeable.append(one)
        if one != default:
            name = shape.names[place]
            made[name] = one if type(one) in _ATOMS else plain(one, depth + 1, changeable)
    return made


_ATOMS: frozenset[Any] = frozenset({str, bool, int, type(None)})


def _plain_data(item: object, depth: int, changeable: list[Any] | None) -> Any:
    if isinstance(item, (str, int)):
        return item
    if isinstance(item, float):
        return int(item) if item.is_integer() else item
    if depth > _MAX_DEPTH:
        raise BadRequest(f"a request may nest {_MAX_DEPTH} levels deep, this one nests deeper")
    if isinstance(item, bytes):
        return {"$kind": "bytes", "base64": base64.b64encode(item).decode()}
    if changeable is not None:
        changeable.append(item)
    if isinstance(item, Mapping):
        return {str(name): plain(one, depth + 1, changeable) for name, one in item.items()}
    if isinstance(item, (list, tuple)):
        return [plain(one, depth + 1, changeable) for one in item]
    raise BadRequest(f"{type(item).__name__} has no place in a request: use plain data")


@attrs.frozen
class _Shape:
    """The fields of a kind of values that count."""

    names: tuple[str, ...]
    defaults: tuple[object, ...]
    """They are only compared with."""
    places: range
    read: Callable[[Any], tuple[Any, ...]]


@cache
def _shape_of(kind: Any) -> _Shape:
    rows = {f.name: default_of(f) for f in attrs.fields(kind) if f.init and f.eq}
    return _Shape(tuple(rows), tuple(rows.values()), range(len(rows)), reader(rows))


def reader(names: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Reads these attributes of an object, all at once."""
    several = tuple(names)
    if len(several) > 1:
        return attrgetter(*several)
    return lambda item: tuple([getattr(item, name) for name in several])


def copied(item: T, **changes: Any) -> T:
    """The same value once more with some fields set: nothing is converted or checked, so that it
    takes a fraction of the time of `attrs.evolve`."""
    kind: Any = type(item)
    other = _copier(kind)(item)
    for name, given in changes.items():
        setattr(other, name, given)
    other.__class__ = kind  # and so it is frozen
    return cast("T", other)


@cache
def _copier(kind: Any) -> Callable[[Any], Any]:
    """What copies all fields into a value that is not frozen yet: written out, as attrs writes what
    makes one, since a loop takes ten times as long."""
    body = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__, "__slots__": ()}
    names: dict[str, Any] = {"new": object.__new__, "thawed": type(kind)("Thawed", (kind,), body)}
    rows = [f"    other.{field.name} = item.{field.name}" for field in attrs.fields(kind)]
    lines = ["def copy(item):", "    other = new(thawed)", *rows, "    return other"]
    exec("\n".join(lines), names)  # noqa: S102 (nothing but names of fields)
    copier: Callable[[Any], Any] = names["copy"]
    return copier


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
    import orjson  # kept out of `import llmmw`

    try:
        encoded = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
        if not encoded.isascii() and not unicodedata.is_normalized("NFC", encoded.decode()):
            encoded = orjson.dumps(_normal(data), option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates: rare, and still a key
        encoded = json.dumps(_normal(data), sort_keys=True).encode()
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


def _normal(data: Any) -> Any:
    if isinstance(data, str):
        return data if data.isascii() else unicodedata.normalize("NFC", data)
    if isinstance(data, dict):
        return {_normal(name): _normal(one) for name, one in data.items()}
    if isinstance(data, list):
        return [_normal(one) for one in data]
    return data


def check_names(given: Iterable[str], kind: type, also: Collection[str] = ()) -> None:
    """Raise `BadRequest` for a name that is no field of `kind`, with the nearest that is."""
    names = _names_of(kind)
    for name in given:
        if name not in names and name not in also:
            known = [*names, *also]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise BadRequest(f"{kind.__name__} has no parameter {name!r}; {hint}")


@cache
def _names_of(kind: Any) -> Mapping[str, None]:
    return {field.name: None for field in attrs.fields(kind) if field.init}
