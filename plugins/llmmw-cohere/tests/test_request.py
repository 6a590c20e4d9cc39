"""Parameters as the wire has them."""

from __future__ import annotations

import pytest

from llmmw import JsonSchema, MediaPart, Message, Reasoning, TextPart, Tool, ToolNames
from llmmw.errors import BadRequest, UnsupportedFeature

pytestmark = pytest.mark.plugins

F, G = Tool("f", "does f", {"type": "object"}), Tool("g")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


async def test_names_of_parameters(wire):
    body, warnings = await wire.sent(
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.75,
        top_k=4,
        stop_sequences=["x"],
        seed=7,
        frequency_penalty=0.25,
        presence_penalty=1,
        logprobs=0,
    )
    assert body == {
        "model": "command-a-reasoning-08-2025",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "max_tokens": 9,
        "temperature": 0.5,
        "p": 0.75,
        "k": 4,
        "stop_sequences": ["x"],
        "seed": 7,
        "frequency_penalty": 0.25,
        "presence_penalty": 1,
        "logprobs": True,
    }
    assert warnings == ()


async def test_a_stream_is_asked_for(wire):
    answer = wire.events(wire.start(), wire.end())
    async with wire.client(answer) as (client, server):
        async with client.stream("hi") as told:
            await told.wait_response()
    (received,) = server.requests
    assert (received.path, received.json()["stream"]) == ("/v2/chat", True)
    assert received.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("name", "given"),
    [("temperature", 1.5), ("seed", -1), ("frequency_penalty", -0.5), ("presence_penalty", 2)],
)
async def test_what_the_host_would_refuse(wire, name, given):
    with pytest.raises(UnsupportedFeature, match=f"{name}={given}"):
        await wire.sent(**{name: given})
    body, (warning,) = await wire.sent(**{name: given}, unsupported="drop")
    assert name not in body
    assert name in warning


async def test_limits_that_are_all_but_kept(wire):
    body, warnings = await wire.sent(top_p=1, top_k=900)
    assert (body["p"], body["k"]) == (0.99, 500)
    assert [one.partition(": ")[0] for one in warnings] == [
        "cohere takes 0.99 for top_p=1",
        "cohere takes 500 for top_k=900",
    ]
    body, _ = await wire.sent(stop_sequences="abcdefg", unsupported="drop")
    assert body["stop_sequences"] == ["abcdefg"]
    body, (warning,) = await wire.sent(stop_sequences=list("abcdefg"), unsupported="drop")
    assert body["stop_sequences"] == list("abcde")
    assert "more than 5" in warning


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        ("none", {"type": "disabled"}),
        (Reasoning(max_tokens=0), {"type": "disabled"}),
        ("low", {"type": "enabled", "token_budget": 2048}),
        ("max", {"type": "enabled"}),
        (Reasoning(max_tokens=500), {"type": "enabled", "token_budget": 500}),
        (Reasoning(summary="auto"), {"type": "enabled"}),
    ],
)
async def test_thinking(wire, reasoning, thinking):
    body, warnings = await wire.sent(reasoning=reasoning)
    assert body["thinking"] == thinking
    assert warnings == ()


async def test_models_that_do_not_think(wire):
    with pytest.raises(UnsupportedFeature, match="reasoning"):
        await wire.sent(reasoning="low", model="command-r7b-12-2024")


async def test_tools(wire):
    body, _ = await wire.sent(tools=[F, G])
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}},
        },
        {
            "type": "function",
            "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert not body.keys() & {"tool_choice", "strict_tools"}
    body, _ = await wire.sent(tools=[Tool("f", strict=True), G], parallel_tool_calls=True)
    assert body["strict_tools"] is True
    with pytest.raises(UnsupportedFeature, match="strict for some"):
        await wire.sent(tools=[Tool("f", strict=True), Tool("g", strict=False)])


@pytest.mark.parametrize(
    ("choice", "names", "word"),
    [
        ("auto", "fg", None),
        ("none", "fg", "NONE"),
        ("required", "fg", "REQUIRED"),
        (ToolNames("g"), "g", "REQUIRED"),
        (ToolNames(("f", "g"), "auto"), "fg", None),
    ],
)
async def test_choices(wire, choice, names, word):
    body, _ = await wire.sent(tools=[F, G], tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == list(names)
    assert body.get("tool_choice") == word


async def test_choices_that_are_none(wire):
    with pytest.raises(BadRequest, match="'h', which is no tool"):
        await wire.sent(tools=[F], tool_choice=ToolNames("h"))
    with pytest.raises(UnsupportedFeature, match="without a tool"):
        await wire.sent(tool_choice="required")
    with pytest.raises(UnsupportedFeature, match="tool_choice"):
        await wire.sent(tools=[F], tool_choice="required", model="command-r-plus-08-2024")


async def test_forms(wire):
    body, _ = await wire.sent(output="json")
    assert body["response_format"] == {"type": "json_object"}
    body, _ = await wire.sent(output=JsonSchema(SCHEMA, description="d"))
    told = {"type": "json_object", "json_schema": SCHEMA | {"description": "d"}}
    assert body["response_format"] == told


async def test_no_form_beside_tools_or_documents(wire):
    paper = MediaPart(media_type="text/plain", data=b"x")
    shown = Message("user", (TextPart("a"), paper))
    extra = {"cohere": {"documents": ["x"]}}
    for prompt, beside in (("hi", {"tools": [F]}), (shown, {}), ("hi", {"extra": extra})):
        with pytest.raises(UnsupportedFeature, match="output beside tools or documents"):
            await wire.sent(prompt, output="json", **beside)
        body, (warning,) = await wire.sent(prompt, output="json", unsupported="drop", **beside)
        assert "response_format" not in body
        assert "output" in warning


async def test_fields_of_the_host_alone(wire):
    fields = {"safety_mode": "STRICT", "citation_options": {"mode": "FAST"}, "temperature": 0.1}
    body, _ = await wire.sent(extra={"cohere": fields, "openai": {"x": 1}}, temperature=0.9)
    assert body.items() >= fields.items()
    assert "x" not in body
