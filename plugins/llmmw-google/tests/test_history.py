"""Conversations as the wire has them, and answers sent back."""

from __future__ import annotations

import base64

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

TOOL = {"name": "f", "parameters": {"type": "object"}}


async def test_roles(wire):
    messages = [
        ("system", "be brief"),
        ("user", "hi"),
        Message("assistant", (TextPart("yes"), CachePoint())),
        ("user", [TextPart("a"), TextPart("b")]),
    ]
    body, warnings = await wire.sent(messages)
    assert body == {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"text": "yes"}]},
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        ],
    }
    assert warnings == ()


async def test_system_messages_that_stand_elsewhere(wire):
    messages = [("user", "a"), ("system", "now in French")]
    body, warnings = await wire.sent(messages)
    assert body["systemInstruction"] == {"parts": [{"text": "now in French"}]}
    assert warnings == ("google reads all system messages before the conversation",)
    body, warnings = await wire.sent([("system", "s"), ("user", "a")], model="gemma-3-27b-it")
    assert body["contents"][0] == {"role": "user", "parts": [{"text": "s"}]}
    assert "systemInstruction" not in body
    assert warnings == ("google takes no system message: a user says it",)


async def test_media(wire):
    parts = (
        MediaPart(media_type="image/png", data=b"png"),
        MediaPart(media_type="application/pdf", url="https://a/b.pdf"),
        MediaPart(media_type="image/*", url="https://a/b"),
        MediaPart(media_type="video/mp4", file_id="files/x"),
        MediaPart(media_type="audio/wav", url="gs://b/a.wav", extra={"google": {"x": 1}}),
    )
    body, _ = await wire.sent(Message("user", parts))
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"png").decode()}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a/b.pdf"}},
        {"fileData": {"fileUri": "https://a/b"}},
        {
            "fileData": {
                "mimeType": "video/mp4",
                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x",
            }
        },
        {"fileData": {"mimeType": "audio/wav", "fileUri": "gs://b/a.wav"}, "x": 1},
    ]


async def test_an_answer_goes_back_as_it_came(wire):
    parts = [
        {"text": "hm", "thought": True},
        {"text": "so", "thoughtSignature": "MQ=="},
        {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "Mg=="},
        {"functionCall": {"name": "f", "args": {"x": 2}}},
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "Mw=="},
        {"text": "", "thoughtSignature": "NA=="},
    ]
    answers = [wire.whole(wire.piece(*parts, finish="STOP"))] * 2
    async with wire.client(answers) as (client, server):
        response = await client.ask("hi", tools=[TOOL])
        first, second = response.tool_calls
        results = [
            Message("tool", ToolResultPart(call_id=second.id, content="two")),
            Message("tool", ToolResultPart(call_id=first.id, content="one", is_error=True)),
        ]
        await client.ask(["hi", response, *results], tools=[TOOL])
    _, answered, results = server.requests[-1].json()["contents"]
    assert answered == {"role": "model", "parts": parts}
    # Ids that are none of Google's stay here, so that the order tells which is which.
    assert results == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "f", "response": {"error": "one"}}},
            {"functionResponse": {"name": "f", "response": {"output": "two"}}},
        ],
    }


async def test_ids_of_others_go_out_and_google_is_told_that_they_are(wire):
    call = ToolCallPart(id="call_1", name="f", arguments='{"x": 1}')
    more = ToolCallPart(id="call_2", name="f", arguments="")
    messages = [
        "hi",
        Message("assistant", (ReasoningPart("of another", signature="s"), call, more)),
        Message("tool", (ToolResultPart(call_id="call_1", content="one"),)),
        Message("tool", (ToolResultPart(call_id="call_2", content="two"),)),
    ]
    body, _ = await wire.sent(messages, model="gemini-2.5-pro")
    made = [
        {"functionCall": {"id": "call_1", "name": "f", "args": {"x": 1}}},
        {"functionCall": {"id": "call_2", "name": "f", "args": {}}},
    ]
    assert body["contents"][1]["parts"] == made
    assert [p["functionResponse"]["id"] for p in body["contents"][2]["parts"]] == [
        "call_1",
        "call_2",
    ]
    body, _ = await wire.sent(messages, model="gemini-3-pro-preview")
    unsigned = {"thoughtSignature": "skip_thought_signature_validator"}
    assert body["contents"][1]["parts"] == [unsigned | made[0], made[1]]


async def test_what_one_way_to_google_signed_the_other_is_not_shown(wire):
    part = {"functionCall": {"name": "f", "id": "i"}, "thoughtSignature": "c2ln"}
    response = await wire.ask(wire.whole(wire.piece(part, finish="STOP")))
    body, _ = await wire.sent(["hi", response], host="vertex")
    (sent,) = body["contents"][1]["parts"]
    assert sent["thoughtSignature"] == "skip_thought_signature_validator"
    assert sent["functionCall"]["id"] == "i"


async def test_arguments_that_are_no_object(wire):
    call = ToolCallPart(id="c", name="f", arguments="[1")
    body, warnings = await wire.sent(["hi", Message("assistant", call)], model="gemini-2.5-pro")
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"arguments": "[1"}
    assert len(warnings) == 1


async def test_media_of_results_are_shown_after_all_results(wire):
    calls = tuple(ToolCallPart(id=one, name="f") for one in "ab")
    picture = MediaPart(media_type="image/png", data=b"png")
    results = (
        ToolResultPart(call_id="a", content=(TextPart("see"), picture)),
        ToolResultPart(call_id="b", content="2"),
    )
    body, _ = await wire.sent(["hi", Message("assistant", calls), Message("tool", results), "so?"])
    _, _, told, shown, last = body["contents"]
    assert [p["functionResponse"]["response"] for p in told["parts"]] == [
        {"output": "see"},
        {"output": "2"},
    ]
    assert shown["role"] == "user"
    assert shown["parts"][0] == {"text": "Of the tool result a:"}
    assert "inlineData" in shown["parts"][1]
    assert last["parts"] == [{"text": "so?"}]


async def test_results_without_a_name(wire):
    stray = Message("tool", ToolResultPart(call_id="never", content="x"))
    with pytest.raises(BadRequest, match="answers no call of this conversation"):
        await wire.sent(["hi", stray])
    named = Message("tool", ToolResultPart(call_id="never", name="f", content="x"))
    body, _ = await wire.sent(["hi", named])
    assert body["contents"][1]["parts"][0]["functionResponse"]["name"] == "f"


async def test_blocks_of_others_are_left_out_aloud(wire):
    foreign = OpaquePart(provider="anthropic", type="compaction", data={"zz": 1})
    server = ToolCallPart(id="s", name="web_search", server=True)
    body, warnings = await wire.sent(["hi", Message("assistant", ("a", foreign, server)), "b"])
    assert body["contents"][1]["parts"] == [{"text": "a"}]
    assert len(warnings) == 2
    empty = Message("assistant", (TextPart(""), ReasoningPart("x")))
    body, _ = await wire.sent(["hi", empty, "b"])
    assert [turn["role"] for turn in body["contents"]] == ["user", "user"]


async def test_parts_that_have_no_place(wire):
    picture = MediaPart(media_type="image/png", data=b"png")
    for message in (
        Message("system", picture),
        Message("user", ToolCallPart(id="a", name="f")),
        Message("tool", TextPart("x")),
    ):
        with pytest.raises(UnsupportedFeature):
            await wire.sent(["hi", message])
