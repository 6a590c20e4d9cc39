"""Requests as the host gets them."""

from __future__ import annotations

import pytest

from llmmw import Choice, Client, Grammar, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}}
F, G = Tool("f", "does f", {"type": "object"}), Tool("g")


async def config(wire, **parameters):
    body, _ = await wire.sent(**parameters)
    return body.get("generationConfig")


async def test_nothing_asked_nothing_said(wire):
    body, _ = await wire.sent()
    assert body == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


async def test_sampling(wire):
    told = await config(
        wire,
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        seed=7,
        n=2,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=["x"],
    )
    assert told == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "seed": 7,
        "candidateCount": 2,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "stopSequences": ["x"],
    }


async def test_logprobs_are_those_of_vertex(wire):
    told = await config(wire, host="vertex", logprobs=2)
    assert told == {"responseLogprobs": True, "logprobs": 2}
    assert await config(wire, host="vertex", logprobs=0) == {"responseLogprobs": True}
    with pytest.raises(UnsupportedFeature, match="logprobs"):
        await wire.sent(logprobs=2)


async def test_the_form_of_an_answer(wire):
    assert await config(wire, output="json") == {"responseMimeType": "application/json"}
    assert await config(wire, output=SCHEMA) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert await config(wire, output=Choice(("a", "b"))) == {
        "responseMimeType": "text/x.enum",
        "responseSchema": {"type": "STRING", "enum": ["a", "b"]},
    }
    with pytest.raises(UnsupportedFeature, match="regex"):
        await wire.sent(output=Grammar("x", "regex"))


async def test_json_beside_tools(wire):
    asked = {"output": JsonSchema(SCHEMA), "tools": [F]}
    assert "responseJsonSchema" in await config(wire, model="gemini-3-flash", **asked)
    with pytest.raises(UnsupportedFeature, match="output beside tools"):
        await wire.sent(model="gemini-2.5-flash", **asked)
    body, (warning,) = await wire.sent(model="gemini-2.5-flash", unsupported="drop", **asked)
    assert "tools" in body
    assert "output beside tools" in warning


async def test_tools(wire):
    search = ServerTool("googleSearch", "google")
    run = ServerTool("codeExecution", "vertex", {"x": 1})
    more = Tool("h", extra={"vertex": {"response": {"type": "object"}}})
    body, _ = await wire.sent(host="vertex", tools=[F, search, G, run, more])
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does f", "parametersJsonSchema": F.parameters},
                {"name": "g"},
                {"name": "h", "response": {"type": "object"}},
            ]
        },
        {"googleSearch": {}},
        {"codeExecution": {"x": 1}},
    ]
    assert "toolConfig" not in body
    with pytest.raises(UnsupportedFeature, match="'web_search' of openai"):
        await wire.sent(tools=[ServerTool("web_search", "openai")])


CHOICES = [
    ("auto", {"mode": "AUTO"}),
    ("none", {"mode": "NONE"}),
    ("required", {"mode": "ANY"}),
    (ToolNames("f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
]


@pytest.mark.parametrize(("choice", "told"), CHOICES)
async def test_which_tool(wire, choice, told):
    body, _ = await wire.sent(tools=[F, G], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": told}
    assert len(body["tools"][0]["functionDeclarations"]) == 2


async def test_some_tools_only(wire):
    body, _ = await wire.sent(tools=[F, G], tool_choice=ToolNames("g", "auto"))
    assert body["tools"] == [{"functionDeclarations": [{"name": "g"}]}]
    with pytest.raises(BadRequest, match="'h', which is no tool"):
        await wire.sent(tools=[F], tool_choice=ToolNames("h"))
    with pytest.raises(UnsupportedFeature, match="without a function"):
        await wire.sent(tools=[ServerTool("googleSearch", "google")], tool_choice="required")


async def test_strict_tools_bind_what_the_model_writes(wire):
    strict = Tool("f", strict=True)
    for choice, mode in ((None, "VALIDATED"), ("auto", "VALIDATED"), ("required", "ANY")):
        body, _ = await wire.sent(tools=[strict, G], tool_choice=choice)
        assert body["toolConfig"]["functionCallingConfig"]["mode"] == mode


async def test_calls_side_by_side_are_always_allowed(wire):
    body, _ = await wire.sent(tools=[F], parallel_tool_calls=True)
    assert "toolConfig" not in body
    with pytest.raises(UnsupportedFeature, match="parallel_tool_calls=False"):
        await wire.sent(tools=[F], parallel_tool_calls=False)


THINKING = [
    ("gemini-3-flash-preview", "none", {"thinkingLevel": "MINIMAL"}, True),
    ("gemini-3-flash-preview", "medium", {"thinkingLevel": "MEDIUM"}, False),
    ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "LOW"}, True),
    ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH"}, True),
    ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM"}, False),
    ("gemini-3-pro", "max", {"thinkingLevel": "HIGH"}, True),
    ("gemini-flash-latest", "low", {"thinkingLevel": "LOW"}, False),
    ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, False),
    ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}, False),
    ("gemini-2.5-flash-lite", "medium", {"thinkingBudget": 8192}, False),
    ("gemini-2.5-pro", "high", {"thinkingBudget": 24576}, False),
    ("gemini-2.5-pro", "max", {"thinkingBudget": 32768}, False),
    ("gemini-2.5-pro", "none", {"thinkingBudget": 128}, True),
    ("gemini-3-flash", Reasoning(max_tokens=500), {"thinkingBudget": 500}, False),
    ("gemini-2.5-pro", Reasoning(max_tokens=500), {"thinkingBudget": 500}, False),
    ("gemini-2.5-pro", Reasoning(summary="auto"), {"includeThoughts": True}, False),
    ("gemini-3-pro", Reasoning(summary="concise"), {"includeThoughts": True}, True),
    ("gemini-3-pro", Reasoning(summary="none"), {"includeThoughts": False}, False),
]


@pytest.mark.parametrize(("model", "reasoning", "told", "warned"), THINKING)
async def test_thinking_in_the_words_of_the_model(wire, model, reasoning, told, warned):
    body, warnings = await wire.sent(model=model, reasoning=reasoning)
    assert body["generationConfig"] == {"thinkingConfig": told}
    assert bool(warnings) == warned


async def test_models_that_do_not_think(wire):
    for model in ("gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it", "gemini-2.5-flash-image"):
        with pytest.raises(UnsupportedFeature, match="reasoning"):
            await wire.sent(model=model, reasoning="low")
    with pytest.raises(BadRequest, match="'much': expected one of none, minimal"):
        await wire.sent(reasoning="much")


async def test_further_fields_leave_the_others_as_they_are(wire):
    safety = [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}]
    extra = {
        "google": {
            "safetySettings": safety,
            "generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "topK": 3},
            "cachedContent": "cachedContents/x",
        },
        "openai": {"store": True},
    }
    body, _ = await wire.sent(temperature=0.5, top_k=9, extra=extra)
    assert body["safetySettings"] == safety
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topK": 3,
        "responseModalities": ["TEXT", "IMAGE"],
    }
    assert "store" not in body


async def test_where_requests_go(wire):
    done = wire.whole(wire.piece("x", finish="STOP"))
    streamed = wire.events(wire.piece("x", finish="STOP"))
    begin = "/projects/p-1/locations/there"
    for host, model, path in (
        ("google", "gemini-x", "/models/gemini-x"),
        ("google", "tunedModels/a b", "/tunedModels/a%20b"),
        ("google", "a?b#c:d", "/models/a%3Fb%23c%3Ad"),
        ("vertex", "gemini-x", f"{begin}/publishers/google/models/gemini-x"),
        ("vertex", "endpoints/12", f"{begin}/endpoints/12"),
        ("vertex", "publishers/z/models/y", f"{begin}/publishers/z/models/y"),
    ):
        async with wire.client([done, streamed], host, model=model) as (client, server):
            await client.ask("hi")
            async with client.stream("hi") as stream:
                await stream.wait_response()
        assert [one.path for one in server.requests] == [
            f"{path}:generateContent",
            f"{path}:streamGenerateContent?alt=sse",
        ]


async def test_an_address_with_a_query_keeps_it(wire):
    answers = [wire.whole(wire.piece("x", finish="STOP"))] * 2

    async def seen(host):
        async with open_server(answers) as server:
            provider = wire.provider(f"{server.url}/v9/?a=b", host)
            async with Client(f"{host}:m", stack=[], providers=[provider]) as client:
                await client.ask("hi")
                async with client.stream("hi") as stream:
                    await stream.wait_response()
        return [one.path for one in server.requests]

    for host, place in (
        ("google", "/v9"),
        ("vertex", "/v9/projects/p-1/locations/there/publishers/google"),
    ):
        assert await seen(host) == [
            f"{place}/models/m:generateContent?a=b",
            f"{place}/models/m:streamGenerateContent?alt=sse&a=b",
        ]
