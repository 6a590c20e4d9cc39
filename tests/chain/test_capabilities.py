"""A request and what its target can do: refused, done another way, done by us, or with less."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    CountTokens,
    Embed,
    Generate,
    MediaPart,
    Message,
    TextPart,
    Tool,
    ToolNames,
    ToolResultPart,
)
from llmmw._capabilities import Capabilities, honour, lacking
from llmmw._edits import Edited
from llmmw._emulate import Stops
from llmmw._forms import Unfenced, Unwrapped
from llmmw._output import Choice, Grammar, JsonObject, JsonSchema
from llmmw._request import parameter_names
from llmmw._serve import served
from llmmw.errors import UnsupportedFeature
from llmmw.testing._provider_parameters import SAMPLES

OUTPUTS = [
    JsonObject(),
    JsonSchema({"type": "object", "properties": {"a": {"type": "string"}}}),
    JsonSchema({"type": "array", "pattern": "what no grammar says"}),
    Choice(("yes", "no")),
    Grammar("a+", "regex"),
    Grammar('root ::= "a"'),
]
IMAGE = MediaPart(media_type="image/png", data=b"x")
PAPER = MediaPart(media_type="application/pdf", data=b"x")
TALKS: list[list[Message]] = [
    [Message("user", (TextPart("hi"),))],
    [Message("system", (TextPart("be brief"),)), Message("user", (TextPart("hi"), IMAGE))],
    [Message("tool", (ToolResultPart(call_id="1", content=(PAPER,)),))],
]
CAPABILITIES = st.builds(
    Capabilities,
    kinds=st.none() | st.just(frozenset({Generate})) | st.just(frozenset({Embed})),
    parameters=st.none() | st.frozensets(st.sampled_from(parameter_names())),
    media=st.none() | st.frozensets(st.sampled_from(["image", "audio", "video", "document"])),
    outputs=st.none()
    | st.frozensets(st.sampled_from(["json", "schema", "grammar", "regex", "choice"])),
    output_limit=st.none() | st.sampled_from([7, 1000]),
)


@st.composite
def requests(draw: st.DrawFn) -> Generate:
    fields: dict[str, Any] = {}
    for name in draw(st.sets(st.sampled_from(sorted(SAMPLES)))):
        fields |= SAMPLES[name]
    if "output" in fields:
        fields["output"] = draw(st.sampled_from(OUTPUTS))
    if "tools" in fields:
        fields["tool_choice"] = draw(st.sampled_from([None, "auto", "none", "required"]))
    fields["unsupported"] = draw(st.sampled_from(["error", "drop", "emulate"]))
    if draw(st.integers(0, 9)) == 0:
        return Generate(model="x:y", prompt="once", **fields)
    return Generate(model="x:y", messages=draw(st.sampled_from(TALKS)), **fields)


def _reaches(name: str, request: Generate, asked: Generate, around: tuple[Any, ...]) -> bool:
    """Whether what was asked for with a parameter is asked of the provider, in some manner."""
    was, now = getattr(request, name), getattr(asked, name)
    if name == "output":
        return now is not None or any(tool not in request.tools for tool in asked.tools)
    if name == "tools":
        return set(was) <= set(now)
    if name == "tool_choice" and around:  # its tool is one among them
        return now is not None
    return bool(was == now)


@given(CAPABILITIES, requests())
def test_nothing_is_lost_in_silence(can: Capabilities, request: Generate) -> None:
    try:
        asked, around, warnings = served(request, can, "x:y")
    except UnsupportedFeature:
        return
    assert can.kinds is None or Generate in can.kinds
    assert isinstance(asked, Generate)
    assert lacking(asked, can) == []
    limit, most = can.output_limit, asked.max_output_tokens
    assert limit is None or most is None or most <= limit
    for name in request.parameters():
        told = any(f"can't honour {name}" in warning for warning in warnings)
        assert told or _reaches(name, request, asked, around), name
    assert request.unsupported != "error" or warnings == ()
    texts = [message.text for message in request.messages]
    assert all(any(text in m.text for m in asked.messages) for text in texts)


@given(CAPABILITIES, requests())
def test_what_it_can_is_asked_as_it_is(can: Capabilities, request: Generate) -> None:
    all_known = attrs.evolve(can, kinds=None, media=None, output_limit=None)
    if lacking(request, all_known):
        return
    assert served(request, all_known, "x:y") == (request, (), ())
    assert honour(request, all_known, "x:y") == (request, ())


# What is refused, and what it says.


def asked(unsupported: Any = "error", **fields: Any) -> Generate:
    return Generate(model="x:y", messages=["hi"], unsupported=unsupported, **fields)


@pytest.mark.parametrize("unsupported", ["error", "drop", "emulate"])
def test_media_are_never_dropped(unsupported: Any) -> None:
    can = Capabilities(media=frozenset({"image", "audio"}))
    honour(Generate(messages=TALKS[1], unsupported=unsupported), can, "x:y")
    with pytest.raises(UnsupportedFeature) as caught:
        honour(Generate(messages=TALKS[2], unsupported=unsupported), can, "x:y")
    assert str(caught.value) == (
        "messages[0] (tool) holds document and it takes only text and audio, image; "
        "leave it out, or ask another target"
    )
    with pytest.raises(UnsupportedFeature, match=r"messages\[1\] \(user\) holds image"):
        honour(CountTokens(messages=TALKS[1]), Capabilities(media=frozenset()), "x:y")


def test_too_many_tokens() -> None:
    can = Capabilities(output_limit=100)
    with pytest.raises(UnsupportedFeature, match="max_output_tokens=101: its answers have at most"):
        honour(asked(max_output_tokens=101), can, "x:y")
    lowered, warnings = honour(asked("drop", max_output_tokens=101), can, "x:y")
    assert (lowered.max_output_tokens, len(warnings)) == (100, 1)  # type: ignore[attr-defined]
    assert "lowered to 100" in warnings[0]
    assert honour(asked(max_output_tokens=100), can, "x:y")[1] == ()


def test_one_answer_is_what_anybody_gives() -> None:
    can = Capabilities(parameters=frozenset())
    assert served(asked(n=1), can, "x:y")[1:] == ((), ())
    with pytest.raises(UnsupportedFeature, match=r'n; leave it out, .* "emulate"'):
        served(asked(n=2), can, "x:y")


def test_choices_of_tools_go_with_the_tools() -> None:
    can = Capabilities(parameters=frozenset({"tool_choice", "parallel_tool_calls"}))
    request = asked("drop", tools=[Tool("f")], tool_choice="auto", parallel_tool_calls=False)
    made, warnings = honour(request, can, "x:y")
    assert isinstance(made, Generate)
    assert (made.tools, made.tool_choice, made.parallel_tool_calls) == ((), None, None)
    assert len(warnings) == 3


# By another way.


def ways(output: Any, *outputs: Any, tools: bool = False, unsupported: Any = "error") -> Any:
    names = {"tools", "tool_choice"} if tools else set()
    can = Capabilities(
        parameters=frozenset(names | ({"output"} if outputs else set())),
        outputs=frozenset(outputs),
    )
    return served(asked(unsupported, output=output), can, "x:y")


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_a_schema_is_a_tool_else_a_grammar() -> None:
    request, around, warnings = ways(SCHEMA, "grammar", tools=True)
    assert (request.output, request.tool_choice, warnings) == (None, ToolNames("answer"), ())
    assert len(around) == 1
    request, around, warnings = ways(SCHEMA, "grammar")
    assert request.output.syntax == "gbnf"
    assert (around, warnings) == ((), ())
    with pytest.raises(UnsupportedFeature, match="output of the form schema"):
        ways({"type": "object", "minProperties": 1}, "grammar")
    with pytest.raises(UnsupportedFeature, match="output of the form schema"):
        ways(SCHEMA, "regex", "choice", "json")


def test_an_object_is_a_tool_or_a_schema() -> None:
    assert ways("json", "schema", tools=True)[0].tools[0].parameters == {"type": "object"}
    assert ways("json", "schema")[0].output == JsonSchema({"type": "object"})
    assert "member" in ways("json", "grammar")[0].output.text


def test_a_choice_is_a_grammar_or_a_member() -> None:
    choice = {"choice": ["a b.", "c"]}
    assert ways(choice, "grammar")[0].output == Grammar('root ::= "a b." | "c"')
    assert ways(choice, "regex")[0].output == Grammar(r"a b\.|c", "regex")
    request, around, _ = ways(choice, "schema")
    assert request.output.schema["properties"]["value"]["enum"] == ["a b.", "c"]
    assert around == (Edited(Unwrapped),)
    request, around, _ = ways(choice, tools=True)
    assert (request.output, len(around)) == (None, 2)


def test_words_are_for_those_who_allow_them() -> None:
    request, around, (warning,) = ways(SCHEMA, "json", unsupported="emulate")
    assert isinstance(request.output, JsonObject)
    assert request.messages[0].role == "system"
    assert '"required": ["a"]' in request.messages[0].text
    assert around == (Edited(Unfenced),)
    assert "can't honour output: asked for in words" in warning
    assert ways(SCHEMA, unsupported="emulate")[0].output is None
    assert '["a", "b"]' in ways(Choice(("a", "b")), unsupported="emulate")[0].messages[0].text
    assert "a+" in ways(Grammar("a+", "regex"), unsupported="emulate")[0].messages[0].text
    with pytest.raises(UnsupportedFeature, match="output"):
        ways(Grammar('root ::= "a"'), unsupported="emulate")
    system = Message("system", (TextPart("be brief"),))
    talk = Generate(messages=[system, "hi"], output="json", unsupported="emulate")
    told = served(talk, Capabilities(parameters=frozenset()), "x:y")[0]
    assert told.messages[0].text.startswith("be brief\n\nAnswer with one JSON")  # type: ignore[attr-defined]
    prompt = Generate(prompt="hi", output="json", unsupported="emulate")
    with pytest.raises(UnsupportedFeature, match="output"):
        served(prompt, Capabilities(parameters=frozenset({"prompt"})), "x:y")


# Edits: however a text is cut, the answer is the same.


@st.composite
def cut(draw: st.DrawFn, signs: str) -> list[str]:
    pieces = st.text(signs, max_size=4)
    return draw(st.lists(pieces, max_size=8))


def edited(edit: Any, pieces: list[str]) -> tuple[str, Any]:
    return "".join([*map(edit.feed, pieces), edit.close()]), edit.finish


@given(cut("abc"), st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3))
def test_a_text_stops_before_the_first_word_that_is_complete(
    pieces: list[str], words: list[str]
) -> None:
    whole = "".join(pieces)
    text, finish = edited(Stops(words), pieces)
    assert (text, finish) == edited(Stops(words), [whole])
    assert whole.startswith(text)
    assert not any(word in text for word in words)
    if finish is None:
        assert text == whole
    else:
        assert whole.startswith(finish.stop_sequence, len(text))
        assert finish.stop_sequence in words


@given(st.lists(st.sampled_from(["```", "`", "json", "\n", " ", "{", "}", "x"]), max_size=10))
def test_a_fence_is_taken_away_wherever_the_text_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    expected = edited(Unfenced(), [text])[0]
    assert edited(Unfenced(), pieces)[0] == expected
    assert edited(Unfenced(), list(text))[0] == expected
    assert expected in text
    if "`" not in text:
        assert expected == text.strip()


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ('```json\n{"a": 1}\n```\n', '{"a": 1}'),
        ('\n ```\n{"a": 1}```', '{"a": 1}'),
        ('{"a": "```"}', '{"a": "```"}'),
        ('```json\n{"a": "```"}\n```', '{"a": "```"}'),
        ("```", "```"),
        ("yes \n", "yes"),
        ("", ""),
    ],
)
def test_what_stands_in_a_fence(text: str, inner: str) -> None:
    assert edited(Unfenced(), list(text))[0] == inner


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ('{"value": "a"}', "a"),
        ('{ "value":"é\\n" }', "é\n"),
        ('{"value": 1}', '{"value": 1}'),
        ("[", "["),
        ("[]", "[]"),
        ('"a"', '"a"'),
    ],
)
def test_a_member_is_unwrapped(text: str, inner: str) -> None:
    assert edited(Unwrapped(), list(text))[0] == inner
