"""What is asked reaches the host, or the caller is told that it does not."""

from __future__ import annotations

import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Choice, Generate, Grammar, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import UnsupportedFeature

pytestmark = pytest.mark.plugins

MODELS = ["mistral-small-latest", "magistral-medium-latest", "codestral-latest", "pixtral-12b", "m"]

# Values that stand nowhere else in a body.
VALUES = {
    "max_output_tokens": 91,
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
    "output": JsonSchema({"type": "object", "title": "zzschema"}),
    "reasoning": Reasoning(effort="zzhigh"),
}
OTHERS = [
    {"output": "json"},
    {"output": Grammar("zzregex", "regex")},
    {"output": Choice(("zzchoice",))},
    {"reasoning": Reasoning(max_tokens=771)},
    {"reasoning": Reasoning(summary="auto")},
]
SIGNS = {
    "output": ["zzschema", "zzregex", "zzchoice", '"json_object"'],
    "reasoning": ["zzhigh", '"prompt_mode": "reasoning"'],
    "stop_sequences": ["zzstop"],
    "logit_bias": ["5151"],
    "parallel_tool_calls": ["parallel_tool_calls"],
}
TOOLS = [Tool("zzf"), Tool("zzg"), ServerTool("zzsearch", "mistral"), ServerTool("zzrun", "openai")]
CHOICES = ["auto", "none", "required", ToolNames("zzf"), ToolNames(("zzf", "zzg"), "auto")]

# Half of the cases have one parameter alone, so that a refusal of another hides nothing.
parameters = st.fixed_dictionaries({}, optional={k: st.just(v) for k, v in VALUES.items()})
single = st.sampled_from([{name: told} for name, told in VALUES.items()] + OTHERS)


def missing(request, body, warnings):
    """The parameters that neither the body shows nor a warning names."""
    sent, told = json.dumps(body), " ".join(warnings)
    lost = []
    for name in request.parameters():
        if name in {"tools", "tool_choice", "prompt"} or name in told:
            continue
        if name == "parallel_tool_calls" and "tools" not in body:
            continue  # it says nothing without tools
        signs = SIGNS.get(name, [f": {getattr(request, name)}"])
        if not any(sign in sent for sign in signs):
            lost.append(name)
    named = request.tool_choice.names if isinstance(request.tool_choice, ToolNames) else None
    for tool in request.tools if "tools" not in told else ():
        name = tool.name if isinstance(tool, Tool) else tool.type
        if (named is None or name in named) and name not in sent and name not in told:
            lost.append(name)
    choice = request.tool_choice if "tools" in body else None
    word = {"required": "any"}.get(choice, choice) if isinstance(choice, str) else "zzf"
    if choice is not None and "tool_choice" not in told and word not in sent:
        lost.append("tool_choice")
    return lost


async def outcome(wire, request, model):
    async with wire.client(wire.whole(wire.chat("x"))) as (client, server):
        response = await client.ask(request, model=f"mistral:{model}")
    (received,) = server.requests
    return received, response


@settings(max_examples=150, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    fields=parameters | single,
    tools=st.lists(st.sampled_from(TOOLS), unique=True, max_size=3),
    choice=st.none() | st.sampled_from(CHOICES),
    prompt=st.booleans(),
    drop=st.booleans(),
)
def test_nothing_is_lost_in_silence(wire, model, fields, tools, choice, prompt, drop):
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    if isinstance(choice, ToolNames) and not set(choice.names) <= names:
        choice = None
    asked = {"prompt": "once"} if prompt else {"messages": ("hi",)}
    asked |= {"tools": tools, "tool_choice": choice, "unsupported": "drop" if drop else "error"}
    request = Generate(**fields, **asked)
    try:
        received, response = trio.run(outcome, wire, request, model)
    except UnsupportedFeature as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert "can't honour" in said
        assert not drop or "prompt" in said
        return
    assert received.path == ("/v1/fim/completions" if prompt else "/v1/chat/completions")
    assert missing(request, received.json(), response.warnings) == []
    if not drop:
        assert all("can't honour" not in told for told in response.warnings)


async def test_old_models_refuse_to_reason(wire):
    for model in ("pixtral-12b", "codestral-latest", "open-mistral-nemo", "mistral-large-2411"):
        with pytest.raises(UnsupportedFeature, match="reasoning"):
            await wire.ask(wire.whole(wire.chat("x")), model=model, reasoning="high")
