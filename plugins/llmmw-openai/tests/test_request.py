"""Each parameter under the name that each host has for it. Pure."""

from __future__ import annotations

import pytest
from llmmw_openai._presets import PRESETS
from llmmw_openai._request import body_of, embed_body

from llmmw import (
    Choice,
    Embed,
    Generate,
    Grammar,
    JsonObject,
    JsonSchema,
    Reasoning,
    ServerTool,
    Tool,
    ToolNames,
)
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.wire import Losses

pytestmark = pytest.mark.plugins

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
F, G = Tool("f", "does f", {"type": "object"}), Tool("g")
F_SENT = {
    "type": "function",
    "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}},
}
G_SENT = {
    "type": "function",
    "function": {
        "name": "g",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    },
}


def made(preset="openai", *, stream=False, **fields):
    """The body and the warnings of a request."""
    if "prompt" not in fields:
        fields.setdefault("messages", ("hi",))
    request = Generate(model=f"{preset}:m", **fields)
    losses = Losses(request, preset)
    row = PRESETS[preset]
    return body_of(request, row, losses, stream=stream, extra=(preset, "mine")), losses.warnings


def sent(preset="openai", **fields):
    """What a parameter adds to the body."""
    body, warnings = made(preset, **fields)
    assert warnings == []
    return {name: told for name, told in body.items() if name not in {"model", "messages"}}


def test_only_what_is_set_is_sent():
    assert made() == ({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, [])
    assert made(prompt="Once") == ({"model": "m", "prompt": "Once"}, [])


@pytest.mark.parametrize(
    ("preset", "fields", "expected"),
    [
        ("openai", {"max_output_tokens": 9}, {"max_completion_tokens": 9}),
        ("azure", {"max_output_tokens": 9}, {"max_completion_tokens": 9}),
        ("groq", {"max_output_tokens": 9}, {"max_completion_tokens": 9}),
        ("together", {"max_output_tokens": 9}, {"max_tokens": 9}),
        ("vllm", {"max_output_tokens": 9}, {"max_tokens": 9}),
        ("openai", {"prompt": "x", "max_output_tokens": 9}, {"prompt": "x", "max_tokens": 9}),
        ("mistral-openai", {"seed": 3}, {"random_seed": 3}),
        ("openai", {"seed": 3}, {"seed": 3}),
        ("llama.cpp", {"repetition_penalty": 1.5}, {"repeat_penalty": 1.5}),
        ("vllm", {"repetition_penalty": 1.5}, {"repetition_penalty": 1.5}),
        ("openai", {"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ("together", {"top_k": 0, "min_p": 0.1}, {"top_k": 0, "min_p": 0.1}),
        (
            "openai",
            {"frequency_penalty": 0, "presence_penalty": -1, "n": 2},
            {"frequency_penalty": 0, "presence_penalty": -1, "n": 2},
        ),
        ("openai", {"stop_sequences": "x"}, {"stop": ["x"]}),
        ("openai", {"logit_bias": {"5": -100}}, {"logit_bias": {"5": -100}}),
        ("openai", {"logprobs": 0}, {"logprobs": True}),
        ("openai", {"logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ("together", {"logprobs": 0}, {"logprobs": 1}),
        ("together", {"logprobs": 2}, {"logprobs": 2}),
        ("openai", {"prompt": "x", "logprobs": 0}, {"prompt": "x", "logprobs": 0}),
        ("together", {"prompt": "x", "logprobs": 0}, {"prompt": "x", "logprobs": 1}),
        ("openai", {"reasoning": "low"}, {"reasoning_effort": "low"}),
        ("openrouter", {"reasoning": "low"}, {"reasoning": {"effort": "low"}}),
        (
            "openrouter",
            {"reasoning": Reasoning(max_tokens=9)},
            {"reasoning": {"max_tokens": 9}},
        ),
        ("deepseek", {"reasoning": "none"}, {"thinking": {"type": "disabled"}}),
        ("alibaba", {"reasoning": "none"}, {"enable_thinking": False}),
        (
            "alibaba",
            {"reasoning": Reasoning(max_tokens=9)},
            {"enable_thinking": True, "thinking_budget": 9},
        ),
        ("openai", {"extra": {"openai": {"store": True}, "groq": {"no": 1}}}, {"store": True}),
        (
            "openai",
            {"seed": 1, "extra": {"mine": {"seed": 3}, "openai": {"seed": 2}}},
            {"seed": 3},
        ),
    ],
)
def test_parameters(preset, fields, expected):
    assert sent(preset, **fields) == expected


@pytest.mark.parametrize(("preset", "word"), [("deepseek", "thinking"), ("alibaba", "enable")])
def test_an_effort_that_only_turns_thinking_on_is_told(preset, word):
    body, warnings = made(preset, reasoning="high")
    assert any(word in name for name in body)
    assert "reasoning.effort='high'" in warnings[0]


def test_streams_ask_for_usage():
    assert sent(stream=True) == {"stream": True, "stream_options": {"include_usage": True}}
    assert sent("mistral-openai", stream=True) == {"stream": True}


NAMED = {"name": "answer", "schema": SCHEMA}


@pytest.mark.parametrize(
    ("preset", "output", "expected"),
    [
        ("openai", JsonObject(), {"response_format": {"type": "json_object"}}),
        (
            "openai",
            SCHEMA,
            {"response_format": {"type": "json_schema", "json_schema": NAMED}},
        ),
        (
            "openai",
            JsonSchema(SCHEMA, name="n", description="d", strict=True),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "n",
                        "schema": SCHEMA,
                        "description": "d",
                        "strict": True,
                    },
                }
            },
        ),
        ("together", SCHEMA, {"response_format": {"type": "json_schema", "schema": SCHEMA}}),
        ("vllm", Grammar("a+", "regex"), {"structured_outputs": {"regex": "a+"}}),
        ("vllm", Grammar("root ::= 'a'"), {"structured_outputs": {"grammar": "root ::= 'a'"}}),
        ("vllm", Choice(("a", "b")), {"structured_outputs": {"choice": ["a", "b"]}}),
        ("llama.cpp", Grammar('root ::= "a"'), {"grammar": 'root ::= "a"'}),
        ("llama.cpp", Choice(('a"', "b\\")), {"grammar": r'root ::= "a\x22" | "b\x5C"'}),
        (
            "fireworks",
            Grammar('root ::= "a"'),
            {"response_format": {"type": "grammar", "grammar": 'root ::= "a"'}},
        ),
        (
            "fireworks",
            Choice(("a",)),
            {"response_format": {"type": "grammar", "grammar": 'root ::= "a"'}},
        ),
    ],
)
def test_output(preset, output, expected):
    assert sent(preset, output=output) == expected


def test_output_after_a_prompt():
    assert sent("llama.cpp", prompt="x", output=SCHEMA) == {"prompt": "x", "json_schema": SCHEMA}
    asked = sent("vllm", prompt="x", output="json")
    assert asked == {"prompt": "x", "response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("preset", "fields", "expected"),
    [
        ("openai", {"tools": [F, G]}, {"tools": [F_SENT, G_SENT]}),
        ("openai", {"tools": [F], "tool_choice": "none"}, {"tool_choice": "none"}),
        ("openai", {"tools": [F], "tool_choice": "required"}, {"tool_choice": "required"}),
        (
            "openai",
            {"tools": [F], "parallel_tool_calls": False},
            {"parallel_tool_calls": False},
        ),
        (
            "openai",
            {"tools": [F, G], "tool_choice": ToolNames("f")},
            {
                "tools": [F_SENT, G_SENT],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
            },
        ),
        (
            "openai",
            {"tools": [F, G], "tool_choice": ToolNames(("f", "g"), "auto")},
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [
                            {"type": "function", "function": {"name": "f"}},
                            {"type": "function", "function": {"name": "g"}},
                        ],
                    },
                }
            },
        ),
        (
            "groq",
            {"tools": [F, G], "tool_choice": ToolNames("f", "auto")},
            {"tools": [F_SENT], "tool_choice": "auto"},
        ),
        ("together", {"tools": [F], "tool_choice": "auto"}, {"tool_choice": "auto"}),
        (
            "openai",
            {"tools": [ServerTool("custom", "openai", {"custom": {"name": "c"}})]},
            {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
        ),
        (
            "openai",
            {"tools": [Tool("f", strict=True, extra={"openai": {"x": 1}, "groq": {"y": 2}})]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": G_SENT["function"] | {"name": "f", "strict": True},
                        "x": 1,
                    }
                ]
            },
        ),
    ],
)
def test_tools(preset, fields, expected):
    body = sent(preset, **fields)
    assert body | expected == body


def test_no_tools_says_none_too():
    assert sent("together", tools=[F], tool_choice="none") == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [F], "tool_choice": ToolNames("h")},
        {"tool_choice": ToolNames("f")},
        {"tools": [F], "tool_choice": ToolNames(())},
    ],
)
def test_a_choice_of_tools_that_are_not_there(fields):
    with pytest.raises(BadRequest, match="tool_choice"):
        made(**fields)


@pytest.mark.parametrize(
    ("preset", "fields", "said"),
    [
        ("together", {"tools": [F], "tool_choice": "required"}, "tool_choice='required'"),
        ("openai", {"tool_choice": "required"}, "tool_choice='required' without a tool"),
        ("zai", {"tools": [F], "tool_choice": ToolNames("f")}, "a tool_choice by name"),
        ("openai", {"tools": [F, ServerTool("search", "groq")]}, "the tool 'search' of groq"),
        ("openai", {"output": Choice(("a",))}, "a choice as output"),
        ("openai", {"output": Grammar("a", "regex")}, "a regex grammar as output"),
        ("llama.cpp", {"output": Grammar("a", "lark")}, "a lark grammar as output"),
        ("openai", {"prompt": "x", "output": "json"}, "output with a prompt"),
        ("openai", {"reasoning": Reasoning(max_tokens=5)}, "reasoning.max_tokens"),
        ("openai", {"reasoning": Reasoning(summary="auto")}, "reasoning.summary"),
    ],
)
def test_what_a_host_lacks_is_an_error_or_a_warning(preset, fields, said):
    with pytest.raises(UnsupportedFeature, match=f"{preset} can't honour {said}"):
        made(preset, **fields)
    _, warnings = made(preset, unsupported="drop", **fields)
    assert warnings == [f"{preset} can't honour {said}: dropped"]


def test_vectors():
    def body(preset, **fields):
        request = Embed(model=f"{preset}:m", inputs=["a", "b"], **fields)
        losses = Losses(request, preset)
        told = embed_body(request, request.inputs, PRESETS[preset], losses, extra=(preset,))
        return told, losses.warnings

    assert body("openai", dimensions=8, extra={"openai": {"user": "u"}}) == (
        {
            "model": "m",
            "input": ["a", "b"],
            "encoding_format": "base64",
            "dimensions": 8,
            "user": "u",
        },
        [],
    )
    assert body("together") == ({"model": "m", "input": ["a", "b"]}, [])
    assert body("mistral-openai", dimensions=8)[0] == {
        "model": "m",
        "input": ["a", "b"],
        "output_dimension": 8,
    }
    with pytest.raises(UnsupportedFeature, match="purpose"):
        body("openai", purpose="query")
    assert len(body("openai", purpose="query", unsupported="drop")[1]) == 1
