"""Parameters as the wire has them; each maker's own ways."""

from __future__ import annotations

import json

import pytest

from llmmw import JsonSchema, Message, Reasoning, ServerTool, Tool, ToolCallPart, ToolNames
from llmmw.errors import BadRequest, UnsupportedFeature

pytestmark = pytest.mark.plugins

OPUS, SONNET, THREE = (
    "global.anthropic.claude-opus-4-6-v1",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-3-haiku-20240307-v1:0",
)
NOVA, NOVA_2, OSS, GPT = (
    "us.amazon.nova-pro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-120b-1:0",
    "us.openai.gpt-5.2",
)
LLAMA = "us.meta.llama4-scout-17b-instruct-v1:0"
TOOLS = [
    Tool("f", "does f", {"type": "object", "properties": {"a": {"type": "string"}}}),
    Tool("g"),
]
CALLED = ["hi", Message("assistant", [ToolCallPart(id="t", name="f")]), "so?"]


def test_the_least(wire):
    assert wire.body() == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def test_how_it_samples(wire):
    body = wire.body(max_output_tokens=9, temperature=0.3, stop_sequences=["X"], model=LLAMA)
    config = {"maxTokens": 9, "temperature": 0.3, "stopSequences": ["X"]}
    assert body["inferenceConfig"] == config
    assert "additionalModelResponseFieldPaths" not in body
    assert wire.body(top_p=0.2, model=LLAMA)["inferenceConfig"] == {"topP": 0.2}


@pytest.mark.parametrize(
    ("model", "fields"),
    [(SONNET, {"top_k": 7}), (NOVA, {"inferenceConfig": {"topK": 7}})],
)
def test_top_k_has_no_place_on_the_wire_itself(wire, model, fields):
    assert wire.body(top_k=7, model=model)["additionalModelRequestFields"] == fields


def test_which_stop_sequence_it_was_is_asked_of_who_tells_it(wire):
    for stream, path in ((False, "/stop_sequence"), (True, "/delta/stop_sequence")):
        body = wire.body(stop_sequences=["X"], stream=stream)
        assert body["additionalModelResponseFieldPaths"] == [path]


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"temperature": 1.5}, "temperature=1.5: it goes to 1"),
        ({"temperature": 0.5, "top_p": 0.5}, "temperature and top_p together"),
        ({"temperature": 0.5, "reasoning": "low"}, "temperature=0.5 while it thinks"),
        ({"output": "json"}, "JsonObject as output"),
        ({"tool_choice": "required"}, "without a tool"),
        ({"tools": [ServerTool("web", "openai")]}, "the tool 'web' of openai"),
    ],
)
def test_what_it_can_not_honour(wire, fields, match):
    with pytest.raises(UnsupportedFeature, match=match):
        wire.body(**fields)
    notes = []
    wire.body(**fields, unsupported="drop", notes=notes)
    assert any(match in note for note in notes)


@pytest.mark.parametrize(
    ("model", "asked", "fields"),
    [
        (OPUS, "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        (
            OPUS,
            Reasoning(max_tokens=2000),
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        ),
        (OPUS, "none", {"thinking": {"type": "disabled"}}),
        (
            OPUS,
            Reasoning(summary="none"),
            {"thinking": {"type": "adaptive", "display": "omitted"}},
        ),
        (SONNET, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (NOVA_2, "low", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        (NOVA_2, "none", {"reasoningConfig": {"type": "disabled"}}),
        (NOVA_2, Reasoning(), {"reasoningConfig": {"type": "enabled"}}),
        (OSS, "medium", {"reasoning_effort": "medium"}),
        (GPT, "xhigh", {"reasoning": {"effort": "xhigh"}}),
        (GPT, "none", {"reasoning": {"effort": "none"}}),
    ],
)
def test_how_much_it_thinks(wire, model, asked, fields):
    body = wire.body(reasoning=asked, model=model)
    assert body["additionalModelRequestFields"] == fields


def test_efforts_that_a_model_lacks(wire):
    notes = []
    body = wire.body(reasoning="max", model=OSS, notes=notes)
    assert body["additionalModelRequestFields"] == {"reasoning_effort": "high"}
    assert notes == ["bedrock takes reasoning.effort='max' for 'high'"]
    with pytest.raises(UnsupportedFeature, match="always thinks"):
        wire.body(reasoning="none", model=OSS)
    with pytest.raises(UnsupportedFeature, match="it thinks by an effort"):
        wire.body(reasoning={"max_tokens": 9}, model=NOVA_2)
    with pytest.raises(UnsupportedFeature, match=r"reasoning\.summary"):
        wire.body(reasoning={"summary": "auto"}, model=GPT)
    with pytest.raises(BadRequest, match="leaves nothing of 2000"):
        wire.body(reasoning={"max_tokens": 2000}, max_output_tokens=2000)


def test_tools(wire):
    more = {"bedrock": {"cachePoint": {"type": "default"}, "later": 1}}
    tools = [TOOLS[0], Tool("h", strict=True, extra=more)]
    tools += [ServerTool("systemTool", "bedrock", {"name": "nova_code_interpreter"})]
    told = wire.body(tools=tools, model=NOVA)["toolConfig"]
    plain = {"json": {"type": "object", "properties": {}}}
    assert told == {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "does f",
                    "inputSchema": {"json": TOOLS[0].parameters},
                }
            },
            {"toolSpec": {"name": "h", "inputSchema": plain, "strict": True, "later": 1}},
            {"cachePoint": {"type": "default"}},
            {"systemTool": {"name": "nova_code_interpreter"}},
        ]
    }


@pytest.mark.parametrize(
    ("choice", "told", "names"),
    [
        ("auto", {"auto": {}}, "fg"),
        ("required", {"any": {}}, "fg"),
        (ToolNames("g"), {"tool": {"name": "g"}}, "fg"),
        (ToolNames(("f", "g")), {"any": {}}, "fg"),
        (ToolNames("g", "auto"), {"auto": {}}, "g"),
    ],
)
def test_the_choice_of_tools(wire, choice, told, names):
    config = wire.body(tools=TOOLS, tool_choice=choice)["toolConfig"]
    assert config["toolChoice"] == told
    assert [one["toolSpec"]["name"] for one in config["tools"]] == list(names)


def test_several_calls_at_once_are_a_field_of_the_model(wire):
    body = wire.body(tools=TOOLS, parallel_tool_calls=False)
    assert "toolChoice" not in body["toolConfig"]
    told = {"type": "auto", "disable_parallel_tool_use": True}
    assert body["additionalModelRequestFields"] == {"tool_choice": told}
    # A type beside the choice that the wire has would contradict it.
    body = wire.body(tools=TOOLS, tool_choice="required", parallel_tool_calls=True)
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    told = {"disable_parallel_tool_use": False}
    assert body["additionalModelRequestFields"] == {"tool_choice": told}


def test_no_tool_may_be_called(wire):
    assert "toolConfig" not in wire.body(tools=TOOLS, tool_choice="none")
    body = wire.body(CALLED, tools=TOOLS, tool_choice="none")
    assert len(body["toolConfig"]["tools"]) == 2
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    with pytest.raises(UnsupportedFeature, match="tool_choice='none' beside messages that have"):
        wire.body(CALLED, tools=TOOLS, tool_choice="none", model=NOVA)


def test_tools_of_a_history_are_declared(wire):
    spec = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
    body = wire.body(CALLED)
    assert body["toolConfig"] == {"tools": [spec]}
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    notes = []
    body = wire.body(CALLED, model=NOVA, notes=notes)
    assert body["toolConfig"] == {"tools": [spec]}
    assert notes == ["bedrock can't be kept from calling the tools that the messages have calls of"]


def test_a_tool_that_is_not_given(wire):
    with pytest.raises(BadRequest, match="names 'h', which is no tool given"):
        wire.body(tools=TOOLS, tool_choice=ToolNames("h"))


def test_a_schema(wire):
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}
    notes = []
    output = JsonSchema(schema, name="n", description="d")
    body = wire.body(output=output, notes=notes)
    form = body["outputConfig"]["textFormat"]
    assert form["type"] == "json_schema"
    told = form["structure"]["jsonSchema"]
    assert (told["name"], told["description"]) == ("n", "d")
    assert json.loads(told["schema"]) == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "{minimum: 3}"}},
        "additionalProperties": False,
    }
    assert notes == ["bedrock is not bound by minimum of the schema, only told of it"]


def test_fields_for_this_host_are_merged_into_the_others(wire):
    extra = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"team": "a"},
        "inferenceConfig": {"temperature": 0.1},
        "additionalModelRequestFields": {"anthropic_beta": ["b"], "thinking": {"display": "x"}},
    }
    body = wire.body(reasoning="low", max_output_tokens=9_000, model=OPUS, extra={"bedrock": extra})
    assert body["inferenceConfig"] == {"maxTokens": 9_000, "temperature": 0.1}
    fields = body["additionalModelRequestFields"]
    assert fields["anthropic_beta"] == ["b"]
    assert fields["thinking"] == {"type": "adaptive", "display": "x"}
    for name in ("guardrailConfig", "performanceConfig", "requestMetadata"):
        assert body[name] == extra[name]


def test_an_answer_that_was_begun(wire):
    begun = ["hi", ("assistant", "Well, ")]
    assert wire.body(begun)["messages"][-1]["content"] == [{"text": "Well,"}]
    for more in ({"model": OPUS}, {"reasoning": "low"}):
        with pytest.raises(UnsupportedFeature, match="an answer that was begun"):
            wire.body(begun, **more)
