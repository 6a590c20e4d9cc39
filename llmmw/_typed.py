"""Python's types as JSON has them: schemas of types, values out of JSON text and into it.

msgspec does it; pydantic's models do it for themselves, wherever they stand in a type. Neither is
imported before it is used.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, get_origin

import attrs

from llmmw._strict import has_root, strict_form, with_root

__all__ = ["Typed", "dump", "is_type", "load", "typed"]


@attrs.frozen
class Typed:
    """A type, and the JSON objects that stand for its values."""

    type: Any
    schema: Mapping[str, Any] = attrs.field(eq=False)
    """Of an object, since most hosts take no other: what is none is its member `value`."""
    strict: Mapping[str, Any] | None = attrs.field(eq=False)
    """The schema as hosts that promise to follow it want it, where they can."""
    is_wrapped: bool

    def load(self, text: str) -> Any:
        """The value that a JSON object stands for.

        Raises:
            ValueError: if it stands for none.
        """
        if not self.is_wrapped:
            return load(text, self.type)
        import msgspec

        members = load(text, dict[str, msgspec.Raw])
        if "value" not in members:
            raise ValueError("$.value is missing")
        return load(bytes(members["value"]), self.type)


def is_type(item: object) -> bool:
    """Whether this is a class or another type, such as `list[int]` or a `Literal`."""
    named = hasattr(item, "__supertype__") or hasattr(item, "__value__")
    return isinstance(item, type) or get_origin(item) is not None or named


def typed(kind: Any) -> Typed:
    """A type with its schemas.

    Raises:
        TypeError: if its values have no form in JSON.
    """
    try:
        hash(kind)
    except TypeError:
        return _typed(kind)
    return _remembered(kind)


def _typed(kind: Any) -> Typed:
    try:
        schema = with_root(_schema_of(kind))
    except Exception as error:
        raise TypeError(str(error)) from error
    is_wrapped = not has_root(schema)
    if is_wrapped:
        inner = {name: one for name, one in schema.items() if name != "$defs"}
        whole = {"type": "object", "properties": {"value": inner}, "required": ["value"]}
        schema = whole | ({"$defs": schema["$defs"]} if "$defs" in schema else {})
    return Typed(kind, schema, strict_form(schema), is_wrapped)


_remembered = functools.lru_cache(maxsize=1024)(_typed)


def _is_model(kind: Any) -> bool:
    """Whether this is a model of pydantic's, which knows its schema and reads its values."""
    return isinstance(kind, type) and hasattr(kind, "model_validate_json")


def _schema_of(kind: Any) -> dict[str, Any]:
    import msgspec

    if _is_model(kind):
        return dict(kind.model_json_schema())
    shared: dict[str, Any] = {}

    def schema_of_model(one: Any) -> dict[str, Any]:
        if not _is_model(one):
            raise TypeError(f"{one!r} has no form in JSON")
        schema = dict(one.model_json_schema())
        _share(shared, schema.pop("$defs", {}))
        return schema

    try:
        schema = msgspec.json.schema(kind, schema_hook=schema_of_model)
    except KeyError as error:
        raise TypeError(f"two different classes have one name: {error}") from error
    _share(shared, schema.pop("$defs", {}))
    return schema | ({"$defs": shared} if shared else {})


def _share(shared: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, one in more.items():
        if shared.setdefault(name, one) != one:
            raise TypeError(f"two different classes are named {name}")


def load(text: str | bytes, kind: Any) -> Any:
    """The value of a type that JSON text stands for.

    Raises:
        ValueError: if it stands for none.
    """
    import msgspec

    try:
        data = text.encode() if isinstance(text, str) else text
        if _is_model(kind):
            return kind.model_validate_json(data)
        return _made(msgspec.json.decode(data, type=kind, dec_hook=_model))
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    except (TypeError, ValueError) as error:
        raise ValueError(_said(error)) from error


def _model(kind: Any, given: Any) -> Any:
    import msgspec

    if not _is_model(kind):
        raise NotImplementedError
    try:
        return kind.model_validate_json(msgspec.json.encode(given))
    except ValueError as error:
        raise ValueError(_said(error)) from error


def _said(error: Exception) -> str:
    """What is wrong, in one line; pydantic says it in many."""
    rows = error.errors(include_input=False) if hasattr(error, "errors") else ()
    told = (f"{'.'.join(map(str, ('$', *row['loc'])))}: {row['msg']}" for row in rows)
    return "; ".join(told) or str(error)


def _made(item: Any) -> Any:
    """The same with each object of an attrs class made by calling it: msgspec runs validators, no
    converters."""
    kind: Any = type(item)
    if attrs.has(kind):
        fields = (field for field in attrs.fields(kind) if field.init)
        return kind(**{field.alias: _made(getattr(item, field.name)) for field in fields})
    if dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            object.__setattr__(item, field.name, _made(getattr(item, field.name)))
    elif isinstance(item, dict):
        return {name: _made(one) for name, one in item.items()}
    elif hasattr(item, "_fields"):
        return kind(*map(_made, item))
    elif isinstance(item, (list, tuple, set, frozenset)):
        return kind(map(_made, item))
    return item


def dump(item: Any) -> str:
    """JSON text of plain data, and of attrs, dataclass and pydantic objects in it; of equal data
    the same text.

    Raises:
        TypeError: if it has no form in JSON.
    """
    import msgspec

    try:
        return msgspec.json.encode(item, enc_hook=_members, order="deterministic").decode()
    except (ValueError, OverflowError, RecursionError) as error:
        raise TypeError(str(error)) from error


def _members(item: Any) -> Any:
    if _is_model(type(item)):
        return item.model_dump(mode="json")
    raise TypeError(f"a {type(item).__name__} has no form in JSON")
