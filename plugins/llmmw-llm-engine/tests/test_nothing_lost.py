"""What is asked reaches the host, or the caller is told that it does not: by each API."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Choice, Generate, Grammar, JsonSchema, Reasoning, ServerTool, Tool
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.plugin import honour

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
    "logprobs": 0,
    "reasoning": Reasoning(effort="high"),
}
OUTPUTS = [
    "json",
    JsonSchema({"type": "object", "title": "zzschema"}),
    Grammar("zzgbnf"),
    Grammar("zzregex", "regex"),
    Choice(("zzchoice",)),
]
SIGNS = ["json_object", '"guided_json"', "zzschema", "zzgbnf", "zzregex", "zzchoice"]
TOOLS = [Tool("zzf"), ServerTool("zzrun", "llm-engine"), ServerTool("zzs", "openai")]

parameters = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(told) for name, told in VALUES.items()},
        "output": st.sampled_from(OUTPUTS),
        "tools": st.lists(st.sampled_from(TOOLS), unique=True, min_size=1),
        "parallel_tool_calls": st.just(False),
    },
)
# Half of the cases have one parameter alone, so that a refusal of another hides nothing.
single = st.sampled_from(
    [{name: told} for name, told in VALUES.items()]
    + [{"output": one} for one in OUTPUTS]
    + [{"tools": [one]} for one in TOOLS]
)


def missing(request, body, warnings):
    """The parameters that neither the body shows nor a warning names."""
    sent, told = json.dumps(body), " ".join(warnings)
    lost = []
    for name in request.parameters():
        if name in {"prompt", "tools"} or name in told:
            continue
        if name == "parallel_tool_calls" and "tools" not in body:
            continue  # it says nothing then
        signs = {
            "stop_sequences": ["zzstop"],
            "logit_bias": ["5151"],
            "logprobs": ['"logprobs": true', '"logprobs": 0', "return_token_log_probs"],
            "parallel_tool_calls": ['"parallel_tool_calls": false'],
            "output": SIGNS,
        }.get(name, [f": {getattr(request, name)}"])
        if not any(sign in sent for sign in signs):
            lost.append(name)
    for tool in request.tools if "honour tools" not in told else ():
        name = tool.name if isinstance(tool, Tool) else tool.type
        if name not in sent and name not in told:
            lost.append(name)
    return lost


def told_of(wire, request, api):
    """Why it is refused, or the body and what is noted."""
    options = {"prompt": "v1", "text": "v2", "chat": None}
    provider = wire.provider("http://host", api=options[api])
    try:
        taken, warnings = honour(request, provider.capabilities("m"), "llm-engine:m")
        body, more = wire.sent(taken, api=options[api])
        return "", body, [*warnings, *more]
    except (UnsupportedFeature, BadRequest) as error:
        return str(error), None, []


@settings(max_examples=300)
@given(
    fields=parameters | single, drop=st.booleans(), api=st.sampled_from(["prompt", "chat", "text"])
)
def test_nothing_is_lost_in_silence(wire, fields, drop, api):
    asked = {"messages": ("hi",)} if api == "chat" else {"prompt": "hi"}
    unsupported = "drop" if drop else "error"
    request = Generate(model="llm-engine:m", unsupported=unsupported, **asked, **fields)
    said, body, warnings = told_of(wire, request, api)
    if body is None:
        assert "can't honour" in said
        assert not drop
        return
    assert missing(request, body, warnings) == []
    if not drop:
        assert all("can't honour" not in told for told in warnings)


async def test_a_response_carries_the_warnings(wire):
    told = await wire.ask(wire.whole(wire.output("x")), n=2, unsupported="drop")
    assert told.warnings == ("llm-engine:m with a prompt can't honour n: dropped",)
