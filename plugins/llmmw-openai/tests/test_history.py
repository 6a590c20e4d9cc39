"""An answer as part of the next question: the same host gets back what it needs."""

from __future__ import annotations

import re

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_openai._answer import Answer
from llmmw_openai._messages import messages_of
from llmmw_openai._presets import PRESETS

from llmmw import Call, Generate, MediaPart, Message, TextPart, ToolCallPart, ToolResultPart
from llmmw.plugin import ResponseBuilder
from llmmw.wire import Losses

pytestmark = pytest.mark.plugins

texts = st.text(max_size=5)
calls = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("fg"), "arguments": st.sampled_from(["", "{}", '{"x": "ü"}', "{"])}
    ),
    max_size=3,
)
details = st.lists(
    st.fixed_dictionaries({"type": st.just("reasoning.text"), "text": texts, "signature": texts}),
    max_size=3,
)
answers = st.fixed_dictionaries(
    {
        "content": st.none() | texts,
        "refusal": st.none() | texts,
        "reasoning_content": st.none() | texts,
        "reasoning_details": details,
        "tool_calls": calls,
        "images": st.lists(
            st.just({"image_url": {"url": "data:image/png;base64,cG5n"}}), max_size=2
        ),
        "audio": st.none() | st.just({"id": "au-1", "data": "YXU=", "transcript": "so"}),
    }
)


def encoded(preset, *messages):
    losses = Losses(Generate(messages=messages), preset)
    return messages_of(messages, PRESETS[preset], losses), losses.warnings


@settings(deadline=None)
@given(answers, st.sampled_from(sorted(PRESETS)))
def test_an_answer_goes_back(given, preset):
    message = dict(given)
    message["tool_calls"] = [
        {"index": at, "id": f"callid{at:03}", "type": "function", "function": one}
        for at, one in enumerate(given["tool_calls"])
    ]
    message["reasoning_details"] = [
        one | {"index": at} for at, one in enumerate(given["reasoning_details"])
    ]
    call = Call(Generate(messages=("hi",)))
    answer = Answer(ResponseBuilder(call, preset), preset)

    async def read():
        await answer.take({"choices": [{"message": message, "finish_reason": "stop"}]}, whole=True)
        return await answer.finish()

    told, warnings = encoded(preset, Message("user", "hi"), trio.run(read).message)
    assert warnings == []
    sent = told[1]
    assert (sent["content"] or "") == (given["content"] or "")
    assert sent.get("refusal", "") == (given["refusal"] or "")
    assert [one["id"] for one in sent.get("tool_calls", [])] == [
        one["id"] for one in message["tool_calls"]
    ]
    assert [one["function"] for one in sent.get("tool_calls", [])] == [
        one | {"arguments": one["arguments"] or "{}"} for one in given["tool_calls"]
    ]
    assert sent.get("reasoning_details", []) == message["reasoning_details"]
    if PRESETS[preset].echo_reasoning:
        thought = given["reasoning_content"] or "".join(
            d["text"] for d in given["reasoning_details"]
        )
        assert sent.get("reasoning_content", "") == thought
    assert sent.get("audio") == (given["audio"] and {"id": "au-1"})
    shown = [one["type"] for message in told[2:] for one in message["content"]]
    assert shown == (["text"] + ["image_url"] * len(given["images"]) if given["images"] else [])


def test_media_of_an_answer_are_shown_after_its_results():
    image = MediaPart(media_type="image/png", data=b"png")
    call = ToolCallPart(id="a", name="f")
    result = ToolResultPart(call_id="a", content=("x",), is_error=True)
    told, warnings = encoded(
        "openrouter",
        Message("assistant", (TextPart("so"), image, call)),
        Message("tool", (result,)),
    )
    assert [one["role"] for one in told] == ["assistant", "tool", "user"]
    assert told[0]["content"] == "so"
    assert [one["type"] for one in told[2]["content"]] == ["text", "image_url"]
    assert warnings == ["openrouter is not told that the tool result a is an error"]


@pytest.mark.parametrize(("preset", "short"), [("mistral-openai", True), ("openai", False)])
def test_ids_of_other_hosts(preset, short):
    ids = ["call_abc_def", "ABCdef123", "1", "call_abc_deg"]
    calls = tuple(ToolCallPart(id=one, name="f") for one in ids)
    results = tuple(ToolResultPart(call_id=one, content=("x",)) for one in ids)
    told, _ = encoded(preset, Message("assistant", calls), Message("tool", results))
    asked = [one["id"] for one in told[0]["tool_calls"]]
    assert [one["tool_call_id"] for one in told[1:]] == asked
    assert len(set(asked)) == 4
    assert asked[1] == ids[1]
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", one) for one in asked) == short
    assert (asked == ids) != short
