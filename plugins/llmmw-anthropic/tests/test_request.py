"""Parameters, tools and forms of answers as the wire has them."""

from __future__ import annotations

import pytest

from llmmw import (
    Choice,
    Generate,
    Grammar,
    JsonSchema,
    Message,
    Reasoning,
    ServerTool,
    Tool,
    ToolNames,
)
from llmmw.errors import BadRequest, UnsupportedFeature

pytestmark = pytest.mark.plugins

F = Tool("f", "Does.", {"properties": {"x": {"type": "integer"}}}, strict=True)
G = Tool("g")
NEW, MIDDLE, OLD = "claude-opus-4-8", "claude-opus-4-6", "claude-3-5-sonnet-latest"


def dropped(wire, **fields):
    """The body where something is dropped, and what was said of it."""
    notes = []
    body = wire.body(**fields, unsupported="drop", notes=notes)
    assert len(notes) == 1
    return body, notes[0]


def test_the_least_that_is_asked(wire):
    assert wire.body("hi") == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-opus-5", 128_000),
        ("claude-sonnet-4-6-20260101", 128_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-opus-4-1", 32_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-3-7-sonnet-latest", 64_000),
        ("claude-3-5-haiku-latest", 8_192),
        ("claude-3-haiku-20240307", 4_096),
        ("claude-next", 64_000),
        ("smollm2", 4_096),
    ],
)
def test_the_limit_that_the_wire_needs(wire, model, most):
    assert wire.body(model=model)["max_tokens"] == most
    assert wire.body(model=model, max_output_tokens=9)["max_tokens"] == 9


def test_sampling(wire):
    body = wire.body(temperature=0.5, top_k=7, stop_sequences=["a", "b"])
    assert (body["temperature"], body["top_k"]) == (0.5, 7)
    assert body["stop_sequences"] == ["a", "b"]
    assert wire.body(top_p=0.2)["top_p"] == 0.2


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"temperature": 1.5}, {}),
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}),
        ({"temperature": 0.5, "reasoning": Reasoning(max_tokens=2000)}, {}),
        ({"top_p": 0.5, "reasoning": Reasoning(max_tokens=2000)}, {}),
        ({"top_k": 5, "reasoning": Reasoning(max_tokens=2000)}, {}),
        ({"temperature": 1, "reasoning": Reasoning(max_tokens=2000)}, {"temperature": 1}),
        ({"temperature": 0.5, "reasoning": Reasoning(effort="none")}, {"temperature": 0.5}),
    ],
)
def test_sampling_that_the_host_refuses(wire, fields, kept):
    names = {"temperature", "top_p", "top_k"}
    if names & fields.keys() == kept.keys():
        body = wire.body(**fields)
    else:
        with pytest.raises(UnsupportedFeature, match="can't honour"):
            wire.body(**fields)
        body, _ = dropped(wire, **fields)
    assert {name: body[name] for name in names & body.keys()} == kept


@pytest.mark.parametrize(
    ("model", "asked", "thinking", "effort"),
    [
        (NEW, Reasoning(effort="high"), {"type": "adaptive"}, "high"),
        (NEW, Reasoning(), {"type": "adaptive"}, None),
        (NEW, Reasoning(effort="none"), {"type": "disabled"}, None),
        (
            NEW,
            Reasoning(effort="low", summary="none"),
            {"type": "adaptive", "display": "omitted"},
            "low",
        ),
        (MIDDLE, Reasoning(max_tokens=3000), {"type": "enabled", "budget_tokens": 3000}, None),
        (MIDDLE, Reasoning(effort="max"), {"type": "adaptive"}, "max"),
        (
            "claude-haiku-4-5",
            Reasoning(effort="high", summary="auto"),
            {"type": "enabled", "budget_tokens": 16_384, "display": "summarized"},
            None,
        ),
        (
            "claude-opus-4-5",
            Reasoning(effort="low"),
            {"type": "enabled", "budget_tokens": 2_048},
            "low",
        ),
        ("claude-opus-4-0", Reasoning(), {"type": "enabled", "budget_tokens": 8_192}, None),
        (
            "claude-opus-4-0",
            Reasoning(effort="max"),
            {"type": "enabled", "budget_tokens": 16_000},
            None,
        ),
    ],
)
def test_thinking(wire, model, asked, thinking, effort):
    body = wire.body(model=model, reasoning=asked)
    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("model", "asked", "taken"),
    [
        (NEW, "minimal", "low"),
        (MIDDLE, "xhigh", "high"),
        ("claude-opus-4-5", "max", "high"),
    ],
)
def test_an_effort_that_a_model_lacks_is_the_nearest_below(wire, model, asked, taken):
    notes = []
    body = wire.body(model=model, reasoning=asked, notes=notes)
    assert body["output_config"] == {"effort": taken}
    assert notes == [f"anthropic takes reasoning.effort={asked!r} for {taken!r}"]


def test_limits_of_thinking(wire):
    body = wire.body(reasoning="high", max_output_tokens=6000)
    assert body["thinking"]["budget_tokens"] == 3000  # half is left for the answer
    notes = []
    body = wire.body(reasoning=Reasoning(max_tokens=5), notes=notes)
    assert body["thinking"]["budget_tokens"] == 1024
    assert "its least" in notes[0]
    with pytest.raises(BadRequest, match="leaves nothing of 2000"):
        wire.body(reasoning=Reasoning(max_tokens=2000), max_output_tokens=2000)
    with pytest.raises(BadRequest, match="known are none, minimal"):
        wire.body(reasoning="zz")
    body, said = dropped(wire, reasoning="low", max_output_tokens=900)
    assert "thinking" not in body
    assert "reasoning" in said
    body, said = dropped(wire, reasoning=Reasoning(max_tokens=2000), model=NEW)
    assert body["thinking"] == {"type": "adaptive"}
    body, said = dropped(wire, reasoning="none", model="claude-fable-5")
    assert "thinking" not in body


def test_tools(wire):
    body = wire.body(tools=[F, G], parallel_tool_calls=False)
    assert body["tools"] == [
        {
            "name": "f",
            "description": "Does.",
            "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}},
            "strict": True,
        },
        {"name": "g", "description": "", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    cached = Tool("h", extra={"anthropic": {"cache_control": {"type": "ephemeral"}}})
    assert wire.body(tools=[cached])["tools"][0]["cache_control"] == {"type": "ephemeral"}
    assert "tool_choice" not in wire.body(tools=[F])


@pytest.mark.parametrize(
    ("choice", "told", "names"),
    [
        ("auto", {"type": "auto"}, "fg"),
        ("none", {"type": "none"}, "fg"),
        ("required", {"type": "any"}, "fg"),
        (ToolNames("g"), {"type": "tool", "name": "g"}, "fg"),
        (ToolNames("g", mode="auto"), {"type": "auto"}, "g"),
        (ToolNames(("f", "g")), {"type": "any"}, "fg"),
    ],
)
def test_choices_of_tools(wire, choice, told, names):
    body = wire.body(tools=[F, G], tool_choice=choice)
    assert body["tool_choice"] == told
    assert "".join(tool["name"] for tool in body["tools"]) == names


def test_choices_that_are_none(wire):
    with pytest.raises(BadRequest, match="names 'x', which is no tool given"):
        wire.body(tools=[F], tool_choice=ToolNames("x"))
    body, said = dropped(wire, tool_choice="required")
    assert "tool_choice" not in body
    assert "without a tool" in said


@pytest.mark.parametrize("choice", ["required", ToolNames("f")])
@pytest.mark.parametrize(
    ("model", "more"),
    [("claude-sonnet-4-5", {"reasoning": "low"}), ("claude-opus-5-5", {})],
)
def test_a_call_that_cannot_be_forced(wire, choice, model, more):
    asked = {"tools": [F], "tool_choice": choice, "model": model, **more}
    with pytest.raises(UnsupportedFeature, match="forced"):
        wire.body(**asked)
    body, _ = dropped(wire, **asked)
    assert "tool_choice" not in body
    assert wire.body(tools=[F], tool_choice=choice, reasoning="low", model=NEW)["tool_choice"]


def test_tools_of_the_host(wire):
    tools = [
        ServerTool("web_search_20250305", "anthropic", {"max_uses": 2}),
        ServerTool("text_editor_20250728", "anthropic"),
        ServerTool("mcp_toolset", "anthropic", {"mcp_server_name": "m"}),
    ]
    assert wire.body(tools=tools)["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "mcp_toolset", "mcp_server_name": "m"},
    ]
    body, said = dropped(wire, tools=[ServerTool("web_search", "openai")])
    assert "tools" not in body
    assert "of openai" in said


def test_tools_of_a_history_are_declared(wire):
    """Else the host refuses the calls in it."""
    asked = {"id": "t", "function": {"name": "f", "arguments": "{}"}}
    talk = [
        "hi",
        {"role": "assistant", "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "t", "name": "f", "content": "x"},
    ]
    body = wire.body(talk)
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
    assert wire.body(talk, tools=[G])["tools"][0]["name"] == "g"


def test_a_schema_is_closed_and_what_it_lacks_is_said(wire):
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "How many."},
            "sub": {"$ref": "#/$defs/sub", "description": "beside"},
            "list": {"type": "array", "items": {"type": "object"}, "minItems": 2},
            "one": {"oneOf": [{"type": "string", "format": "odd"}, {"type": "null"}]},
        },
        "required": ["n"],
        "$defs": {"sub": {"type": "object", "properties": {}}},
    }
    notes = []
    body = wire.body(output=JsonSchema(schema, description="All."), notes=notes)
    form = body["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert form["schema"] == {
        "type": "object",
        "description": "All.",
        "additionalProperties": False,
        "properties": {
            "n": {"type": "integer", "description": "How many.\n\n{minimum: 1}"},
            "sub": {"$ref": "#/$defs/sub"},
            "list": {
                "type": "array",
                "items": {"type": "object", "additionalProperties": False},
                "description": "{minItems: 2}",
            },
            "one": {
                "anyOf": [{"type": "string", "description": '{format: "odd"}'}, {"type": "null"}]
            },
        },
        "required": ["n"],
        "$defs": {"sub": {"type": "object", "properties": {}, "additionalProperties": False}},
    }
    (note,) = notes
    assert "minimum, minItems, format" in note
    assert schema["properties"]["n"]["minimum"] == 1  # the caller's own is as it was


def test_a_schema_and_an_effort_stand_together(wire):
    body = wire.body(output={"type": "object"}, reasoning="low", model=NEW)
    assert body["output_config"].keys() == {"format", "effort"}


def test_a_schema_that_nests_too_deeply(wire):
    schema: dict = {}
    for _ in range(3000):
        schema = {"items": schema}
    with pytest.raises(BadRequest, match="nests too deeply"):
        wire.body(output=JsonSchema(schema))


@pytest.mark.parametrize("output", ["json", Grammar("a"), Choice(("a",))])
def test_other_forms_of_answers(wire, output):
    with pytest.raises(UnsupportedFeature, match="as output"):
        wire.body(output=output)
    body, _ = dropped(wire, output=output)
    assert "output_config" not in body


def test_fields_that_only_this_host_knows(wire):
    extra = {"anthropic": {"service_tier": "auto", "max_tokens": 3}, "openai": {"x": 1}}
    body = wire.body(extra=extra)
    assert (body["service_tier"], body["max_tokens"]) == ("auto", 3)
    assert "x" not in body
    with pytest.raises(BadRequest, match="betas="):
        wire.body(extra={"anthropic": {"betas": "one"}})


def test_labels_of_a_request_are_not_sent(wire):
    body = wire.body([Message("user", "hi")], metadata={"who": "me"})
    assert "metadata" not in body


@pytest.mark.parametrize("model", [NEW, OLD])
async def test_what_a_model_refuses_is_known_before_it_is_asked(wire, model):
    field = {"temperature": 1} if model == NEW else {"reasoning": "low"}
    async with wire.client(wire.whole(wire.message("x")), model=model) as (client, server):
        with pytest.raises(UnsupportedFeature, match=next(iter(field))):
            await client.ask("hi", **field)
        with pytest.raises(UnsupportedFeature, match="prompt"):
            await client.ask(Generate(prompt="x"))
        assert server.requests == []
