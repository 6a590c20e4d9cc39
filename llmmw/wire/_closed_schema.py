"""JSON schemas as hosts of Claude take them: a subset. Pure.

What the subset lacks (bounds of numbers, lengths, patterns, …) is told to the model in the
description instead of binding it, and objects are closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from llmmw.errors import BadRequest

__all__ = ["closed_schema"]

Json = dict[str, Any]

_KEPT = frozenset(
    {
        *("type", "title", "description", "enum", "const", "default", "required", "format"),
        *("properties", "additionalProperties", "items", "anyOf", "allOf", "$defs", "definitions"),
        *("$ref", "minItems"),
    }
)
_BESIDE_REF = frozenset({"$ref", "$defs", "definitions"})
"""A reference stands alone."""
_SILENT = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples"})
"""What binds nobody."""
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf")
_FORMATS = frozenset(
    {
        *("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6"),
        "uuid",
    }
)


def closed_schema(schema: Mapping[str, Any], lost: Callable[[str], None]) -> Json:
    """A schema of an answer in the subset that hosts of Claude take.

    Objects are closed. What the subset lacks (bounds, patterns, …) is told in descriptions.

    Args:
        schema: any JSON schema.
        lost: told the name of each keyword that binds no more.

    Raises:
        BadRequest: for a schema that nests too deeply.
    """
    try:
        return _closed(schema, lost)
    except RecursionError:
        pass
    raise BadRequest("the JSON schema nests too deeply")


def _closed(schema: Mapping[str, Any], lost: Callable[[str], None]) -> Json:
    told, words = _parted(schema)
    for name in _MAPS:
        if isinstance(told.get(name), Mapping):
            told[name] = {key: _sub(one, lost) for key, one in told[name].items()}
    for name in _LISTS:
        if isinstance(told.get(name), list):
            told[name] = [_sub(one, lost) for one in told[name]]
    if "items" in told:
        told["items"] = _sub(told["items"], lost)
    if told.get("type") == "object" or "properties" in told:
        if told.get("additionalProperties", False) is not False:
            lost("additionalProperties")
        told["additionalProperties"] = False
    for name in words:
        lost(name)
    if words and "$ref" not in told:
        said = ", ".join(f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in words.items())
        before = told.get("description")
        told["description"] = f"{before}\n\n{{{said}}}" if before else f"{{{said}}}"
    return told


def _parted(schema: Mapping[str, Any]) -> tuple[Json, Json]:
    """What binds the model, and what it is only told of."""
    kept = _BESIDE_REF if "$ref" in schema else _KEPT
    told = {name: one for name, one in schema.items() if name in kept}
    words = {name: one for name, one in schema.items() if name not in kept | _SILENT}
    if "$ref" in schema:
        return told, words
    if isinstance(words.get("oneOf"), list):
        told["anyOf"] = words.pop("oneOf")
    if str(told.get("format", "date")) not in _FORMATS:
        words["format"] = told.pop("format")
    if told.get("minItems", 0) not in (0, 1):
        words["minItems"] = told.pop("minItems")
    return told, words


def _sub(schema: Any, lost: Callable[[str], None]) -> Any:
    return _closed(schema, lost) if isinstance(schema, Mapping) else schema
