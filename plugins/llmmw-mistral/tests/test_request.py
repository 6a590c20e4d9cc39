"""Requests as the host has them."""

from __future__ import annotations

import base64
import re

import pytest

from llmmw import (
    Choice,
    Citation,
    Generate,
    JsonObject,
    JsonSchema,
    MediaPart,
    Message,
    OpaquePart,
    Reasoning,
    ReasoningPart,
    ServerTool,
    TextPart,
    Tool,
    ToolCallPart,
    ToolNames,
    ToolResultPart,
)
from llmmw.errors import BadRequest, UnsupportedFeature

pytestmark = pytest.mark.plugins

F, G = Tool("f", "does f", {"type": "object"}), Tool("g")
FUNCTION = {"name": "f", "description": "does f", "parameters": {"type": "object"}}


def test_names_of_parameters(wire):
    body = wire.body(
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        stop_sequences=("a", "b"),
        frequency_penalty=0.1,
        presence_penalty=0.2,
        n=2,
        stream=True,
        extra={"mistral": {"safe_prompt": True, "prediction": {"type": "content", "content": "x"}}},
    )
    assert body == {
        "model": "mistral-small-latest",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "random_seed": 7,
        "stop": ["a", "b"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "n": 2,
        "stream": True,
        "safe_prompt": True,
        "prediction": {"type": "content", "content": "x"},
    }


def test_code_to_fill_in(wire):
    extra = {"mistral": {"suffix": "return x", "min_tokens": 1}}
    body = wire.body(prompt="def f(", model="codestral-latest", seed=1, extra=extra)
    assert body == {
        "model": "codestral-latest",
        "prompt": "def f(",
        "random_seed": 1,
        "suffix": "return x",
        "min_tokens": 1,
    }


async def test_a_prompt_goes_where_code_is_filled_in(wire):
    async with wire.client(wire.whole(wire.chat("x")), model="codestral-latest") as (
        client,
        server,
    ):
        asked = Generate(prompt="def f(", extra={"mistral": {"suffix": "x"}})
        response = await client.ask(asked)
        assert response.text == "x"
        lost = Generate(prompt="def f(", tools=[F], n=2, unsupported="drop")
        assert sorted((await client.ask(lost)).warnings) == [
            "mistral:codestral-latest with a prompt can't honour n: dropped",
            "mistral:codestral-latest with a prompt can't honour tools: dropped",
        ]
        with pytest.raises(UnsupportedFeature, match="prompt"):
            await client.ask(asked, model="mistral:mistral-large-latest")
    first, second = server.requests
    assert first.path == second.path == "/v1/fim/completions"
    assert first.json() == {"model": "codestral-latest", "prompt": "def f(", "suffix": "x"}


def test_forms_of_answer(wire):
    assert wire.body(output=JsonObject())["response_format"] == {"type": "json_object"}
    schema = JsonSchema({"type": "object"}, name="a", description="d", strict=True)
    named = {"name": "a", "description": "d", "schema": {"type": "object"}, "strict": True}
    told = wire.body(output=schema)["response_format"]
    assert told == {"type": "json_schema", "json_schema": named}
    with pytest.raises(UnsupportedFeature, match="Choice as output"):
        wire.body(output=Choice(("a", "b")))


def test_reasoning(wire):
    assert wire.body(reasoning="high")["reasoning_effort"] == "high"
    assert wire.body(reasoning="none")["reasoning_effort"] == "none"
    assert wire.body(reasoning="low", model="mistral-large-4-0")["reasoning_effort"] == "low"
    notes = []
    assert wire.body(reasoning="low", notes=notes)["reasoning_effort"] == "high"
    assert notes == ["mistral thinks or does not: reasoning.effort='low' is taken for 'high'"]
    notes = []
    body = wire.body(reasoning="high", model="magistral-medium-latest", notes=notes)
    assert body["prompt_mode"] == "reasoning"
    assert "reasoning_effort" not in body
    assert notes == ["mistral thinks as it is made to: reasoning.effort='high' is taken for yes"]
    with pytest.raises(UnsupportedFeature, match="always thinks"):
        wire.body(reasoning="none", model="magistral-small-latest")
    for asked in (Reasoning(max_tokens=7), Reasoning(summary="auto")):
        with pytest.raises(UnsupportedFeature, match=r"reasoning\.(max_tokens|summary)"):
            wire.body(reasoning=asked)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "any"),
        (ToolNames("g"), {"type": "function", "function": {"name": "g"}}),
    ],
)
def test_tools_and_their_choice(wire, choice, told):
    body = wire.body(tools=[F, G], tool_choice=choice, parallel_tool_calls=False)
    assert body["tools"][0] == {"type": "function", "function": FUNCTION}
    assert body["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert body.get("tool_choice") == told
    assert body["parallel_tool_calls"] is False


def test_a_choice_of_some_tools_tells_of_no_others(wire):
    body = wire.body(tools=[F, G, Tool("h")], tool_choice=ToolNames(("f", "g"), "required"))
    assert [one["function"]["name"] for one in body["tools"]] == ["f", "g"]
    assert body["tool_choice"] == "any"
    with pytest.raises(BadRequest, match="'x', which is no tool given"):
        wire.body(tools=[F], tool_choice=ToolNames("x"))


def test_tools_of_the_host_and_of_others(wire):
    ours, other = ServerTool("web_search", "mistral", {"a": 1}), ServerTool("x", "openai")
    assert wire.body(tools=[ours])["tools"] == [{"type": "web_search", "a": 1}]
    with pytest.raises(UnsupportedFeature, match="'x' of openai"):
        wire.body(tools=[other])
    strict = wire.body(tools=[Tool("f", strict=True, extra={"mistral": {"x": 1}})])["tools"]
    assert (strict[0]["function"]["strict"], strict[0]["x"]) == (True, 1)


PDF = MediaPart(media_type="application/pdf", data=b"%PDF", filename="a.pdf")


def test_media_of_a_user(wire):
    parts = (
        TextPart("look"),
        MediaPart(media_type="image/png", data=b"png"),
        MediaPart(media_type="image/*", url="http://x/y.png", detail="high"),
        PDF,
        MediaPart(media_type="text/html", url="http://x/y"),
        MediaPart(media_type="audio/wav", data=b"wav"),
        MediaPart(media_type="audio/*", url="http://x/y.mp3"),
        MediaPart(media_type="application/pdf", file_id="f-1"),
    )
    (message,) = wire.sent(Message("user", parts))
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
        {"type": "image_url", "image_url": {"url": "http://x/y.png", "detail": "high"}},
        {
            "type": "document_url",
            "document_url": "data:application/pdf;base64,JVBERg==",
            "document_name": "a.pdf",
        },
        {"type": "document_url", "document_url": "http://x/y"},
        {"type": "input_audio", "input_audio": base64.b64encode(b"wav").decode()},
        {"type": "input_audio", "input_audio": "http://x/y.mp3"},
        {"type": "file", "file_id": "f-1"},
    ]
    for media in ("video/mp4", "audio/x-odd"):
        with pytest.raises(UnsupportedFeature, match=f"{media} can't be sent"):
            wire.sent(Message("user", (MediaPart(media_type=media, data=b"x"),)))


CALL = ToolCallPart(id="call_of_another_host", name="f", arguments="")


def test_ids_of_calls_fit_the_host(wire):
    own = ToolCallPart(id="D681PevKs", name="f", arguments="{}")
    results = [ToolResultPart(call_id=one.id, name="f", content="4") for one in (CALL, own)]
    _, answer, first, second = wire.sent(
        "hi", Message("assistant", (CALL, own)), *(Message("tool", (one,)) for one in results)
    )
    ids = [call["id"] for call in answer["tool_calls"]]
    assert re.fullmatch("[a-zA-Z0-9]{9}", ids[0])
    assert ids[1] == "D681PevKs"
    assert answer["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert "prefix" not in answer
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert first == {"role": "tool", "tool_call_id": ids[0], "content": "4", "name": "f"}


def test_a_user_behind_results_and_media_in_them(wire):
    calls = Message("assistant", (CALL,))
    plain = Message("tool", (ToolResultPart(call_id=CALL.id, content="4"),))
    roles = [one["role"] for one in wire.sent("hi", calls, plain, "go on")]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert [one["role"] for one in wire.sent("hi", calls, plain)][-1] == "tool"
    shown = Message("tool", (ToolResultPart(call_id=CALL.id, content=(PDF,)),))
    *_, result, between, user = wire.sent("hi", calls, shown)
    assert (result["content"], between) == (
        "(see the user's next message)",
        {"role": "assistant", "content": "OK"},
    )
    assert user["content"][0]["text"] == f"Of the tool result {CALL.id}:"
    assert user["content"][1]["type"] == "document_url"
    notes = []
    failed = Message("tool", (ToolResultPart(call_id="x", content="no", is_error=True),))
    wire.sent("hi", calls, failed, notes=notes)
    assert notes == ["mistral is not told that the tool result x is an error"]


def test_an_answer_goes_back_as_it_came(wire):
    reference = {"type": "reference", "reference_ids": [1]}
    cited = TextPart("so", citations=[Citation(extra={"mistral": reference})])
    new = {"type": "hologram", "x": 1}
    rows = [{"type": "text", "text": "hm"}, reference]
    parts = (
        ReasoningPart("hm", extra={"mistral": {"closed": True, "thinking": rows}}),
        cited,
        TextPart(" and", citations=[Citation(url="http://of-another-host")]),
        OpaquePart(provider="mistral", type="hologram", data=new),
    )
    _, answer, _ = wire.sent("hi", Message("assistant", parts), "go on")
    thought = {"type": "thinking", "thinking": rows}
    assert answer == {
        "role": "assistant",
        "content": [
            thought | {"closed": True},
            {"type": "text", "text": "so"},
            reference,
            {"type": "text", "text": " and"},
            new,
        ],
    }


def test_what_the_host_has_no_place_for_is_said(wire):
    notes = []
    parts = (
        ReasoningPart(encrypted="abc"),
        OpaquePart(provider="openai", type="x", data={}),
        TextPart("a"),
    )
    sent = wire.sent(
        Message("user", (TextPart("hi"),), name="Ann"),
        Message("assistant", parts),
        "b",
        notes=notes,
    )
    assert sent[1] == {"role": "assistant", "content": "a"}
    assert notes == [
        "mistral does not take the name 'Ann' of a message: left out",
        "mistral takes no reasoning that another host has sealed: left out",
        "mistral does not know a block of openai (x): left out",
    ]
    custom = ToolCallPart(id="x", name="f", arguments="x", custom=True)
    for message in (
        Message("system", (PDF,)),
        Message("user", (CALL,)),
        Message("tool", (TextPart("x"),)),
        Message("assistant", (custom,)),
    ):
        with pytest.raises(UnsupportedFeature):
            wire.sent("hi", message, "x")


def test_a_begun_answer_is_marked(wire):
    assert wire.sent("hi", ("assistant", "Well"))[-1]["prefix"] is True
    thought = Message("assistant", (ReasoningPart("hm", extra={"mistral": {"closed": False}}),))
    assert wire.sent("hi", thought)[-1]["prefix"] is True
    own = Message("assistant", (TextPart("x"),), extra={"mistral": {"prefix": False}})
    assert wire.sent("hi", own)[-1]["prefix"] is False
    assert "prefix" not in wire.sent("hi", ("assistant", "Well"), "go on")[1]


def test_media_of_an_answer_are_shown_by_the_user(wire):
    picture = Message("assistant", (TextPart("here"), MediaPart(media_type="image/png", data=b"x")))
    _, answer, shown, user = wire.sent("draw", picture, "and?")
    assert answer["content"] == "here"
    assert shown["content"][0] == {"type": "text", "text": "Of the answer:"}
    assert user == {"role": "user", "content": "and?"}
