"""The Responses API: what is asked, and what the items of an answer become."""

from __future__ import annotations

import base64

import pytest

from llmmw import (
    JsonSchema,
    MediaPart,
    Message,
    OpaquePart,
    Reasoning,
    ReasoningPart,
    ServerTool,
    TextPart,
    Tool,
    ToolCallPart,
    ToolNames,
    ToolResultPart,
)
from llmmw.errors import (
    ConfigError,
    UnsupportedFeature,
)

pytestmark = pytest.mark.plugins

OWN = "openai-responses"


def message(text="Hi", **more):
    block = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "m", "role": "assistant", "content": [block], **more}


async def body(wire, prompt="hi", *, preset="openai-responses", **parameters):
    """What is sent, and the warnings of the response."""
    async with wire.client(wire.whole(wire.response()), preset, api="responses") as (
        client,
        server,
    ):
        response = await client.ask(prompt, **parameters)
    assert server.requests[0].path == "/responses"
    return server.requests[0].json(), response.warnings


async def ask(wire, answer, prompt="hi", *, preset="openai-responses", **parameters):
    async with wire.client(answer, preset, api="responses") as (client, _):
        return await client.ask(prompt, **parameters)


async def test_the_least(wire):
    sent, warnings = await body(wire)
    assert sent == {"model": "m", "input": [{"role": "user", "content": "hi"}]}
    assert warnings == ()


async def test_parameters_under_their_names(wire):
    schema = {"type": "object", "properties": {}}
    sent, _ = await body(
        wire,
        system="Be brief.",
        max_output_tokens=9,
        temperature=0.5,
        logprobs=2,
        reasoning=Reasoning(effort="low", summary="auto"),
        output=JsonSchema(schema, name="x", strict=True, description="d"),
        tools=[Tool("f", "d", schema), ServerTool("web_search", "openai", {"size": "low"})],
        tool_choice=ToolNames("f"),
        extra={"openai": {"text": {"verbosity": "low"}, "include": ["a"], "store": True}},
    )
    form = {"type": "json_schema", "name": "x", "schema": schema, "strict": True}
    function = {"type": "function", "name": "f", "description": "d", "parameters": schema}
    assert sent == {
        "model": "m",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "hi"}],
        "max_output_tokens": 9,
        "temperature": 0.5,
        "top_logprobs": 2,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": form | {"description": "d"}, "verbosity": "low"},
        "tools": [function | {"strict": False}, {"type": "web_search", "size": "low"}],
        "tool_choice": {"type": "function", "name": "f"},
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content", "a"],
        "store": True,
    }


async def test_sealed_reasoning_is_asked_for_where_the_host_keeps_nothing(wire):
    extra = {"openai": {"store": False}}
    sent, _ = await body(wire, extra=extra)
    assert sent["include"] == ["reasoning.encrypted_content"]
    async with wire.client(wire.whole(wire.response()), "openai-responses") as (client, server):
        await client.ask("hi", model="openai-responses:gpt-4o", extra=extra)
    assert "include" not in server.requests[0].json()  # that model does not reason


async def test_reasoning_that_the_host_did_not_keep_and_did_not_give(wire):
    item = {"id": "rs", "type": "reasoning", "summary": []}
    first = await ask(wire, wire.whole(wire.response([item, message()])))
    history = [Message("user", (TextPart("hi"),)), first, Message("user", (TextPart("go"),))]
    sent, warnings = await body(wire, history)
    assert [one.get("type") for one in sent["input"]] == [None, "reasoning", "message", None]
    sent, warnings = await body(wire, history, extra={"openai": {"store": False}})
    assert [one.get("type") for one in sent["input"]] == [None, "message", None]
    assert "did not give the reasoning rs to keep" in warnings[0]


async def test_the_history_of_others(wire):
    """Of another host: text and calls go on; what only it understands does not."""
    answer = Message(
        "assistant",
        (
            ReasoningPart("hm", signature="s"),
            TextPart("Hello", extra={"openai": {"x": 1}}),
            OpaquePart(provider="anthropic", type="novel", data={"a": 1}),
            ToolCallPart(id="c", name="f", arguments=""),
            MediaPart(media_type="image/png", data=b"x"),
        ),
    )
    image = MediaPart(media_type="image/png", url="http://x", detail="low")
    result = ToolResultPart(call_id="c", content=("seen", image), is_error=True)
    pdf = MediaPart(media_type="application/pdf", data=b"p", filename="a.pdf")
    user = Message("user", ("look", pdf))
    sent, warnings = await body(wire, ["hi", answer, Message("tool", (result,)), user])
    picture = {"type": "input_image", "image_url": "http://x", "detail": "low"}
    inline = "data:image/png;base64,eA=="
    assert sent["input"][1:] == [
        {"type": "message", "role": "assistant", "content": "Hello"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "seen"}, picture],
        },
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Of the answer:"},
                {"type": "input_image", "image_url": inline, "detail": "auto"},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": "data:application/pdf;base64,cA==",
                },
            ],
        },
    ]
    assert any("novel" in told for told in warnings)
    assert any("is an error" in told for told in warnings)


async def test_custom_calls_and_items_of_ones_own(wire):
    call = {"type": "custom_tool_call", "id": "ct", "call_id": "c", "name": "f", "input": "x y"}
    told = await ask(wire, wire.whole(wire.response([call])))
    assert told.tool_calls[0].custom
    assert (told.tool_calls[0].arguments, told.finish_reason) == ("x y", "tool_call")
    output = {"type": "shell_call_output", "call_id": "s", "output": []}
    mine = OpaquePart(provider=OWN, type="shell_call_output", data=output)
    result = ToolResultPart(call_id="c", content=("7",))
    sent, _ = await body(wire, ["hi", told, Message("tool", (result, mine))])
    answered = {"type": "custom_tool_call_output", "call_id": "c", "output": "7"}
    assert sent["input"][1:] == [call, answered, output]


async def test_an_image_is_one(wire):
    data = base64.b64encode(b"\x89PNG picture").decode()
    item = {"type": "image_generation_call", "id": "ig", "status": "completed", "result": data}
    told = await ask(wire, wire.whole(wire.response([item | {"output_format": "webp"}])))
    (part,) = told.parts
    assert (part.media_type, part.data) == ("image/webp", b"\x89PNG picture")
    sent, _ = await body(wire, ["hi", told])
    assert sent["input"][1] == item | {"output_format": "webp"}
    (failed,) = (await ask(wire, wire.whole(wire.response([item | {"result": None}])))).parts
    assert failed == OpaquePart(provider=OWN, type=item["type"], data=item | {"result": None})


async def test_hosted_items_and_citations(wire):
    item = {"type": "web_search_call", "id": "ws", "action": {"query": "q"}, "novel": [1]}
    cited = {"type": "url_citation", "url": "http://x", "title": "X", "start_index": 1}
    file = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 3}
    said = message(phase="final_answer")
    said["content"][0]["annotations"] = [cited, file]
    told = await ask(wire, wire.whole(wire.response([item, said])))
    assert told.parts[0] == OpaquePart(provider=OWN, type="web_search_call", data=item)
    assert [one.url for one in told.parts[1].citations] == ["http://x", None]
    assert told.parts[1].citations[1].title == "a.txt"
    sent, _ = await body(wire, ["hi", told])
    assert sent["input"][1:] == [item, said]
    dropped, warnings = await body(wire, ["hi", told], preset="xai")
    assert dropped["input"][1] == {"type": "message", "role": "assistant", "content": "Hi"}
    assert "does not know a block of openai-responses" in warnings[0]


async def test_raw_reasoning_and_summaries(wire):
    raw = {"id": "r", "type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}
    item = raw | {"summary": [{"type": "summary_text", "text": t} for t in ("a", "b")]}
    told = await ask(wire, wire.whole(wire.response([item | {"encrypted_content": "zz"}])))
    assert [part.format for part in told.parts] == ["summary", "summary", "raw"]
    assert [part.encrypted for part in told.parts] == ["zz", None, None]
    assert told.reasoning == "abhm"


async def test_what_the_wire_has_no_place_for(wire):
    with pytest.raises(UnsupportedFeature, match="can't honour seed"):
        await body(wire, seed=1)
    sent, warnings = await body(wire, seed=1, n=2, unsupported="drop")
    assert not {"seed", "n"} & set(sent)
    assert len(warnings) == 2
    sound = MediaPart(media_type="audio/wav", data=b"x")
    with pytest.raises(UnsupportedFeature, match="holds audio"):
        await body(wire, Message("user", (sound,)))


def test_hosts_without_it(wire):
    with pytest.raises(ConfigError, match="perplexity has no Responses API"):
        wire.provider("http://x", "perplexity", api="responses")
    with pytest.raises(ConfigError, match="api='respond': expected one of chat, responses"):
        wire.provider("http://x", api="respond")
