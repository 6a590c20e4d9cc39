"""What is asked reaches the host, or the caller is told that it does not: for every model."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_anthropic._models import MODELS, model_of
from llmmw_anthropic._notes import Notes
from llmmw_anthropic._request import body_of

from llmmw import Choice, Generate, Grammar, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.plugin import Capabilities, honour

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
    JsonSchema({"type": "object", "title": "zzschema"}),
    JsonSchema({"type": "string", "pattern": "zzpattern"}),
    Grammar("zzgbnf"),
    Choice(("zzchoice",)),
]
TOOLS = [Tool("zzf"), Tool("zzg"), ServerTool("zzrun", "anthropic"), ServerTool("zzs", "openai")]
REASONING = [
    Reasoning(effort="high"),
    Reasoning(effort="xhigh"),
    Reasoning(effort="none"),
    Reasoning(max_tokens=7_713),
    Reasoning(summary="auto"),
]
CHOICES = ["auto", "none", "required", ToolNames("zzf"), ToolNames(("zzf", "zzg"), "auto")]
NAMES = sorted(
    {
        *("claude-fable-5-1", "claude-fable-5", "claude-opus-5-5", "claude-sonnet-5"),
        *("claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-opus-4-5"),
        *("claude-haiku-4-5", "claude-opus-4-1", "claude-opus-4-20250514", "claude-sonnet-4-0"),
        *(
            "claude-3-5-haiku-latest",
            "claude-3-haiku-20240307",
            "claude-2.1",
            "claude-next",
            "smollm2",
        ),
    }
)


def test_every_row_has_a_name_here():
    assert {model_of(name) for name in NAMES} == set(MODELS)


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


def signs_of(name, told):
    """Texts of which one stands in a body that has the parameter."""
    if name == "output":
        return ["zzschema", "zzpattern"]
    if name == "reasoning":
        if told.max_tokens:
            return ["7713"]
        return ['"disabled"'] if told.effort == "none" else ['"adaptive"', '"budget_tokens"']
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
        if name == "parallel_tool_calls" and ("tools" not in body or request.tool_choice == "none"):
            continue  # it says nothing then
        if name == "output" and "as output" in told:
            continue
        if not any(sign in sent for sign in signs_of(name, getattr(request, name))):
            lost.append(name)
    named = request.tool_choice.names if isinstance(request.tool_choice, ToolNames) else None
    for tool in request.tools if "honour tools" not in told else ():
        name = tool.name if isinstance(tool, Tool) else tool.type
        asked = named is None or len(named) == 1 or name in named
        if asked and name not in sent and name not in told:
            lost.append(name)
    choice = request.tool_choice if "tools" in body else None  # without tools it says nothing
    if choice is not None and "forced" not in told and "tool_choice" not in body:
        lost.append("tool_choice")
    return lost


def told_of(request, model, can):
    """Why it is refused, or the body and what is noted."""
    try:
        taken, warnings = honour(request, can, f"anthropic:{model}")
        notes = Notes(taken, "anthropic", list(warnings))
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
        model=f"anthropic:{model}",
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
        "anthropic can't honour temperature=2: it goes to 1: dropped",
        "anthropic:claude-sonnet-4-5 can't honour n: dropped",
    ]
