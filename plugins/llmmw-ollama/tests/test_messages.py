"""Conversations as the host gets them, and answers that go back."""

from __future__ import annotations

import json

import pytest

from llmmw import (
    CachePoint,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import BadRequest, UnsupportedFeature

pytestmark = pytest.mark.plugins

PNG = MediaPart(media_type="image/png", data=b"\x89PNG")
JPEG = MediaPart(media_type="image/jpeg", data=b"\xff\xd8\xff")


async def turns(wire, *messages, **parameters):
    _, body, warnings = await wire.sent(list(messages), **parameters)
    return body["messages"], warnings


async def test_roles(wire):
    told, warnings = await turns(
        wire, ("system", "be brief"), "hi", ("assistant", "yes?"), Message("user", ["a", "b"])
    )
    assert told == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "ab"},
    ]
    assert warnings == ()


async def test_an_answer_that_was_begun(wire):
    told, warnings = await turns(wire, "hi", ("assistant", "Once "))
    assert told[-1] == {"role": "assistant", "content": "Once "}
    assert warnings == ()


async def test_images_are_base64_without_a_prefix(wire):
    told, warnings = await turns(wire, Message("user", ["what?", PNG, JPEG]))
    assert told == [{"role": "user", "content": "what?", "images": ["iVBORw==", "/9j/"]}]
    assert warnings == ()
    told, warnings = await turns(wire, Message("user", [PNG, "and", JPEG, "?"]))
    assert told[0]["content"] == "and?"
    assert warnings == ("ollama shows all images of a message before its text",)


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (MediaPart(media_type="image/png", url="https://x/y.png"), "by a URL"),
        (MediaPart(media_type="image/png", file_id="f1"), "by the id of a file"),
    ],
)
async def test_images_that_it_can_not_see(wire, part, why):
    with pytest.raises(UnsupportedFeature, match=why):
        await turns(wire, Message("user", part))


async def test_other_media(wire):
    pdf = MediaPart(media_type="application/pdf", data=b"%PDF")
    with pytest.raises(UnsupportedFeature, match="document"):
        await turns(wire, Message("user", pdf))
    with pytest.raises(UnsupportedFeature, match="a system message takes no media part"):
        await turns(wire, Message("system", PNG), "hi")
    told, warnings = await turns(
        wire, Message("user", MediaPart(media_type="image/png", data=b"x", detail="high"))
    )
    assert told[0]["images"] == ["eA=="]
    assert warnings == ("ollama knows no detail of an image (high)",)


CALL = ToolCallPart(
    id="call_1", name="f", arguments='{"x": 1}', extra={"ollama": {"function": {"index": 0}}}
)


async def test_calls_and_results(wire):
    told, warnings = await turns(
        wire,
        "hi",
        Message("assistant", (ReasoningPart("hm"), TextPart("I look."), CALL)),
        ToolResultPart(call_id="call_1", content=("11", PNG)),
        "and?",
    )
    assert told[1:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "hm",
            "tool_calls": [
                {"id": "call_1", "function": {"name": "f", "arguments": {"x": 1}, "index": 0}}
            ],
        },
        {
            "role": "tool",
            "content": "11",
            "images": ["iVBORw=="],
            "tool_name": "f",
            "tool_call_id": "call_1",
        },
        {"role": "user", "content": "and?"},
    ]
    assert warnings == ()


@pytest.mark.parametrize(
    ("call", "arguments", "warned"),
    [
        (ToolCallPart(id="c", name="f"), {}, False),
        (ToolCallPart(id="c", name="f", arguments="{not"), {"arguments": "{not"}, True),
        (ToolCallPart(id="c", name="f", arguments="[1]"), {"arguments": "[1]"}, True),
        (ToolCallPart(id="c", name="f", arguments="go", custom=True), {"input": "go"}, False),
    ],
)
async def test_arguments_are_objects(wire, call, arguments, warned):
    told, warnings = await turns(wire, "hi", Message("assistant", call), call.result("done"))
    assert told[1]["tool_calls"][0]["function"]["arguments"] == arguments
    assert bool(warnings) == warned


async def test_what_no_host_but_another_understands(wire):
    told, warnings = await turns(
        wire,
        "hi",
        Message(
            "assistant",
            (
                OpaquePart(provider="anthropic", type="compaction", data={}),
                ReasoningPart("", encrypted="x", redacted=True),
                ToolCallPart(id="s", name="search", server=True),
                ToolResultPart(call_id="s", name="search", content="found", server=True),
                CachePoint(),
                TextPart("So."),
            ),
            name="Bob",
        ),
        CALL.result(error="broken"),
    )
    assert told[1] == {"role": "assistant", "content": "So."}
    assert told[2]["content"] == "broken"
    assert len(warnings) == 5
    assert warnings[-1] == "ollama is not told that the tool result call_1 is an error"


async def test_fields_of_a_message(wire):
    message = Message("user", "hi", extra={"ollama": {"novel": 1}, "openai": {"other": 2}})
    told, _ = await turns(wire, message)
    assert told == [{"role": "user", "content": "hi", "novel": 1}]
    with pytest.raises(BadRequest, match="expected an object"):
        await turns(wire, Message("user", "hi", extra={"ollama": 1}))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message("user", ReasoningPart("hm")), "a user message takes no reasoning part"),
        (Message("user", CALL), "a user message takes no tool call part"),
        (Message("tool", "x"), "holds tool results, not a text part"),
    ],
)
async def test_parts_out_of_place(wire, message, why):
    with pytest.raises(UnsupportedFeature, match=why):
        await turns(wire, message)


async def test_nothing_said(wire):
    """The host would load the model, and answer nothing."""
    with pytest.raises(BadRequest, match="nothing in the conversation says anything"):
        await turns(wire, Message("user", CachePoint()))


@pytest.mark.parametrize("id_", [{"id": "call_9"}, {}])
async def test_an_answer_goes_back_as_it_came(wire, id_):
    """With the id that the host gave, or without one where it gave none."""
    call = {**id_, "function": {"index": 0, "name": "f", "arguments": {"x": "ü"}}, "novel": 1}
    line = wire.line("Well.", thinking="hm", tool_calls=[call])
    async with wire.client([wire.lines(line, wire.end()), wire.whole(wire.end(content="x"))]) as (
        client,
        server,
    ):
        async with client.stream("hi") as stream:
            answer = await stream.wait_response()
        (asked,) = answer.tool_calls
        assert asked.id
        await client.ask(["hi", answer, asked.result("done")])
    _, said, result = server.requests[1].json()["messages"]
    assert said == line["message"] | {"tool_calls": [call]}
    assert ("tool_call_id" in result) == bool(id_)
    assert (result["tool_name"], result["content"]) == ("f", "done")
    assert json.loads(asked.arguments) == {"x": "ü"}
