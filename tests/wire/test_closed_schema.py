"""Schemas in the subset that hosts of Claude take."""

from __future__ import annotations

import pytest

from llmmw.errors import BadRequest
from llmmw.wire import closed_schema


def closed(schema):
    lost: list[str] = []
    return closed_schema(schema, lost.append), lost


def test_objects_are_closed_at_each_depth():
    row = {"type": "object", "properties": {"x": {"type": "integer"}}}
    told, lost = closed(row | {"$defs": {"Row": row}, "items": row, "anyOf": [row]})
    ours = row | {"additionalProperties": False}
    assert told == ours | {"$defs": {"Row": ours}, "items": ours, "anyOf": [ours]}
    assert lost == []


def test_what_binds_no_more_is_told_to_the_model_and_to_the_caller():
    told, lost = closed({"type": "integer", "description": "Age.", "minimum": 0, "maximum": 150})
    described = "Age.\n\n{minimum: 0, maximum: 150}"
    assert told == {"type": "integer", "description": described}
    assert lost == ["minimum", "maximum"]
    told, lost = closed({"type": "array", "minItems": 3, "items": {"format": "regex"}})
    assert told == {
        "type": "array",
        "items": {"description": '{format: "regex"}'},
        "description": "{minItems: 3}",
    }
    assert lost == ["format", "minItems"]
    _, lost = closed({"type": "object", "additionalProperties": {"type": "string"}})
    assert lost == ["additionalProperties"]


def test_what_is_said_in_another_word():
    assert closed({"oneOf": [{"type": "null"}]}) == ({"anyOf": [{"type": "null"}]}, [])
    told = closed({"$ref": "#/$defs/A", "title": "x", "minLength": 1})
    assert told == ({"$ref": "#/$defs/A"}, ["minLength"])
    assert closed({"$schema": "x", "$id": "y", "const": 1}) == ({"const": 1}, [])


def test_a_schema_that_nests_too_deeply():
    schema: dict = {}
    for _ in range(100_000):
        schema = {"items": schema}
    with pytest.raises(BadRequest, match="nests too deeply"):
        closed(schema)
    while schema:  # freed from the outside in
        schema = schema["items"]
