"""`output=` of a type: the schema that is asked for, and the value that the answer makes."""

import copy
import dataclasses
import enum
import itertools
import json
import pickle
import subprocess
import sys
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Choice,
    Client,
    Coalesce,
    Fallback,
    Finish,
    Generate,
    Generation,
    Grammar,
    Guard,
    JsonObject,
    JsonSchema,
    Message,
    Retry,
    TextPart,
    ToolCallPart,
)
from llmmw._output import output_of
from llmmw._plain import plain, restore
from llmmw._request import generate_of
from llmmw._schema import mismatch
from llmmw._typed import dump, typed
from llmmw.errors import BadRequest, LLMError, OutputInvalid, ResponseRejected
from llmmw.testing import Script, SimulatedProvider


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Line:
    """A line of a bill."""

    text: str = attrs.field(converter=str.strip)
    price: float = attrs.field(validator=attrs.validators.ge(0))


@attrs.frozen
class Invoice:
    """A bill."""

    total: float
    lines: list[Line] = attrs.field(factory=list)
    due: date | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    label: str | None = None

    def __post_init__(self) -> None:
        if self.x < self.y:
            raise ValueError("x must not be below y")


class Film(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    left: str
    right: int = 1


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    born: date
    friend: "Person | None" = None


class Tree(TypedDict):
    name: str
    below: "list[Tree]"


def answer(text: str, output: Any, **fields: Any) -> Generation:
    return Generation(message=Message("assistant", text), output=output_of(output), **fields)


def value(text: str, output: Any) -> Any:
    return answer(text, output).value


@pytest.mark.parametrize(
    ("kind", "text", "made"),
    [
        (Invoice, '{"total": 3, "lines": [], "due": null}', Invoice(3.0)),
        (Invoice, '{"total": 3, "due": "2024-02-29"}', Invoice(3.0, due=date(2024, 2, 29))),
        (Invoice, '{"total": 1, "more": 2}', Invoice(1.0)),
        (Point, '{"x": 3, "y": 1, "label": "p"}', Point(3, 1, "p")),
        (Film, '{"title": "M", "year": 1931}', {"title": "M", "year": 1931}),
        (Pair, '{"value": ["a", 2]}', Pair("a", 2)),
        (Person, '{"name": "Ada", "born": "1815-12-10"}', Person(name="Ada", born="1815-12-10")),
        (list[Invoice], '{"value": [{"total": 1}]}', [Invoice(1.0)]),
        (list[Person], '{"value": []}', []),
        (
            dict[str, Person],
            '{"a": {"name": "A", "born": "2000-01-01"}}',
            {"a": Person(name="A", born="2000-01-01")},
        ),
        (pydantic.RootModel[list[int]], '{"value": [1]}', pydantic.RootModel[list[int]]([1])),
        (Literal["yes", "no"], '{"value": "no"}', "no"),
        (Colour, '{"value": "blue"}', Colour.BLUE),
        (int | None, '{"value": null}', None),
        (bool, '{"value": true}', True),
        (Decimal, '{"value": "1.10"}', Decimal("1.10")),
        (Annotated[int, msgspec.Meta(ge=1)], '{"value": 1}', 1),
        (dict, '{"a": [1]}', {"a": [1]}),
        (Tree, '{"name": "a", "below": []}', {"name": "a", "below": []}),
        ({"type": "object", "required": ["a"]}, '{"a": 1}', {"a": 1}),
        ("json", "{}", {}),
        (Choice(("a", "b")), "b", "b"),
        (Grammar("[0-9]+", "regex"), "12", "12"),
    ],
)
def test_the_value_is_of_the_type_that_was_asked_for(kind: Any, text: str, made: Any) -> None:
    got = value(text, kind)
    assert got == made
    assert type(got) is type(made)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        (Invoice, "", "malformed|truncated"),
        (Invoice, "Sure! Here it is", "malformed"),
        (Invoice, '{"total": 3', "truncated"),
        (Invoice, "[1]", r"Expected `object`"),
        (Invoice, '{"total": "3"}', r"Expected `float`, got `str` - at `\$.total`"),
        (Invoice, '{"lines": []}', "missing required field `total`"),
        (Invoice, '{"total": 1, "lines": [{"text": "x", "price": -1}]}', r"\$.lines\[0\]"),
        (Invoice, "[" * 10_000, "nests too deep|Expected `object`"),
        (list, '{"value":' + "[" * 100_000, "nests too deep"),
        (Point, '{"x": 1, "y": 2}', "x must not be below y"),
        (Person, '{"name": "A"}', r"\$.born: Field required"),
        (list[Person], '{"value": [{"name": "A", "born": "x"}]}', r"\$.born: .* date"),
        (list[int], "[1]", "Expected `object`"),
        (list[int], '{"values": [1]}', r"\$.value is missing"),
        (Literal["yes", "no"], '{"value": "maybe"}', "maybe"),
        (Annotated[int, msgspec.Meta(ge=1)], '{"value": 0}', ">= 1"),
        ({"type": "object", "required": ["a"]}, "{}", r"\$.a is missing"),
        ("json", "[]", "no JSON object"),
        (Choice(("a", "b")), "c", "none of 'a', 'b'"),
        (Grammar("[0-9]+", "regex"), "x", "does not match"),
    ],
)
def test_a_wrong_answer_is_an_error_that_says_why(kind: Any, text: str, why: str) -> None:
    response = answer(text, kind, model="m", provider="p", request_id="r-1")
    with pytest.raises(OutputInvalid, match=why) as caught:
        _ = response.value
    error = caught.value
    assert isinstance(error, ResponseRejected)
    assert isinstance(error, LLMError)
    assert (error.retryable, error.elsewhere, error.processed) == (True, True, True)
    assert (error.provider, error.model, error.request_id) == ("p", "m", "r-1")
    assert error.partial is response
    assert "\n" not in str(error)


def test_what_hindered_the_answer_is_told() -> None:
    refused = answer("", Invoice).replace(
        message=Message("assistant", TextPart("I won't.", refusal=True))
    )
    with pytest.raises(OutputInvalid, match=r"the model refused \(I won't.\)"):
        _ = refused.value
    cut = answer('{"tot', Invoice, finish=Finish("length"))
    with pytest.raises(OutputInvalid, match="cut at its limit of tokens"):
        _ = cut.value
    calls = Message("assistant", ToolCallPart(id="1", name="look"))
    with pytest.raises(OutputInvalid, match="asks for the tool 'look' first"):
        _ = Generation(message=calls, output=output_of(Invoice)).value


def test_without_an_output_there_is_no_value() -> None:
    with pytest.raises(RuntimeError, match="no output= was asked for"):
        _ = Generation(message=Message("assistant", "hi")).value


def test_objects_of_attrs_classes_are_made_by_their_own_converters() -> None:
    text = '{"total": 1, "lines": [{"text": " tea ", "price": 1}]}'
    assert value(text, Invoice).lines == [Line("tea", 1.0)]
    assert value(text, Invoice).lines[0].text == "tea"


# What is asked for.


def test_the_schema_is_in_the_key_and_the_class_is_not() -> None:
    @dataclasses.dataclass
    class Invoice:  # another one, of the same form
        n: int

    first = Invoice
    asked = generate_of("x", output=first)
    assert asked.output == JsonSchema.of(first)
    bare = restore(plain(asked))
    assert bare.key() == asked.key()
    assert bare.output.load is None
    assert "load" not in repr(asked)
    more = dataclasses.make_dataclass("Invoice", [("n", int), ("m", int)])
    assert generate_of("x", output=more).key() != asked.key()


def test_a_request_with_a_type_is_copied_and_pickled() -> None:
    asked = generate_of("x", output=list[Invoice])
    for other in (copy.deepcopy(asked), pickle.loads(pickle.dumps(asked))):
        assert other == asked
        assert other.output.load('{"value": [{"total": 1}]}') == [Invoice(1.0)]


def test_a_schema_is_strict_where_it_can_be() -> None:
    output = JsonSchema.of(Invoice)
    assert (output.name, output.strict) == ("Invoice", True)
    assert output.schema["required"] == ["total", "lines", "due"]
    assert output.schema["additionalProperties"] is False
    assert "default" not in json.dumps(output.schema)
    assert output.schema["description"] == "A bill."
    line = output.schema["$defs"]["Line"]
    assert line["required"] == ["text", "price"]
    assert set(output.schema["$defs"]) == {"Line"}


def test_a_strict_schema_follows_what_such_hosts_take() -> None:
    class Odd(TypedDict):
        colour: Colour
        size: Literal[1, 2]
        state: Literal["on", None]
        cost: Decimal
        friend: Person | None

    schema = JsonSchema.of(Odd).schema
    members = schema["properties"]
    assert members["size"]["type"] == "integer"
    assert members["state"]["type"] == ["null", "string"]
    assert schema["$defs"]["Colour"]["type"] == "string"
    assert members["cost"] == {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
    assert schema["$defs"]["Person"]["properties"]["born"]["format"] == "date"
    assert mismatch({"value": "1e5"}, JsonSchema.of(Decimal).schema) is not None


@pytest.mark.parametrize(
    "kind", [dict[str, int], list[Any], set[int], Pair, Annotated[str, msgspec.Meta(min_length=1)]]
)
def test_what_strict_hosts_do_not_know_is_asked_for_as_it_is(kind: Any) -> None:
    assert JsonSchema.of(kind).strict is None
    with pytest.raises(BadRequest, match="no strict schema"):
        JsonSchema.of(kind, strict=True)


def test_a_description_beside_a_reference_is_kept() -> None:
    class Owner(pydantic.BaseModel):
        who: Person = pydantic.Field(description="the owner")

    member = JsonSchema.of(Owner).schema["properties"]["who"]
    assert member["description"] == "the owner"
    assert member["properties"]["name"]["type"] == "string"


def test_recursion_is_kept_as_a_reference() -> None:
    schema = JsonSchema.of(Person).schema
    assert schema["type"] == "object"
    assert schema["properties"]["friend"]["anyOf"][0] == {"$ref": "#/$defs/Person"}
    assert "Person" in schema["$defs"]


def test_what_is_asked_for_can_be_said_in_detail() -> None:
    output = JsonSchema.of(Invoice, name="bill", description="what we owe", strict=False)
    assert (output.name, output.description, output.strict) == ("bill", "what we owe", False)
    assert output.schema["required"] == ["total"]
    assert value('{"total": 1}', output) == Invoice(1.0)
    own = JsonSchema({"type": "object"}, load=len)
    assert value("{}", own) == 2
    assert JsonSchema.of(list[int]).name == "answer"
    assert JsonSchema.of(dataclasses.make_dataclass("Été", [("a", int)])).name == "_t_"


@pytest.mark.parametrize("kind", [complex, Invoice | Point, object, list[complex], "Invoice"])
def test_what_has_no_form_in_json_is_refused(kind: Any) -> None:
    with pytest.raises(BadRequest, match="output="):
        Generate(messages=("hi",), output=kind)
    with pytest.raises(BadRequest, match="output="):
        Generate(messages=("hi",), output=Invoice(1.0))


def test_two_models_of_one_name_are_refused() -> None:
    class Other(pydantic.BaseModel):
        who: pydantic.create_model("Person", age=(int, ...))

    class First(pydantic.BaseModel):
        who: Person

    class Both(TypedDict):
        first: First
        other: Other

    with pytest.raises(BadRequest, match="two different classes are named Person"):
        output_of(Both)
    twins = [dataclasses.make_dataclass("Twin", [(name, int)]) for name in "ab"]
    with pytest.raises(BadRequest, match="two different classes have one name"):
        output_of(tuple[twins[0], twins[1]])


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, llmmw; llmmw.Generate(messages=['x'], output='json', tools=[]); llmmw.Client;"
        "sys.exit(bool({'msgspec', 'pydantic', 'cattrs'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Round trips of drawn types.


@attrs.frozen
class Case:
    """A type and how its values are drawn."""

    kind: Any
    values: st.SearchStrategy[Any]


PLAIN = [
    Case(int, st.integers(-(2**63), 2**63)),
    Case(str, st.text()),
    Case(bool, st.booleans()),
    Case(float, st.floats(allow_nan=False, allow_infinity=False)),
    Case(date, st.dates()),
    Case(UUID, st.uuids()),
    Case(Decimal, st.decimals(-1000, 1000, places=2)),
    Case(Colour, st.sampled_from(Colour)),
    Case(Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    Case(Pair, st.builds(Pair, st.text(), st.integers(0, 9))),
]
NUMBERS = itertools.count()
LINES = st.lists(st.builds(Line, st.text(), st.floats(0, 9)), max_size=2)
OBJECTS = [  # pydantic takes none of attrs, and the others take all
    Case(Invoice, st.builds(Invoice, st.floats(0, 9), LINES, st.none() | st.dates())),
    Case(Person, st.builds(Person, name=st.text(), born=st.dates())),
    Case(Film, st.fixed_dictionaries({"title": st.text()}, optional={"year": st.integers(0, 9)})),
]


def _object(maker: str, cases: list[Case]) -> Case:
    fields = {f"f{place}": case for place, case in enumerate(cases)}
    hints = {name: case.kind for name, case in fields.items()}
    name = f"Made{next(NUMBERS)}"
    kinds: dict[str, Any] = {
        "dataclass": lambda: dataclasses.make_dataclass(name, list(hints.items())),
        "attrs": lambda: attrs.make_class(
            name, {field: attrs.field(type=hint) for field, hint in hints.items()}
        ),
        "dict": lambda: TypedDict(name, hints),  # type: ignore[operator]
        "pydantic": lambda: pydantic.create_model(
            name, **{field: (hint, ...) for field, hint in hints.items()}
        ),
    }
    kind = kinds[maker]()
    return Case(kind, st.builds(kind, **{name: case.values for name, case in fields.items()}))


def _larger(cases: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    words = st.text("abc", max_size=3)
    return st.one_of(
        cases.map(lambda c: Case(list[c.kind], st.lists(c.values, max_size=3))),
        cases.map(lambda c: Case(dict[str, c.kind], st.dictionaries(words, c.values, max_size=3))),
        cases.map(lambda c: Case(tuple[c.kind, int], st.tuples(c.values, st.integers(0, 9)))),
        st.builds(
            _object,
            st.sampled_from(["dataclass", "attrs", "dict"]),
            st.lists(cases, min_size=1, max_size=3),
        ),
        st.builds(
            _object, st.just("pydantic"), st.lists(st.sampled_from(PLAIN), min_size=1, max_size=3)
        ),
    )


CASES = st.recursive(st.sampled_from([*PLAIN, *OBJECTS]), _larger, max_leaves=4)


@settings(max_examples=100)
@given(st.data(), CASES)
def test_every_value_of_a_type_is_found_again_in_its_json(data: st.DataObject, case: Case) -> None:
    form = typed(case.kind)
    made = data.draw(case.values)
    text = dump({"value": made} if form.is_wrapped else made)
    assert form.load(text) == made
    assert mismatch(json.loads(text), form.schema) is None
    assert answer(text, case.kind).value == made


@settings(max_examples=50)
@given(CASES, st.text() | st.sampled_from(["{}", '{"value": {}}', '{"value": 1}']))
def test_no_text_does_anything_but_make_a_value_or_say_why_not(case: Case, text: str) -> None:
    with suppress(OutputInvalid):
        value(text, case.kind)


@settings(max_examples=100)
@given(CASES)
def test_a_strict_schema_says_nothing_that_strict_hosts_refuse(case: Case) -> None:
    strict = typed(case.kind).strict

    def check(schema: Any) -> None:
        if "$ref" in schema:
            assert schema.keys() == {"$ref"}
            return
        assert "default" not in schema
        assert "type" in schema or "anyOf" in schema
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
        for inner in [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]:
            check(inner)
        if "items" in schema:
            check(schema["items"])
        for inner in schema.get("$defs", {}).values():
            check(inner)

    if strict is not None:
        assert strict["type"] == "object"
        check(strict)


# Through a client.

GOOD = '{"total": 2}'


def world(*answers: str, **others: Any) -> SimulatedProvider:
    return SimulatedProvider({"a": [Script(pieces=(text,)) for text in answers], **others})


@pytest.mark.virtual
async def test_the_client_tells_the_response_what_was_asked_for() -> None:
    async with Client("sim:a", providers=[world(GOOD)]) as client:
        assert (await client.ask("x", output=Invoice)).value == Invoice(2.0)
        async with client.stream("x", output=Invoice) as stream:
            assert (await stream.wait_response()).value == Invoice(2.0)
        async with client.map(["x"], output=Invoice) as items:
            assert [item.response.value async for item in items] == [Invoice(2.0)]
        with pytest.raises(RuntimeError, match="no output="):
            _ = (await client.ask("x")).value


@pytest.mark.virtual
async def test_a_wrong_answer_is_given_and_its_value_raises() -> None:
    async with Client("sim:a", providers=[world("no")]) as client:
        response = await client.ask("x", output=Invoice)
        with pytest.raises(OutputInvalid, match="sim:a: the answer has not the form"):
            _ = response.value


@pytest.mark.virtual
async def test_a_guard_makes_a_wrong_answer_a_reason_to_ask_again() -> None:
    stack = (Attempts(Retry(2)), Guard())
    wrong = '{"total": 1, "lines": [{"text": "x", "price": -1}]}'
    async with Client("sim:a", stack=stack, providers=[world("", wrong, GOOD)]) as client:
        assert (await client.ask("x", output=Invoice)).value == Invoice(2.0)
    plan = Attempts(Fallback(on={OutputInvalid: "sim:b"}))
    sim = world("{}", b=GOOD)
    async with Client("sim:a", stack=(plan, Guard()), providers=[sim]) as client:
        response = await client.ask("x", output=Invoice)
        assert (response.model, response.value) == ("b", Invoice(2.0))
    async with Client("sim:a", stack=(Guard(),), providers=[world("")]) as client:
        with pytest.raises(OutputInvalid, match="it is empty"):
            await client.ask("x", output=Invoice)


@pytest.mark.virtual
async def test_the_check_of_a_guard_sees_the_value() -> None:
    stack = (Retry(1), Guard(lambda response: response.value.total > 1))
    sim = world('{"total": 1}', GOOD)
    async with Client("sim:a", stack=stack, providers=[sim]) as client:
        assert (await client.ask("x", output=Invoice)).value.total == 2


@pytest.mark.virtual
async def test_what_a_class_of_the_caller_raises_is_no_fault_of_the_answer() -> None:
    @dataclasses.dataclass
    class Broken:
        total: int

        def __post_init__(self) -> None:
            raise ZeroDivisionError("a bug")

    sim = world(GOOD)
    async with Client("sim:a", stack=(Retry(2), Guard()), providers=[sim]) as client:
        with pytest.raises(ZeroDivisionError, match="a bug"):
            await client.ask("x", output=Broken)
    assert len([seen for seen in sim.seen if seen.what == "opened"]) == 1


@pytest.mark.virtual
async def test_calls_that_share_an_answer_have_each_their_own_type() -> None:
    output = JsonSchema.of(Point)
    sim = SimulatedProvider({"a": Script(first=1, pieces=('{"x": 2, "y": 1, "label": null}',))})
    got: dict[str, Any] = {}
    async with Client("sim:a", stack=(Coalesce(),), providers=[sim]) as client:

        async def ask(name: str, asked: Any) -> None:
            got[name] = (await client.ask("x", output=asked)).value

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "typed", output)
            nursery.start_soon(ask, "data", attrs.evolve(output, load=None))
    assert got == {"typed": Point(2, 1), "data": {"x": 2, "y": 1, "label": None}}
    assert len([seen for seen in sim.seen if seen.what == "opened"]) == 1


def test_a_stored_response_forgets_what_was_asked_for() -> None:
    response = answer(GOOD, Invoice)
    stored = restore(plain(response))
    assert stored == response
    assert stored.output is None
    assert stored.replace(output=output_of(Invoice)).value == Invoice(2.0)


def test_the_short_word_for_any_object() -> None:
    assert output_of("json") == JsonObject()
