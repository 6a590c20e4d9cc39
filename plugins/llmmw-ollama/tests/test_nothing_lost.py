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
OUTPUTS = {
    '"json"': "json",
    "zzschema": JsonSchema({"type": "object", "title": "zzschema"}),
    "zzgbnf": Grammar("zzgbnf"),
    "zzchoice": Choice(("zzchoice",)),
}
REASONING = {
    '"think": "high"': Reasoning(effort="high"),
    '"think": "low"': Reasoning(effort="minimal"),
    '"think": false': Reasoning(effort="none"),
    "7713": Reasoning(max_tokens=7_713),
    '"think": true': Reasoning(summary="auto"),
    "zznone": Reasoning(summary="none"),
}
TOOLS = [Tool("zzf"), Tool("zzg"), Tool("zzs", strict=True), ServerTool("zzrun", "openai")]
CHOICES = ["auto", "none", "required", ToolNames("zzf"), ToolNames(("zzf", "zzg"), "auto")]

one_of = st.sampled_from
fields_of = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(told) for name, told in VALUES.items()},
        "output": one_of(list(OUTPUTS.values())),
        "reasoning": one_of(list(REASONING.values())),
    },
) | one_of(
    [{name: told} for name, told in VALUES.items()]
    + [{"output": one} for one in OUTPUTS.values()]
    + [{"reasoning": one} for one in REASONING.values()]
)


def sign_of(name, told):
    """A text that stands in a body that has the parameter."""
    known = OUTPUTS if name == "output" else REASONING if name == "reasoning" else None
    if known is None:
        return {"stop_sequences": "zzstop"}.get(name, f": {told}")
    asked = {
        sign: getattr(Generate(prompt="x", **{name: one}), name) for sign, one in known.items()
    }
    return next(sign for sign, one in asked.items() if one == told)


def missing(request, body, warnings):
    """What neither the body shows nor a warning names."""
    sent, told = json.dumps(body), " ".join(warnings)
    lost = []
    for name in request.parameters():
        if name in {"tools", "tool_choice", "prompt"} or name in told:
            continue
        if sign_of(name, getattr(request, name)) not in sent:
            lost.append(name)
    choice = request.tool_choice
    named = choice.names if isinstance(choice, ToolNames) else None
    for tool in request.tools if "honour tools" not in told and choice != "none" else ():
        name = tool.name if isinstance(tool, Tool) else tool.type
        if (named is None or name in named) and name not in sent and name not in told:
            lost.append(name)
    forced = choice == "required" or (isinstance(choice, ToolNames) and choice.mode == "required")
    if forced and "forced" not in told and "tool_choice" not in told:
        lost.append("tool_choice")
    return lost


@settings(max_examples=150, deadline=None)
@given(
    fields=fields_of,
    tools=st.lists(st.sampled_from(TOOLS), unique=True, max_size=3),
    choice=st.none() | st.sampled_from(CHOICES),
    prompt=st.booleans(),
    drop=st.booleans(),
)
def test_nothing_is_lost_in_silence(wire, fields, tools, choice, prompt, drop):
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    if isinstance(choice, ToolNames) and not set(choice.names) <= names:
        choice = None
    asked = {"tools": tools, "tool_choice": choice, "unsupported": "drop" if drop else "error"}
    said = {"prompt": "zzprompt"} if prompt else {"messages": ("zzprompt",)}
    request = Generate(**said, **fields, **asked)

    async def sent():
        return await wire.sent(request)

    refused = ""
    try:
        _, body, warnings = trio.run(sent)
    except UnsupportedFeature as error:
        refused = str(error)
    if refused:
        assert "can't honour" in refused
        assert not drop
        return
    assert "zzprompt" in json.dumps(body)
    assert missing(request, body, warnings) == []
    if not drop:
        assert all("can't honour" not in told for told in warnings)
