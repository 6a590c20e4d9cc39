"""Messages and documents as the wire has them."""

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

PNG = b"\x89PNG\r\n\x1a\n"
IMAGE = MediaPart(media_type="image/png", data=PNG, detail="low")
BREAD = MediaPart(media_type="text/plain", data=b"It rises.", filename="bread.txt")
SHOWN = {
    "type": "image_url",
    "image_url": {
        "url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}",
        "detail": "low",
    },
}
VISION = "command-a-plus-05-2026"
PLAN = {"cohere": {"tool_plan": True}}


def call(id="c-1", arguments='{"x": 1}'):
    return ToolCallPart(id=id, name="f", arguments=arguments)


async def messages_sent(wire, prompt, **parameters):
    body, warnings = await wire.sent(prompt, **parameters)
    return body["messages"], warnings


async def test_plain_text_is_plain(wire):
    told, warnings = await messages_sent(wire, [("system", "s"), ("user", "u")])
    assert told == [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert warnings == ()
    talk = Message("user", (TextPart("a"), CachePoint(), TextPart(" "), TextPart("b")))
    (told,), _ = await messages_sent(wire, talk)
    assert told["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


async def test_images(wire):
    link = MediaPart(media_type="image/*", url="http://x/y.png")
    (told,), _ = await messages_sent(
        wire, Message("user", (TextPart("see"), IMAGE, link)), model=VISION
    )
    assert told["content"] == [
        {"type": "text", "text": "see"},
        SHOWN,
        {"type": "image_url", "image_url": {"url": "http://x/y.png"}},
    ]
    with pytest.raises(UnsupportedFeature, match="by the id of a file"):
        file = MediaPart(media_type="image/png", file_id="f-1")
        await messages_sent(wire, Message("user", (file,)), model=VISION)
    with pytest.raises(UnsupportedFeature, match="holds image"):
        await messages_sent(wire, Message("user", (IMAGE,)), model="command-a-03-2025")


async def test_documents(wire):
    body, warnings = await wire.sent(Message("user", (TextPart("what?"), BREAD)))
    assert body["documents"] == [{"data": {"text": "It rises.", "title": "bread.txt"}}]
    assert body["messages"] == [{"role": "user", "content": "what?"}]
    assert warnings == ()
    own = MediaPart(media_type="application/json", data=b"{}", extra={"cohere": {"id": "mine"}})
    talk = [Message("user", (TextPart("a"), own)), ("assistant", "b"), ("user", "c")]
    body, (warning,) = await wire.sent(talk)
    assert body["documents"] == [{"id": "mine", "data": {"text": "{}"}}]
    assert "beside the conversation" in warning
    for kind in ("text/csv", "Text/Plain", "application/json; charset=utf-8", "application/yaml"):
        part = MediaPart(media_type=kind, data=b"x")
        body, _ = await wire.sent(Message("user", (TextPart("a"), part)))
        assert body["documents"] == [{"data": {"text": "x"}}]
    for part in (
        MediaPart(media_type="application/pdf", data=b"%PDF"),
        MediaPart(media_type="text/plain", data=b"\xff"),
        MediaPart(media_type="text/plain", url="http://x/y"),
    ):
        with pytest.raises(UnsupportedFeature, match="can't be sent"):
            await wire.sent(Message("user", (TextPart("a"), part)))


async def test_one_system_message_and_that_first(wire):
    talk = [("system", "one"), ("system", "two"), ("user", "a"), ("system", "three"), ("user", "b")]
    told, (warning,) = await messages_sent(wire, talk)
    assert [one["role"] for one in told] == ["system", "user", "user", "user"]
    assert "".join(one["text"] for one in told[0]["content"]) == "one\n\ntwo"
    said = "".join(one["text"] for one in told[2]["content"])
    assert said == "<system>three</system>"
    assert "for a user's" in warning


async def test_an_answer_goes_back(wire):
    source = {"start": 0, "end": 2, "text": "Hi"}
    whole = wire.message({"type": "thinking", "thinking": "hm"}, "Hi.", citations=[source])
    answers = [wire.whole(whole), wire.whole(wire.message("x"))]
    async with wire.client(answers) as (client, server):
        response = await client.ask("hi")
        await client.ask(["hi", response, "and?"])
    assert server.requests[-1].json()["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi."}],
        "citations": [source],
    }


async def test_calls_and_results_go_back(wire):
    told = Message("assistant", (ReasoningPart("I look.", extra=PLAN), call(), call("c-2", "")))
    results = [call().result("1"), call("c-2").result(error="broken")]
    messages, (warning,) = await messages_sent(wire, ["hi", told, *results])
    function = {"name": "f", "arguments": '{"x": 1}'}
    assert messages[1:] == [
        {
            "role": "assistant",
            "tool_plan": "I look.",
            "tool_calls": [
                {"id": "c-1", "type": "function", "function": function},
                {"id": "c-2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c-1", "content": "1"},
        {"role": "tool", "tool_call_id": "c-2", "content": "broken"},
    ]
    assert "not told that the tool result c-2 is an error" in warning


async def test_text_beside_calls_is_their_plan(wire):
    """As other hosts have it; a text has no place there."""
    told = Message("assistant", (ReasoningPart("hm"), TextPart("Let me see."), call()))
    messages, _ = await messages_sent(wire, ["hi", told, call().result("1")])
    assert messages[1]["tool_plan"] == "Let me see."
    assert messages[1]["content"] == [{"type": "thinking", "thinking": "hm"}]
    alone = Message("assistant", (ReasoningPart("I look.", extra=PLAN),))
    messages, _ = await messages_sent(wire, ["hi", alone, "go on"])
    assert messages[1] == {"role": "assistant", "content": "I look."}


async def test_reasoning_of_others_stays_out(wire):
    signed = ReasoningPart("hm", signature="s", extra={"anthropic": {}})
    sealed = ReasoningPart(redacted=True, encrypted="e")
    told = Message("assistant", (signed, sealed, TextPart("a")))
    messages, (warning,) = await messages_sent(wire, ["hi", told, "b"])
    assert messages[1] == {"role": "assistant", "content": "a"}
    assert "reasoning of another host" in warning
    told = Message("assistant", (ReasoningPart("hm"), TextPart("a")))
    messages, (warning,) = await messages_sent(wire, ["hi", told, "b"], model="command-r7b")
    assert messages[1] == {"role": "assistant", "content": "a"}
    assert "does not think" in warning


async def test_results_with_more_than_text(wire):
    """Documents stay; images a user shows, after the last result."""
    one = ToolResultPart(call_id="c-1", content=(TextPart("see"), BREAD, IMAGE))
    other = ToolResultPart(call_id="c-2", content=(IMAGE,))
    none = ToolResultPart(call_id="c-3", content=())
    told = Message("assistant", (call(), call("c-2"), call("c-3")))
    talk = ["hi", told, one, other, none, "and?"]
    messages, _ = await messages_sent(wire, talk, model=VISION)
    document = {"data": {"text": "It rises.", "title": "bread.txt"}}
    assert messages[2]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "document", "document": document},
    ]
    assert [one["content"] for one in messages[3:5]] == [
        "(see the user's next message)",
        "(nothing)",
    ]
    shown = messages[5]
    assert shown["role"] == "user"
    assert [one["type"] for one in shown["content"]] == ["text", "image_url"] * 2
    assert messages[6] == {"role": "user", "content": "and?"}


async def test_images_of_answers_are_shown_by_the_user(wire):
    told = Message("assistant", (TextPart("here"), IMAGE))
    messages, _ = await messages_sent(wire, ["hi", told, "and?"], model=VISION)
    assert messages[1] == {"role": "assistant", "content": "here"}
    assert messages[2]["content"] == [{"type": "text", "text": "Of the answer:"}, SHOWN]


async def test_what_is_for_nobody_here(wire):
    server = ToolCallPart(id="s", name="web", server=True)
    opaque = OpaquePart(provider="openai", type="odd", data={})
    mine = OpaquePart(provider="cohere", type="chart", data={"type": "chart"})
    told = Message("assistant", (server, opaque, mine, TextPart("a")), name="bob")
    messages, warnings = await messages_sent(wire, ["hi", told, "b"])
    assert messages[1]["content"] == [{"type": "chart"}, {"type": "text", "text": "a"}]
    assert len(warnings) == 3
    with pytest.raises(UnsupportedFeature, match="takes no tool call part"):
        await messages_sent(wire, [Message("user", (call(),))])
    with pytest.raises(UnsupportedFeature, match="holds tool results"):
        await messages_sent(wire, [Message("tool", (TextPart("x"),))])


async def test_an_answer_that_was_begun(wire):
    talk = ["hi", ("assistant", "So")]
    with pytest.raises(UnsupportedFeature, match="begun"):
        await messages_sent(wire, talk)
    for further in ([], [("assistant", " far")]):
        messages, (warning,) = await messages_sent(wire, [*talk, *further], unsupported="drop")
        assert messages == [{"role": "user", "content": "hi"}]
        assert "begun" in warning


async def test_nothing_said(wire):
    for talk in ([" "], [("assistant", " ")]):
        with pytest.raises(BadRequest, match="add a user's message"):
            await messages_sent(wire, talk)


async def test_fields_of_the_host_alone(wire):
    extra = {"cohere": {"zz": 1}}
    told = Message("user", (TextPart("a", extra={"cohere": {"yy": 2}}),), extra=extra)
    (message,), _ = await messages_sent(wire, told)
    block = {"type": "text", "text": "a", "yy": 2}
    assert message == {"role": "user", "content": [block], "zz": 1}
    with pytest.raises(BadRequest, match="expected an object"):
        await messages_sent(wire, Message("user", "a", extra={"cohere": 7}))


async def test_a_system_message_that_says_nothing(wire):
    """Neither a space behind the first one nor empty tags."""
    talk = [("system", "one"), ("system", " "), ("user", "a"), ("system", ""), ("user", "b")]
    told, warnings = await messages_sent(wire, talk)
    assert told == [
        {"role": "system", "content": "one"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    assert warnings == ()


async def test_documents_of_messages_and_of_the_request_go_together(wire):
    extra = {"cohere": {"documents": ["mine", {"id": "2", "data": {"text": "x"}}]}}
    body, _ = await wire.sent(Message("user", (TextPart("what?"), BREAD)), extra=extra)
    bread = {"data": {"text": "It rises.", "title": "bread.txt"}}
    assert body["documents"] == [bread, *extra["cohere"]["documents"]]
