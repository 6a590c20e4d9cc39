"""JSON schemas as hosts want them that promise to follow one to the letter.

Such a host compiles the schema into a grammar. It wants an object, with every property required and
no others, and knows a part of the language; what stands outside of that can't be asked strictly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["DECIMAL", "has_root", "strict_form", "with_root"]

Schema: TypeAlias = Mapping[str, Any]

_KNOWN = {
    *("title", "description", "type", "const", "enum", "pattern", "anyOf", "$ref"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("format", "minItems", "maxItems", "items", "properties", "required", "additionalProperties"),
}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
DECIMAL = r"^-?\d+(\.\d+)?$"
"""Texts that are decimal numbers; such a host does not know the format."""
_NAMES = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
_AT = "#/$defs/"


def has_root(schema: Schema) -> bool:
    """Whether all that follows the schema are objects."""
    return schema.get("type") == "object" and "anyOf" not in schema


def with_root(schema: Schema) -> Schema:
    """The same schema, where it is a reference to one of its definitions, written out."""
    name = str(schema.get("$ref", "")).removeprefix(_AT)
    if name not in schema.get("$defs", {}):
        return schema
    root = dict(schema["$defs"][name])
    rest = {key: one for key, one in schema["$defs"].items() if key != name}
    if json.dumps(_AT + name) in json.dumps([root, rest]):  # it refers to itself
        rest = dict(schema["$defs"])
    return root | ({"$defs": rest} if rest else {})


class _Unknown(Exception):
    """A strict host does not know this."""


def strict_form(schema: Schema) -> Schema | None:
    """The schema as a strict host wants it; `None`, where it says what such a host can't know.

    What may be left out must be there: its default has no use any more.
    """
    if not has_root(schema):
        return None
    defs = schema.get("$defs", {})
    root = {name: one for name, one in schema.items() if name != "$defs"}
    try:
        made = _strict(root, defs)
        rest = {name: _strict(one, defs) for name, one in defs.items()}
    except (_Unknown, RecursionError):
        return None
    return made | ({"$defs": rest} if rest else {})


def _strict(schema: Any, defs: Schema) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _Unknown
    made = {name: one for name, one in schema.items() if name not in {"default", "format"}}
    if "$ref" in made:
        made.pop("title", None)
        if len(made) > 1:  # it may have no neighbours
            target = defs.get(str(made.pop("$ref")).removeprefix(_AT))
            return _strict({**(target or {"$ref": ""}), **made}, defs)
        return made
    made |= _format(schema)
    if made.keys() - _KNOWN or not made.keys() & {"type", "enum", "const", "anyOf"}:
        raise _Unknown
    if "type" not in made and "anyOf" not in made:
        made["type"] = _type_of(made["enum"] if "enum" in made else [made["const"]])
    if made.get("type") == "object":
        made |= _object(made, defs)
    elif made.get("type") == "array":
        made["items"] = _strict(made.get("items"), defs)
    if "anyOf" in made:
        made["anyOf"] = [_strict(one, defs) for one in made["anyOf"]]
    return made


def _format(schema: Schema) -> dict[str, Any]:
    form = schema.get("format")
    if form is None:
        return {}
    if form == "decimal" and "pattern" not in schema:
        return {"pattern": DECIMAL}
    if form in _FORMATS:
        return {"format": form}
    raise _Unknown


def _type_of(options: list[Any]) -> str | list[str]:
    kinds = {_NAMES.get(type(one)) for one in options}
    if None in kinds:
        raise _Unknown
    names = sorted(str(name) for name in kinds)
    return names[0] if len(names) == 1 else names


def _object(schema: Schema, defs: Schema) -> dict[str, Any]:
    members = schema.get("properties")
    if members is None or schema.get("additionalProperties", False) is not False:
        raise _Unknown
    return {
        "properties": {name: _strict(one, defs) for name, one in members.items()},
        "required": list(members),
        "additionalProperties": False,
    }
