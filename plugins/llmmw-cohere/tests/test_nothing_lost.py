"""What is asked reaches the host, or the caller is told that it does not: for every model."""

from __future__ import annotations

import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Choice, Generate, Grammar, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import UnsupportedFeature

pytestmark = pytest.mark.plugins

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
    "logprobs": 0,
    "parallel_tool_calls": False,
}
ODD = {
    "temperature": 1.5,
    "seed": -4,
    "frequency_penalty": 2,
    "presence_penalty": -1,
    "logprobs": 3,
}
OUTPUTS = {
    "json_object": "json",
    "zzschema": JsonSchema({"type": "object", "title": "zzschema"}),
    "zzregex": Grammar("zzregex", "regex"),
    "zzchoice": Choice(("zzchoice",)),
}
REASONING = {
    "16384": Reasoning(effort="high"),
    "771": Reasoning(max_tokens=771),
    "disabled": Reasoning(effort="none"),
    "summary": Reasoning(summary="detailed"),
    "zzeffort": Reasoning(effort="zzeffort"),
}
TOOLS = [
    Tool("zzf"),
    Tool("zzg", strict=True),
    Tool("zzh", strict=False),
    ServerTool("zzsearch", "cohere"),
    ServerTool("zzrun", "groq"),
]
CHOICES = ["auto", "none", "required", ToolNames("zzf"), ToolNames(("zzf", "zzg"), "auto")]
MODELS = [
    *("command-a-reasoning-08-2025", "command-a-plus-05-2026", "command-a-03-2025"),
    *("command-a-vision-07-2025", "command-r7b-12-2024", "command-r-08-2024"),
    *("command-r-plus", "c4ai-aya-expanse-32b", "unheard-of"),
]

optional = {
    name: st.sampled_from([told, *([ODD[name]] if name in ODD else [])])
    for name, told in VALUES.items()
}
optional["output"] = st.sampled_from(list(OUTPUTS.values()))
optional["reasoning"] = st.sampled_from(list(REASONING.values()))
# Half of the cases have one parameter alone, so that a refusal of another hides nothing.
fields_of = st.fixed_dictionaries({}, optional=optional) | st.sampled_from(list(optional)).flatmap(
    lambda name: st.fixed_dictionaries({name: optional[name]})
)


def sign_of(name, given):
    """A text that stands in a body that has the parameter."""
    known = OUTPUTS if name == "output" else REASONING if name == "reasoning" else None
    if known is not None:
        return next(
            sign
            for sign, one in known.items()
            if getattr(Generate(messages=("x",), **{name: one}), name) == given
        )
    return {"stop_sequences": "zzstop", "logprobs": '"logprobs": true'}.get(name, f": {given}")


def missing(request, body, warnings):
    """What neither the body shows nor a warning names."""
    sent, told = json.dumps(body), " ".join(warnings)
    lost = []
    for name in request.parameters():
        if name in {"tools", "tool_choice"} or name in told:
            continue
        if sign_of(name, getattr(request, name)) not in sent:
            lost.append(name)
    choice = request.tool_choice
    named = choice.names if isinstance(choice, ToolNames) else None
    for tool in request.tools if "honour tools" not in told else ():
        name = tool.name if isinstance(tool, Tool) else tool.type
        if (named is None or name in named) and name not in sent and name not in told:
            lost.append(name)
    strict = {tool.strict for tool in request.tools if isinstance(tool, Tool)} - {None}
    if strict and named is None and "strict" not in sent + told and "honour tools" not in told:
        lost.append("strict")
    if '"tools"' in sent and choice is not None and "tool_choice" not in told:
        mode = choice if isinstance(choice, str) else choice.mode
        wanted = {"required": "REQUIRED", "none": "NONE"}.get(mode, "")
        if body.get("tool_choice", "") != wanted:
            lost.append("tool_choice")
    return lost


@settings(max_examples=200, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    fields=fields_of,
    tools=st.lists(st.sampled_from(TOOLS), unique=True, max_size=3),
    choice=st.none() | st.sampled_from(CHOICES),
    drop=st.booleans(),
)
def test_nothing_is_lost_in_silence(wire, model, fields, tools, choice, drop):
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    if isinstance(choice, ToolNames) and not set(choice.names) <= names:
        choice = None
    asked = {"tools": tools, "tool_choice": choice, "unsupported": "drop" if drop else "error"}
    request = Generate(messages=("hi",), model=f"cohere:{model}", **fields, **asked)

    async def sent():
        return await wire.sent(request, model=model)

    try:
        body, warnings = trio.run(sent)
    except UnsupportedFeature as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "can't honour" in refused
        assert not drop
        return
    assert missing(request, body, warnings) == []
    if not drop:
        assert all("can't honour" not in told for told in warnings)


async def test_a_raw_prompt_is_refused(wire):
    with pytest.raises(UnsupportedFeature, match="prompt"):
        await wire.sent(Generate(prompt="once"))
