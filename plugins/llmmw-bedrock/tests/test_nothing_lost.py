"""What is asked reaches the host, or the caller is told that it does not: for every model."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_bedrock._models import MODELS, model_of
from llmmw_bedrock._request import body_of

from llmmw import Choice, Generate, Grammar, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.plugin import Capabilities, honour
from llmmw.wire import Losses

pytestmark = pytest.mark.plugins

# Values that stand nowhere else in a body.
VALUES = {
    "max_output_tokens": 91_517,
    "temperature": 0.317,
    "top_p": 0.733,
    "top_k": 41,
    "min_p": 0.057,
    "seed": 77123,
    "frequency_penalty": 0.411,
    "presence_penalty": 0.412,
    "repetition_penalty": 1.413,
    "n": 3,
    "stop_sequences": ("zzstop",),
    "logit_bias": {"5151": 7},
    "logprobs": 4,
    "parallel_tool_calls": False,
}
OUTPUTS = [
    "json",
    JsonSchema({"type": "object", "description": "zzschema"}),
    JsonSchema({"type": "string", "pattern": "zzpattern"}),
    Grammar("zzgbnf"),
    Choice(("zzchoice",)),
]
TOOLS = [Tool("zzf"), Tool("zzg"), ServerTool("zzrun", "bedrock"), ServerTool("zzs", "openai")]
REASONING = [
    Reasoning(effort="high"),
    Reasoning(effort="xhigh"),
    Reasoning(effort="none"),
    Reasoning(max_tokens=7_713),
    Reasoning(summary="auto"),
]
CHOICES = ["auto", "none", "required", ToolNames("zzf"), ToolNames(("zzf", "zzg"), "auto")]
NAMES = [
    *("anthropic.claude-fable-5-1", "anthropic.claude-fable-5", "anthropic.claude-opus-5-5"),
    *("us.anthropic.claude-sonnet-5", "anthropic.claude-opus-4-8", "anthropic.claude-opus-4-7"),
    *("global.anthropic.claude-opus-4-6-v1", "anthropic.claude-haiku-4-5-20251001-v1:0"),
    *("anthropic.claude-opus-4-1-20250805-v1:0", "anthropic.claude-opus-4-20250514-v1:0"),
    *("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "anthropic.claude-3-5-haiku-20241022-v1:0"),
    *("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-v2:1", "anthropic.claude-next"),
    *("us.amazon.nova-2-lite-v1:0", "amazon.nova-pro-v1:0", "amazon.nova-micro-v1:0"),
    *("openai.gpt-oss-20b-1:0", "openai.gpt-5.2", "meta.llama3-3-70b-instruct-v1:0"),
    *("us.deepseek.r1-v1:0", "qwen.qwen3-32b-v1:0"),
]
VECTORS = ["amazon.titan-embed-text-v2:0", "cohere.embed-v4:0", "amazon.nova-2-embeddings-v1:0"]


def test_every_row_has_a_name_here():
    assert {model_of(name).pattern for name in NAMES + VECTORS} == {row.pattern for row in MODELS}


parameters = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(told) for name, told in VALUES.items()},
        "output": st.sampled_from(OUTPUTS),
        "reasoning": st.sampled_from(REASONING),
    },
)
# Half of the cases have one parameter alone, so that a refusal of another hides nothing.
single = st.sampled_from(
    [{name: told} for name, told in VALUES.items()]
    + [{"output": one} for one in OUTPUTS]
    + [{"reasoning": one} for one in REASONING]
)
THINKS = ('"adaptive"', '"budget_tokens"', '"reasoningConfig"', '"reasoning_effort"', '"reasoning"')


def signs_of(name, told):
    """Texts of which one stands in a body that has the parameter."""
    if name == "output":
        return ["zzschema", "zzpattern"]
    if name == "reasoning":
        if told.max_tokens:
            return ["7713"]
        return ['"disabled"', '{"effort": "none"}'] if told.effort == "none" else THINKS
    if name == "stop_sequences":
        return ["zzstop"]
    if name == "parallel_tool_calls":
        return ["disable_parallel_tool_use"]
    return [f": {told}"]


def missing(request, body, warnings):
    """The parameters that neither the body shows nor a warning names."""
    sent, told = json.dumps(body), " ".join(warnings)
    lost = []
    for name in request.parameters():
        if name in {"tools", "tool_choice"} or name in told:
            continue
        if name == "parallel_tool_calls" and "toolConfig" not in body:
            continue  # it says nothing then
        if name == "output" and "as output" in told:
            continue
        if not any(sign in sent for sign in signs_of(name, getattr(request, name))):
            lost.append(name)
    named = request.tool_choice.names if isinstance(request.tool_choice, ToolNames) else None
    tools = request.tools if "honour tools" not in told and request.tool_choice != "none" else ()
    for tool in tools:
        name = tool.name if isinstance(tool, Tool) else tool.type
        asked = named is None or len(named) == 1 or name in named
        if asked and name not in sent and name not in told:
            lost.append(name)
    choice = request.tool_choice if "toolConfig" in body else None  # without tools it says nothing
    said = "forced" in told or "toolChoice" in sent or "disable_parallel_tool_use" in sent
    if choice is not None and not said:
        lost.append("tool_choice")
    return lost


def told_of(request, model, can):
    """Why it is refused, or the body and what is noted."""
    try:
        taken, warnings = honour(request, can, f"bedrock:{model}")
        notes = Losses(taken, "bedrock", list(warnings))
        return "", body_of(taken, model_of(model), notes, stream=False, extra=()), notes
    except (UnsupportedFeature, BadRequest) as error:
        return str(error), None, None


@settings(max_examples=400)
@given(
    model=st.sampled_from(NAMES),
    fields=parameters | single,
    tools=st.lists(st.sampled_from(TOOLS), unique=True, max_size=3),
    choice=st.none() | st.sampled_from(CHOICES),
    drop=st.booleans(),
)
def test_nothing_is_lost_in_silence(model, fields, tools, choice, drop):
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    if isinstance(choice, ToolNames) and not set(choice.names) <= names:
        choice = None
    request = Generate(
        model=f"bedrock:{model}",
        messages=("hi",),
        unsupported="drop" if drop else "error",
        tools=tools,
        tool_choice=choice,
        **fields,
    )
    can = Capabilities(parameters=model_of(model).parameters)
    said, body, notes = told_of(request, model, can)
    if body is None:
        assert "reasoning" in said or ("can't honour" in said and not drop)
        return
    assert missing(request, body, notes.warnings) == []
    if not drop:
        assert all("can't honour" not in told for told in notes.warnings)


async def test_a_response_carries_the_warnings(wire):
    answer = wire.whole(wire.message("x"))
    told = await wire.ask(answer, n=2, temperature=2, unsupported="drop")
    assert sorted(told.warnings) == [
        "bedrock can't honour temperature=2: it goes to 1: dropped",
        "bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0 can't honour n: dropped",
    ]
