"""Requests: friendly forms, checks, canonical keys, and the plain form and back."""

import unicodedata

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Choice,
    CountTokens,
    Detokenize,
    Embed,
    Generate,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Message,
    Reasoning,
    Score,
    Tokenize,
    Tool,
)
from llmmw._plain import canonical_key, plain, restore
from llmmw._request import conversation, generate_of
from llmmw.errors import BadRequest


def test_other_systems_names_are_accepted_at_the_edge() -> None:
    asked = generate_of("hi", max_tokens=5, stop="END", reasoning="low", system="be brief")
    assert asked.max_output_tokens == 5
    assert asked.stop_sequences == ("END",)
    assert asked.reasoning == Reasoning(effort="low")
    assert asked.messages == (Message("system", "be brief"), Message("user", "hi"))


def test_a_response_in_a_conversation_stands_for_its_message() -> None:
    answer = Generation(message=Message("assistant", "hello"))
    messages = conversation(["hi", answer, "and now?"])
    assert [m.role for m in messages] == ["user", "assistant", "user"]
    assert conversation(("hi", answer)) == messages[:2]
    assert conversation(("system", "x")) == (Message("system", "x"),)
    assert conversation(answer) == (answer.message,)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("json", JsonObject()),
        ({"type": "object"}, JsonSchema({"type": "object"})),
        ({"json_schema": {"type": "object"}}, JsonSchema({"type": "object"})),
        ({"regex": "a+"}, Grammar("a+", "regex")),
        ({"grammar": 'root ::= "a"'}, Grammar('root ::= "a"', "gbnf")),
        ({"choice": ["a", "b"]}, Choice(("a", "b"))),
        (Choice(("a",)), Choice(("a",))),
    ],
)
def test_short_forms_of_output(given: object, made: object) -> None:
    assert generate_of("x", output=given).output == made


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"temprature": 1}, "did you mean 'temperature'?"),
        ({"wholly_other": 1}, "known are"),
        ({"temperature": "hot"}, "temperature='hot': expected a number from 0 to 100"),
        ({"temperature": -1}, "expected a number"),
        ({"temperature": float("nan")}, "expected a number"),
        ({"top_p": 1.5}, "from 0 to 1"),
        ({"max_output_tokens": 0}, "expected a whole number from 1"),
        ({"max_output_tokens": 2.0}, "expected a whole number"),
        ({"max_output_tokens": True}, "expected a whole number"),
        ({"output": 3}, "output=3"),
        ({"stop_sequences": 5}, "can't be taken"),
        ({"tools": 5}, "can't be taken"),
        ({"logit_bias": 5}, "logit_bias=5: expected an object"),
        ({"metadata": 5}, "metadata=5: expected an object"),
        ({"extra": {"local": 5}}, "extra['local']=5"),
        ({"unsupported": "banana"}, "expected 'error', 'drop' or 'emulate'"),
        ({"model": 5}, "model=5"),
        ({"tool_choice": 5}, "tool_choice=5"),
        ({"stop_sequences": [1]}, "expected texts"),
        ({"output": {"grammar": 5}}, "a grammar is a text"),
        ({"output": {"json_schema": 5}}, "a JSON schema is an object"),
        ({"output": {"choice": [1, 2]}}, "a choice is of texts"),
        ({"reasoning": {"effort": "low", "max_tokens": 3}}, "not both"),
        ({"tools": [{"description": "nameless"}]}, "for a tool"),
    ],
)
def test_wrong_parameters_name_themselves(parameters: dict[str, object], says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        generate_of("x", **parameters)
    assert says in str(caught.value)


def test_a_request_asks_something() -> None:
    for make in (
        lambda: Generate(),
        lambda: Generate(messages=["x"], prompt="x"),
        lambda: Embed(inputs=[]),
        lambda: Score(prompt="x", options=[]),
        lambda: Tokenize(text=5),
        lambda: Detokenize(tokens=[-1]),
        lambda: Detokenize(tokens=[2**31]),
        lambda: Detokenize(tokens=[True]),
        lambda: Detokenize(tokens="ab"),
    ):
        with pytest.raises(BadRequest):
            make()


def test_replace_knows_its_fields() -> None:
    asked = Generate(model="a:b", messages=["x"])
    assert asked.replace(model="c:d:e").model_name == "d:e"
    assert asked.provider_name == "a"
    with pytest.raises(BadRequest, match="did you mean 'model'"):
        asked.replace(modell="x")


texts = st.text(max_size=8)
values = st.builds(
    Generate,
    model=st.sampled_from(["a:b", "c:d"]),
    messages=st.lists(st.builds(Message, st.just("user"), texts), min_size=1, max_size=3),
    metadata=st.dictionaries(texts, texts, max_size=2),
    extra=st.dictionaries(texts, st.dictionaries(texts, st.integers()), max_size=2),
    temperature=st.none() | st.sampled_from([0, 0.5, 1]),
    seed=st.none() | st.integers(0, 3),
    stop_sequences=st.lists(texts, max_size=2),
    output=st.none() | st.builds(JsonSchema, st.dictionaries(texts, texts, max_size=2)),
    tools=st.lists(st.builds(Tool, texts, texts), max_size=2),
) | st.one_of(
    st.builds(CountTokens, messages=st.lists(texts, min_size=1, max_size=2)),
    st.builds(Tokenize, text=texts),
    st.builds(Detokenize, tokens=st.lists(st.integers(0, 2**31 - 1), max_size=3)),
)


@given(values)
def test_plain_form_and_back(asked: Generate) -> None:
    assert restore(plain(asked)) == asked


@given(values, values)
def test_keys_are_equal_for_equal_requests_only(one: Generate, other: Generate) -> None:
    normal = [unicodedata.normalize("NFC", repr(plain(x))) for x in (one, other)]
    if one == other:
        assert one.key() == other.key()
    elif normal[0] != normal[1]:
        assert one.key() != other.key()


def test_every_field_is_in_the_key() -> None:
    asked = Generate(model="a:b", messages=["x"])
    changes = [
        {"model": "a:c"}, {"metadata": {"a": "b"}}, {"extra": {"a": {"b": 1}}},
        {"unsupported": "drop"}, {"messages": ["y"]}, {"max_output_tokens": 1},
        {"temperature": 0}, {"top_p": 0.5}, {"top_k": 1}, {"min_p": 0.5},
        {"stop_sequences": ["x"]}, {"seed": 1}, {"frequency_penalty": 1},
        {"presence_penalty": 1}, {"repetition_penalty": 1}, {"logit_bias": {"1": 1}},
        {"logprobs": 0}, {"n": 2}, {"output": "json"}, {"reasoning": "low"},
        {"tools": [Tool("t")]}, {"tool_choice": "none"}, {"parallel_tool_calls": False},
    ]  # fmt: skip
    keys = {asked.replace(**change).key() for change in changes} | {asked.key()}
    assert len(keys) == len(changes) + 1
    fields = {field for change in changes for field in change}
    assert fields | {"prompt"} == {field.name for field in Generate.__attrs_attrs__}


def test_key_is_the_same_under_order_of_dicts_and_unicode_form() -> None:
    assert (
        Generate(messages=["x"], seed=1, top_p=1).key()
        == Generate(messages=["x"], seed=1, top_p=1.0).key()
    )
    one = Generate(messages=["caf\u00e9"], extra={"a": {"x": 1, "y": 2}})
    other = Generate(messages=["cafe\u0301"], extra={"a": {"y": 2, "x": 1}})
    assert one.key() == other.key()
    # Also the same tomorrow: a stored key must still be found.
    assert canonical_key(Generate(messages=["x"])) == Generate(messages=["x"]).key()


def test_plain_forms_are_bounded_and_closed() -> None:
    deep: object = "x"
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(BadRequest, match="64 levels"):
        generate_of("x", extra={"p": deep}).key()
    with pytest.raises(BadRequest, match="64 levels"):
        restore(deep)
    with pytest.raises(BadRequest, match="unknown kind"):
        restore({"$kind": "Popen"})
    with pytest.raises(BadRequest, match="TextPart"):
        restore({"$kind": "TextPart", "colour": "red"})
    with pytest.raises(BadRequest, match="object has no place"):
        generate_of("x", extra={"p": {"q": object()}}).key()


def test_a_request_of_somebody_s_own_kind_can_be_asked_of_another():
    @attrs.define(kw_only=True)
    class Own(Generate):
        seen: int = 0

    @attrs.frozen(kw_only=True, slots=False)
    class Loose(Generate):
        seen: int = 0

    for kind in (Own, Loose):
        one = kind(model="a:b", messages=["hi"], seen=5, extra={"a": {"b": 1}})
        other = one.replace(model="a:c")
        assert type(other) is kind
        assert other == kind(model="a:c", messages=["hi"], seen=5, extra={"a": {"b": 1}})
        assert one.model == "a:b"
