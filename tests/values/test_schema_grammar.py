"""JSON schemas as grammars: what a grammar accepts follows its schema."""

from __future__ import annotations

import dataclasses
import datetime
import json
import random
import time
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import JsonSchema
from llmmw._schema import mismatch
from llmmw._schema_grammar import schema_grammar
from llmmw.errors import UnsupportedFeature
from tests.values import gbnf

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | TEXTS
NUMBERS = st.integers(-5, 5)


def limits(**kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=kinds)


LEAVES = st.one_of(
    st.sampled_from([{}, {"type": "boolean"}, {"type": "null"}, {"type": "number"}]),
    st.builds(lambda more: {"type": "string", **more}, limits(minLength=st.integers(0, 3))),
    st.builds(lambda n, more: {"type": "string", "minLength": n, "maxLength": n + more},
              st.integers(0, 3), st.integers(0, 3)),
    st.builds(lambda more: {"type": "integer", **more}, limits(minimum=NUMBERS, maximum=NUMBERS)),
    st.builds(lambda more: {"type": "integer", **more},
              limits(exclusiveMinimum=NUMBERS, exclusiveMaximum=NUMBERS)),
    st.builds(lambda low: {"type": "number", "minimum": low}, st.integers(0, 1)),
    st.builds(lambda rows: {"enum": rows}, st.lists(SCALARS, min_size=1, max_size=3)),
    st.builds(lambda rows: {"enum": rows, "type": "string"}, st.lists(SCALARS, max_size=3)),
    st.builds(lambda one: {"const": one}, SCALARS),
    st.just({"type": ["string", "null"], "minLength": 1}),
    st.just({"$ref": "#/$defs/more"}),
)  # fmt: skip


def _inside(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(TEXTS, inner, max_size=3)
    return st.one_of(
        st.builds(lambda rows: {"anyOf": rows}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one, more: {"type": "array", "items": one, **more}, inner,
                  limits(minItems=st.integers(0, 2), maxItems=st.integers(0, 3))),
        st.builds(lambda one: {"type": "object", "additionalProperties": one}, inner),
        st.builds(_object, members, st.integers(0, 7), st.booleans()),
    )  # fmt: skip


def _object(members: dict[str, Any], needed: int, closed: bool) -> dict[str, Any]:
    names = [name for at, name in enumerate(members) if needed >> at & 1]
    schema = {"type": "object", "properties": members, "required": names}
    return schema | ({"additionalProperties": False} if closed else {})


SCHEMAS = st.recursive(LEAVES, _inside, max_leaves=8)
TREE = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/more"}, {"type": "null"}]}}}  # fmt: skip  # noqa: E501


@given(SCHEMAS, st.integers(0, 2**32))
def test_what_a_grammar_accepts_follows_the_schema(schema: Any, seed: int) -> None:
    schema = schema | {"$defs": {"more": TREE}}
    try:
        grammar = gbnf.Grammar(schema_grammar(schema))
    except UnsupportedFeature:
        return
    source = random.Random(seed)
    for _ in range(5):
        text = grammar.sample(source)
        assert mismatch(json.loads(text), schema) is None, text
        assert grammar.accepts(text)


@dataclasses.dataclass
class Line:
    what: str
    price: Decimal
    count: int = 1


@dataclasses.dataclass
class Invoice:
    number: uuid.UUID
    day: datetime.date
    at: Annotated[datetime.datetime, msgspec.Meta(tz=True)]
    paid: bool
    lines: list[Line]
    kind: Literal["in", "out"]
    notes: dict[str, float | None]
    reply: Line | None = None


def test_values_of_a_type_pass_both_ways() -> None:
    output = JsonSchema.of(Invoice)
    for schema in (output.schema, JsonSchema.of(Invoice, strict=False).schema):
        grammar = gbnf.Grammar(schema_grammar(schema))
        for seed in range(20):
            value = output.load(grammar.sample(random.Random(seed)))  # type: ignore[misc]
            assert isinstance(value, Invoice)


def test_members_may_be_left_out_that_are_not_required() -> None:
    kinds = {name: {"type": "integer"} for name in "abc"}
    schema = {"type": "object", "properties": kinds, "required": ["b"]}
    grammar = gbnf.Grammar(schema_grammar(schema))
    for text in ('{"b":1}', '{"a": 1, "b": 2}', '{"b":-1,"c":0}', '{ "a":1,"b":2,"c":3 }'):
        assert grammar.accepts(text)
    for text in ("{}", '{"a":1}', '{"b":1,"a":2}', '{"b":1,}', '{"b":1,"d":1}', '{"b":01}'):
        assert not grammar.accepts(text)
    none = gbnf.Grammar(schema_grammar({"type": "object", "properties": kinds}))
    for text in ("{}", '{"a":1}', '{"c":1}', '{"a":1,"c":1}', '{"a":1,"b":1,"c":1}'):
        assert none.accepts(text)
    assert not none.accepts('{,"a":1}')


def test_signs_of_all_kinds_stand_in_texts() -> None:
    grammar = gbnf.Grammar(schema_grammar({"type": "string"}))
    for text in ("", 'a"b\\', "é\n", "\U0001f600"):
        assert grammar.accepts(json.dumps(text, ensure_ascii=False))
    for text in ("😀", "é"):
        assert grammar.accepts(json.dumps(text)) == (text == "é")  # no halves of a pair
    assert not grammar.accepts('"\n"')


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "string", "pattern": "a+"}, r"^\$: .*pattern"),
        (
            {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}},
            "uniqueItems",
        ),
        ({"properties": {"a": {"not": {}}}}, r"\$\.a: .*not"),
        ({"allOf": [{}, {}]}, "allOf"),
        ({"type": "number", "maximum": 3}, "limits of number"),
        ({"type": "integer", "minimum": 7}, "limits of integer"),
        ({"type": "object", "required": ["x"]}, "required x"),
        ({"$ref": "https://elsewhere/"}, "the reference"),
        ({"$ref": "#/$defs/none"}, "the reference"),
        ({"$ref": "#", "type": "object"}, r"\$ref and type"),
        ({"type": "whole"}, "no type 'whole'"),
        ({"enum": []}, "nothing follows"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "nothing follows"),
        ({"type": "array", "minItems": 2000}, "times or more"),
        ({"items": False}, "False"),
    ],
)
def test_what_a_grammar_cannot_say_is_named(schema: Any, named: str) -> None:
    with pytest.raises(UnsupportedFeature, match=named):
        schema_grammar(schema)


def test_a_schema_without_end_is_refused() -> None:
    deep: Any = {"type": "null"}
    for _ in range(3000):
        deep = {"anyOf": [deep]}
    with pytest.raises(UnsupportedFeature, match="nests too deep"):
        schema_grammar(deep)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": None},
        {"type": "string", "minLength": "x"},
        {"type": "integer", "maximum": float("inf")},
        {"anyOf": None},
        {"type": "object", "properties": ["a"]},
        {"enum": [float("nan")]},
        {"type": "string", "format": "date", "minLength": 20},
        {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "maxLength": 3},
    ],
    ids=str,
)
def test_what_is_no_schema_or_can_not_be_said_is_refused_by_name(schema: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFeature, match="a grammar can't say"):
        schema_grammar(schema)


def test_thousands_of_options_cost_no_more_than_each_of_them() -> None:
    def cost(count: int) -> float:
        began = time.process_time()
        schema_grammar({"enum": [f"option {number}" for number in range(count)]})
        return time.process_time() - began

    assert cost(4000) < 60 * cost(400)  # each against all the others would be a hundred times
