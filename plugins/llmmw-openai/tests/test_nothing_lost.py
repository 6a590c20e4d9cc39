"""What is asked reaches the host, or the caller is told that it does not: for every host."""

from __future__ import annotations

import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_openai._presets import PRESETS

from llmmw import Choice, Generate, Grammar, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import UnsupportedFeature

pytestmark = pytest.mark.plugins

CHATS = sorted(name for name, row in PRESETS.items() if row.generates and row.api == "chat")
RESPOND = sorted(name for name, row in PRESETS.items() if row.responses)

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
}
OUTPUTS = [
    "json",
    JsonSchema({"type": "object", "title": "zzschema"}),
    Grammar("zzregex", "regex"),
    Grammar("zzgbnf"),
    Choice(("zzchoice",)),
]
TOOLS = [Tool("zzf"), Tool("zzg"), ServerTool("zzsearch", "openai"), ServerTool("zzrun", "groq")]
REASONING = [Reasoning(effort="zzhigh"), Reasoning(max_tokens=771), Reasoning(summary="auto")]
CHOICES = ["auto", "none", "required", ToolNames("zzf"), ToolNames(("zzf", "zzg"), "auto")]

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
        schema = ["zzschema", "zzregex", "zzgbnf", "zzchoice"]
        return ["json_object", '{"type": "object"}'] if told == "json" else schema
    if name == "reasoning":
        return {"zzhigh": ["zzhigh"]}.get(told.effort, ["771", "auto"])
    if name == "stop_sequences":
        return ["zzstop"]
    if name == "logit_bias":
        return ["5151"]
    if name == "parallel_tool_calls":
        return ["parallel_tool_calls"]
    return [f": {told}"]


def missing(request, body, warnings):
    """The parameters that neither the body shows nor a warning names."""
    sent, told = json.dumps(body), " ".join(warnings)
    lost = []
    for name in request.parameters():
        if name in {"tools", "tool_choice", "prompt"} or name in told:
            continue
        if name == "parallel_tool_calls" and "tools" not in body:
            continue  # it says nothing without tools
        given = getattr(request, name)
        if name == "output" and given is not None and "as output" in told:
            continue
        if name == "output" and type(given).__name__ == "JsonObject":
            given = "json"
        if not any(sign in sent for sign in signs_of(name, given)):
            lost.append(name)
    named = request.tool_choice.names if isinstance(request.tool_choice, ToolNames) else None
    for tool in request.tools if "tools" not in told else ():
        name = tool.name if isinstance(tool, Tool) else tool.type
        asked = request.tool_choice != "none" and (named is None or name in named)
        if asked and name not in sent and name not in told:
            lost.append(name)
    choice = request.tool_choice if "tools" in body else None  # without tools it says nothing
    word = choice if isinstance(choice, str) else "zzf"
    if choice not in {None, "none"} and "tool_choice" not in told and word not in sent:
        lost.append("tool_choice")
    return lost


async def outcome(wire, request, preset, api="chat"):
    answer = wire.whole(wire.chat({"content": "x"}) if api == "chat" else wire.response())
    async with wire.client(answer, preset, api=api) as (client, server):
        response = await client.ask(request, model=f"{preset}:m")
    (received,) = server.requests
    return received, response


@settings(max_examples=100, deadline=None)
@given(
    preset=st.sampled_from(CHATS),
    fields=parameters | single,
    tools=st.lists(st.sampled_from(TOOLS), unique=True, max_size=3),
    choice=st.none() | st.sampled_from(CHOICES),
    prompt=st.booleans(),
    drop=st.booleans(),
)
def test_nothing_is_lost_in_silence(wire, preset, fields, tools, choice, prompt, drop):
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    if isinstance(choice, ToolNames) and not set(choice.names) <= names:
        choice = None
    asked = {"prompt": "once"} if prompt else {"messages": ("hi",)}
    asked |= {"tools": tools, "tool_choice": choice, "unsupported": "drop" if drop else "error"}
    request = Generate(**fields, **asked)
    try:
        received, response = trio.run(outcome, wire, request, preset)
    except UnsupportedFeature as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert "can't honour" in said
        assert not drop or "prompt" in said
        return
    assert received.path == ("/completions" if prompt else "/chat/completions")
    assert missing(request, received.json(), response.warnings) == []
    if not drop:
        assert all("can't honour" not in told for told in response.warnings)


@settings(max_examples=60, deadline=None)
@given(
    preset=st.sampled_from(RESPOND),
    fields=parameters | single,
    tools=st.lists(st.sampled_from(TOOLS), unique=True, max_size=3),
    choice=st.none() | st.sampled_from(CHOICES),
    drop=st.booleans(),
)
def test_nor_by_the_responses_api(wire, preset, fields, tools, choice, drop):
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    if isinstance(choice, ToolNames) and not set(choice.names) <= names:
        choice = None
    asked = {"tools": tools, "tool_choice": choice, "unsupported": "drop" if drop else "error"}
    request = Generate(messages=("hi",), **fields, **asked)
    try:
        received, response = trio.run(outcome, wire, request, preset, "responses")
    except UnsupportedFeature as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert "can't honour" in said
        assert not drop
        return
    assert received.path == "/responses"
    assert missing(request, received.json(), response.warnings) == []
    if not drop:
        assert all("can't honour" not in told for told in response.warnings)


async def test_a_response_carries_the_warnings(wire):
    answer = wire.whole(wire.chat({"content": "x"}))
    told = await wire.ask(answer, preset="groq", n=2, logprobs=1, unsupported="drop")
    assert sorted(told.warnings) == [
        "groq:m can't honour logprobs: dropped",
        "groq:m can't honour n: dropped",
    ]
    with pytest.raises(UnsupportedFeature, match="can't honour top_k"):
        await wire.ask(answer, top_k=3)


async def test_what_a_model_refuses_is_known_before_it_is_asked(wire):
    answer = wire.whole(wire.chat({"content": "x"}))
    async with wire.client(answer) as (client, server):
        for model in ("o3", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5-2025-08-07"):
            with pytest.raises(UnsupportedFeature, match="temperature"):
                await client.ask("hi", model=f"openai:{model}", temperature=1)
        with pytest.raises(UnsupportedFeature, match="reasoning"):
            await client.ask("hi", model="openai:gpt-4o-mini", reasoning="low")
        assert server.requests == []
        for model in ("gpt-4o", "gpt-5.1", "gpt-5-chat-latest"):
            await client.ask("hi", model=f"openai:{model}", temperature=1)
        assert len(server.requests) == 3
