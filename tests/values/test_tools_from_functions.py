"""Functions as tools: what a model is told of them, the arguments it gives, what they gave."""

import dataclasses
import functools
import json
from datetime import date
from typing import Annotated, Any, Literal

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import CountTokens, MediaPart, Message, TextPart, Tool, ToolCallPart
from llmmw._request import conversation, generate_of
from llmmw._typed import dump
from llmmw.errors import BadRequest


@attrs.frozen
class Place:
    """Somewhere."""

    city: str
    country: str = "IT"


class Report(pydantic.BaseModel):
    day: date
    degrees: float


def weather(
    place: Place,
    day: date,
    unit: Literal["c", "f"] = "c",
    *,
    tags: list[str] | None = None,
) -> str:
    """Tell the weather.

    Only of places on land.

    Args:
        place: Where it is,
            or was.
        day (date): Which day:
            today or later.
        *tags: Words.

    Returns:
        unit: not this one.
    """
    return f"{place.city} {day} {unit} {tags}"


def call(arguments: Any, name: str = "weather") -> ToolCallPart:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCallPart(id="c-1", name=name, arguments=text)


def test_what_a_model_is_told() -> None:
    tool = Tool.of(weather)
    assert tool.name == "weather"
    assert tool.description == "Tell the weather.\n\nOnly of places on land."
    told = tool.parameters
    assert told["type"] == "object"
    assert told["required"] == ["place", "day"]
    assert told["additionalProperties"] is False
    members = told["properties"]
    assert members["place"] == {"description": "Where it is, or was.", "$ref": "#/$defs/Place"}
    assert members["day"]["description"] == "Which day: today or later."
    assert members["day"]["format"] == "date"
    assert members["unit"] == {"enum": ["c", "f"]}
    assert members["tags"]["description"] == "Words."
    assert told["$defs"]["Place"]["required"] == ["city"]
    assert "title" not in told
    json.dumps(told)


def test_a_function_is_taken_wherever_tools_are() -> None:
    async def later(n: int) -> int:
        """Add one."""
        return n + 1

    class Shop:
        def price(self, item: str) -> float:
            return 1.0

    asked = generate_of("x", tools=[weather, later, Shop().price, {"name": "other"}])
    assert [tool.name for tool in asked.tools] == ["weather", "later", "price", "other"]
    assert asked.tools[1].parameters["properties"] == {"n": {"type": "integer"}}
    assert list(asked.tools[2].parameters["properties"]) == ["item"]
    assert CountTokens(messages=("x",), tools=[later]).tools == (Tool.of(later),)


def test_a_tool_keeps_what_it_says_and_not_the_function() -> None:
    def make(answer: int) -> Any:
        def lucky(n: int = 0) -> int:
            """A number."""
            return answer

        return lucky

    assert Tool.of(make(1)) == Tool.of(make(2))
    one, other = (generate_of("x", tools=[make(k)]).key() for k in (1, 2))
    assert one == other


def test_a_wrapped_function_is_told_of_as_itself() -> None:
    @functools.wraps(weather)
    def wrapper(*args: Any, **kwargs: Any) -> str:
        return weather(*args, **kwargs)

    assert Tool.of(wrapper) == Tool.of(weather)


def test_limits_and_descriptions_of_hints_are_told() -> None:
    def roll(sides: Annotated[int, msgspec.Meta(ge=2, description="of the die")]) -> int:
        """Roll.

        Args:
            sides: how many
        """
        return sides

    told = Tool.of(roll).parameters["properties"]["sides"]
    assert told == {"description": "of the die", "type": "integer", "minimum": 2}
    with pytest.raises(BadRequest, match=r">= 2"):
        call({"sides": 1}, "roll").bind(roll)


def nothing() -> None: ...


def test_a_function_without_parameters_and_text() -> None:
    tool = Tool.of(nothing)
    assert (tool.name, tool.description) == ("nothing", "")
    assert tool.parameters["properties"] == {}
    assert call("", "nothing").bind(nothing) == {}


def _untyped(n):
    return n


def _variadic(*rows: int) -> int:
    return len(rows)


def _named(**rows: int) -> int:
    return len(rows)


def _positional(n: int, /) -> int:
    return n


def _strange(n: complex) -> complex:
    return n


def _lost(n: "Nowhere") -> None:  # noqa: F821
    return None


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda n: n, "with a name"),
        (functools.partial(weather, unit="f"), "with a name"),
        (Place, "with a name"),
        (len, "with a name"),
        (Place("Rome"), "can't take"),
        ("weather", "can't take"),
        (_untyped, "'n' needs a type hint"),
        (_variadic, r"\*rows: int can't be given by its name"),
        (_named, r"\*\*rows: int can't be given"),
        (_positional, "n: int can't be given"),
        (_strange, "complex.* no form in JSON"),
        (_lost, "Nowhere"),
    ],
)
def test_what_a_model_cannot_be_told_of_is_refused(function: Any, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        generate_of("x", tools=[function])


# Arguments.


def test_arguments_have_the_types_of_the_hints() -> None:
    given_ = {"place": {"city": "Rome"}, "day": "2024-02-29", "tags": ["a"]}
    bound = call(given_).bind(weather)
    assert bound == {"place": Place("Rome"), "day": date(2024, 2, 29), "tags": ["a"]}
    assert weather(**bound) == "Rome 2024-02-29 c ['a']"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ({"place": {"city": "Rome"}}, "missing required field `day`"),
        ({"place": {}, "day": "2024-02-29"}, r"`city` - at `\$.place`"),
        ({"place": {"city": "R"}, "day": "today"}, r"\$.day"),
        ({"place": {"city": "R"}, "day": "2024-02-29", "hour": 3}, "unknown field `hour`"),
    ],
)
def test_arguments_that_do_not_fit_say_why(arguments: Any, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as caught:
        call(arguments).bind(weather)
    assert "arguments of the call of 'weather'" in str(caught.value)


@given(
    st.builds(Place, st.text(), st.text()),
    st.dates(),
    st.fixed_dictionaries(
        {}, optional={"unit": st.sampled_from("cf"), "tags": st.none() | st.lists(st.text())}
    ),
)
def test_bound_arguments_are_those_that_were_given(place: Place, day: date, rest: dict) -> None:
    given_ = {"place": place, "day": day, **rest}
    assert call(dump(given_)).bind(weather) == given_


# Results.


@dataclasses.dataclass
class Reading:
    degrees: float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("warm", "warm"),
        ("", ""),
        (None, "null"),
        (3, "3"),
        ({"b": 1, "a": [True]}, '{"a":[true],"b":1}'),
        ([], "[]"),
        (Reading(1.5), '{"degrees":1.5}'),
        ([Place("Rome")], '[{"city":"Rome","country":"IT"}]'),
        (Report(day="2024-02-29", degrees=2), '{"day":"2024-02-29","degrees":2.0}'),
        ({"r": Report(day="2024-02-29", degrees=2)}, '{"r":{"day":"2024-02-29","degrees":2.0}}'),
        ({"z", "a"}, '["a","z"]'),
        (date(2024, 2, 29), '"2024-02-29"'),
    ],
)
def test_a_result_is_text_or_the_json_of_its_value(value: Any, text: str) -> None:
    result = call({}).result(value)
    assert (result.call_id, result.name, result.is_error) == ("c-1", "weather", False)
    assert result.content == (TextPart(text),)


def test_parts_are_a_result_as_they_are() -> None:
    image = MediaPart(media_type="image/png", data=b"1")
    assert call({}).result(image).content == (image,)
    assert call({}).result([TextPart("see"), image]).content == (TextPart("see"), image)


def test_an_error_is_told_as_one() -> None:
    result = call({}).result(error=ValueError("no such place"))
    assert result.is_error
    assert result.content == (TextPart("ValueError: no such place"),)
    assert call({}).result(error="closed").content == (TextPart("closed"),)


@pytest.mark.parametrize("value", [object(), {"a": [1j]}, 2**70 * 1j])
def test_a_result_without_a_form_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="the result of 'weather'"):
        call({}).result(value)


def test_results_are_a_turn_of_the_conversation() -> None:
    first = Message("assistant", call({}))
    result = call({}).result("warm")
    messages = conversation(["how is it?", first, result])
    assert [message.role for message in messages] == ["user", "assistant", "tool"]
    assert messages[2].parts == (result,)
