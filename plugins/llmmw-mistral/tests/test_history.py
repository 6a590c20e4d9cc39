"""Answers of this host and of others, as they go back: what the host would refuse, or not know."""

from __future__ import annotations

import pytest

from llmmw import (
    MediaPart,
    Message,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import BadRequest

pytestmark = pytest.mark.plugins

SEARCH = ToolCallPart(id="s", name="search", arguments="{}", server=True)
FOUND = ToolResultPart(call_id="s", name="search", content="found", server=True)


@pytest.mark.parametrize("results", [False, True])
def test_tools_that_another_host_has_run_are_left_out(wire, results):
    """The host wants a result for each call, and these have none that it could see."""
    notes = []
    said = Message("assistant", (SEARCH, *([FOUND] if results else []), TextPart("So.")))
    sent = wire.sent("hi", said, Message("tool", (FOUND,)), "go on", notes=notes)
    assert sent[1] == {"role": "assistant", "content": "So."}
    assert [one["role"] for one in sent] == ["user", "assistant", "user"]
    assert notes == ["mistral does not know a tool that another host has run (search): left out"]


@pytest.mark.parametrize(
    "parts", [(), (TextPart(""),), (ReasoningPart(encrypted="x"),), (SEARCH, FOUND)]
)
def test_an_answer_that_says_nothing_is_left_out(wire, parts):
    """`Assistant message must have either content or tool_calls`, the host says of it."""
    silent = Message("assistant", parts)
    assert [one["role"] for one in wire.sent("hi", silent, "go on", notes=[])] == ["user", "user"]
    call = ToolCallPart(id="abcdefghi", name="f")
    result = Message("tool", (call.result("4"),))
    talk = ["hi", Message("assistant", (call,)), result, silent, "go on"]
    roles = [one["role"] for one in wire.sent(*talk, notes=[])]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    shown = Message("assistant", (MediaPart(media_type="image/png", data=b"x"),))
    _, picture, _ = wire.sent("draw", shown, "and?")
    assert (picture["role"], picture["content"][1]["type"]) == ("user", "image_url")


@pytest.mark.parametrize("behind", ["assistant", "tool"])
def test_a_system_message_behind_an_answer_is_a_users(wire, behind):
    """`Unexpected role 'system' after role 'assistant'`, the host says of it."""
    call = ToolCallPart(id="abcdefghi", name="f")
    talk = {
        "assistant": [("assistant", "yes?")],
        "tool": [Message("assistant", (call,)), Message("tool", (call.result("4"),))],
    }
    notes = []
    sent = wire.sent("hi", *talk[behind], ("system", "Be brief."), "go on", notes=notes)
    *before, system, _ = sent
    assert system == {"role": "user", "content": "<system>Be brief.</system>"}
    assert before[-1]["role"] == "assistant"
    assert notes == ["mistral takes a system message behind an answer for a user's"]
    plain = wire.sent(("system", "a"), ("system", "b"), "hi", ("system", "c"), "go on")
    assert [one["role"] for one in plain] == ["system", "system", "user", "system", "user"]


def test_fields_of_a_message_of_results(wire):
    call = ToolCallPart(id="abcdefghi", name="f")
    results = (call.result("4"), call.result("5"))
    message = Message("tool", results, name="Ann", extra={"mistral": {"x": 1}})
    notes = []
    *_, one, other = wire.sent("hi", Message("assistant", (call,)), message, notes=notes)
    assert (one["x"], other["x"], other["content"]) == (1, 1, "5")
    assert notes == ["mistral does not take the name 'Ann' of a message: left out"]


@pytest.mark.parametrize("junk", [1, "abc", [1]])
def test_fields_that_are_no_object_are_refused(wire, junk):
    extra = {"mistral": junk}
    for message in (
        Message("user", "hi", extra=extra),
        Message("user", (TextPart("hi", extra=extra),)),
        Message("assistant", (ToolCallPart(id="a", name="f", extra=extra),)),
        Message("assistant", (ReasoningPart("hm", extra=extra),)),
        Message("tool", (ToolResultPart(call_id="a", content="x", extra=extra),)),
    ):
        with pytest.raises(BadRequest, match="expected an object"):
            wire.sent("hi", message)
    with pytest.raises(BadRequest, match="expected an object"):
        wire.body(tools=[Tool("f", extra=extra)])


async def test_fields_of_a_text_chunk_go_back(wire):
    plain = {"type": "text", "text": "Well"}
    one = {"type": "text", "text": "So", "annotations": [{"x": 1}]}
    chunks = [plain, one, one | {"annotations": [7]}, plain]
    for answer in (wire.whole(wire.chat(chunks)), wire.streamed(chunks[:2], chunks[2:])):
        response = await wire.ask(answer)
        assert response.text == "WellSoSoWell"
        assert wire.sent("hi", response, "go on")[1]["content"] == chunks
