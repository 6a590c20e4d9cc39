"""Requests as the host gets them."""

from __future__ import annotations

import pytest

from llmmw import Choice, Generate, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import BadRequest, UnsupportedFeature

pytestmark = pytest.mark.plugins

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
F = Tool("f", "does f", {"type": "object", "properties": {"x": {"type": "string"}}})
G = Tool("g")


async def test_a_plain_question(wire):
    path, body, warnings = await wire.sent("hi")
    assert path == "/api/chat"
    assert body == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "truncate": False,
    }
    assert warnings == ()


async def test_options(wire):
    _, body, _ = await wire.sent(
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        min_p=0.1,
        seed=3,
        frequency_penalty=0.2,
        presence_penalty=0.3,
        repetition_penalty=1.1,
        stop_sequences=["a", "b"],
        logprobs=2,
    )
    assert body["options"] == {
        "num_predict": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "min_p": 0.1,
        "seed": 3,
        "frequency_penalty": 0.2,
        "presence_penalty": 0.3,
        "repeat_penalty": 1.1,
        "stop": ["a", "b"],
    }
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    _, body, _ = await wire.sent(logprobs=0)
    assert body["logprobs"] is True
    assert "top_logprobs" not in body
    assert "options" not in body


async def test_what_is_said_later_counts_more(wire):
    """Options of the provider, then parameters of the request, then its own fields."""
    options = {"options": {"num_ctx": 4096, "seed": 1, "temperature": 1}, "keep_alive": "10m"}
    _, body, _ = await wire.sent(options=options)
    assert body["options"] == options["options"]
    assert body["keep_alive"] == "10m"
    extra = {"ollama": {"options": {"num_ctx": 8192}, "keep_alive": 0, "truncate": True}}
    _, body, _ = await wire.sent(options=options, temperature=0, extra=extra)
    assert body["options"] == {"num_ctx": 8192, "seed": 1, "temperature": 0}
    assert (body["keep_alive"], body["truncate"]) == (0, True)


async def test_the_name_of_the_provider_counts_as_well(wire):
    own = {"options": {"num_gpu": 1, "num_ctx": 5}}
    extra = {"ollama": own, "gpu": {"options": {"num_gpu": 2}}}
    async with wire.client(wire.whole(wire.end(content="x")), name="gpu") as (client, server):
        await client.ask("hi", extra=extra)
    assert server.requests[0].json()["options"] == {"num_gpu": 2, "num_ctx": 5}


async def test_forms_of_answer(wire):
    _, body, _ = await wire.sent(output="json")
    assert body["format"] == "json"
    _, body, _ = await wire.sent(output=JsonSchema(SCHEMA, description="a person"))
    assert body["format"] == {"description": "a person", **SCHEMA}


async def test_a_choice_is_the_member_of_an_object(wire):
    answer = wire.whole(wire.end(content='{"value": "yes"}'))
    async with wire.client(answer) as (client, server):
        assert (await client.ask("hi", output=Choice(("yes", "no")))).value == "yes"
    properties = server.requests[0].json()["format"]["properties"]
    assert properties == {"value": {"type": "string", "enum": ["yes", "no"]}}


@pytest.mark.parametrize(
    ("asked", "think"),
    [
        (Reasoning(), True),
        (Reasoning(effort="none"), False),
        (Reasoning(effort="low"), "low"),
        (Reasoning(effort="medium"), "medium"),
        (Reasoning(effort="high"), "high"),
        (Reasoning(effort="max"), "max"),
        (Reasoning(effort="novel"), "novel"),
        (Reasoning(max_tokens=512), 512),
        (Reasoning(effort="high", summary="auto"), "high"),
    ],
)
async def test_thinking(wire, asked, think):
    _, body, warnings = await wire.sent(reasoning=asked)
    assert body["think"] == think
    assert type(body["think"]) is type(think)
    assert warnings == ()


async def test_thinking_that_the_host_lacks(wire):
    _, body, warnings = await wire.sent(reasoning="minimal")
    assert body["think"] == "low"
    assert warnings == ("ollama takes reasoning.effort='minimal' for 'low'",)
    _, body, _ = await wire.sent(reasoning="xhigh")
    assert body["think"] == "high"
    hidden = Reasoning(summary="none")
    with pytest.raises(UnsupportedFeature, match="its thoughts come as they are"):
        await wire.sent(reasoning=hidden)
    _, body, warnings = await wire.sent(reasoning=hidden, unsupported="drop")
    assert body["think"] is True
    assert "reasoning.summary='none'" in warnings[0]


async def test_tools(wire):
    _, body, _ = await wire.sent(tools=[F, G])
    f, g = body["tools"]
    assert f == {
        "type": "function",
        "function": {"name": "f", "description": "does f", "parameters": dict(F.parameters)},
    }
    assert g["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["f", "g"]),
        ("none", []),
        (ToolNames("f", "auto"), ["f"]),
        (ToolNames(("g", "f"), "auto"), ["f", "g"]),
    ],
)
async def test_choice_of_tools(wire, choice, names):
    """The wire has no such field: which tools are told is all that there is."""
    _, body, warnings = await wire.sent(tools=[F, G], tool_choice=choice)
    assert [tool["function"]["name"] for tool in body.get("tools", [])] == names
    assert warnings == ()


@pytest.mark.parametrize("choice", ["required", ToolNames("f")])
async def test_no_call_can_be_forced(wire, choice):
    with pytest.raises(UnsupportedFeature, match="a call of a tool that is forced"):
        await wire.sent(tools=[F], tool_choice=choice)
    _, body, warnings = await wire.sent(tools=[F], tool_choice=choice, unsupported="drop")
    assert len(body["tools"]) == 1
    assert len(warnings) == 1


async def test_tools_that_it_has_not(wire):
    with pytest.raises(BadRequest, match="'h', which is no tool given"):
        await wire.sent(tools=[F], tool_choice=ToolNames("h", "auto"))
    for tool in (ServerTool("search", "openai"), Tool("s", strict=True)):
        with pytest.raises(UnsupportedFeature):
            await wire.sent(tools=[tool])
    tools = [ServerTool("search", "openai"), F]
    _, body, warnings = await wire.sent(tools=tools, unsupported="drop")
    assert len(body["tools"]) == 1
    assert "the tool 'search' of openai" in warnings[0]


@pytest.mark.parametrize(
    "parameter", [{"n": 2}, {"logit_bias": {"1": 1}}, {"parallel_tool_calls": False}]
)
async def test_what_the_wire_has_no_place_for(wire, parameter):
    with pytest.raises(UnsupportedFeature, match=next(iter(parameter))):
        await wire.sent(tools=[F], **parameter)


async def test_a_prompt_goes_as_it_is(wire):
    path, body, _ = await wire.sent_prompt("[INST] hi [/INST]", temperature=0)
    assert path == "/api/generate"
    assert body == {
        "model": "llama3.2",
        "stream": False,
        "truncate": False,
        "prompt": "[INST] hi [/INST]",
        "raw": True,
        "options": {"temperature": 0},
    }


@pytest.mark.parametrize(
    "fields",
    [{"suffix": "return x"}, {"template": "{{ .Prompt }}"}, {"system": "be brief"}, {"raw": False}],
)
async def test_a_prompt_through_the_template(wire, fields):
    extra = {"ollama": {**fields, "images": ["AAAA"]}}
    _, body, _ = await wire.sent_prompt("def f():", extra=extra, reasoning="high")
    assert not body.get("raw")
    assert body["think"] == "high"
    assert body["images"] == ["AAAA"]
    assert {name: body[name] for name in fields} == fields


async def test_what_a_prompt_can_not_have(wire):
    with pytest.raises(UnsupportedFeature, match="tools"):
        await wire.sent_prompt(tools=[F])
    with pytest.raises(UnsupportedFeature, match="reasoning"):
        await wire.sent_prompt(reasoning="high")
    _, body, warnings = await wire.sent_prompt(tools=[F], unsupported="drop")
    assert "tools" not in body
    assert warnings == ("ollama:llama3.2 with a prompt can't honour tools: dropped",)
    with pytest.raises(BadRequest, match="prompt is empty"):
        await wire.sent(Generate(prompt=""))


async def test_a_question_that_streams(wire):
    async with wire.client(wire.lines(wire.end(content="x"))) as (client, server):
        async with client.stream("hi") as stream:
            await stream.wait_response()
    assert server.requests[0].json()["stream"] is True
