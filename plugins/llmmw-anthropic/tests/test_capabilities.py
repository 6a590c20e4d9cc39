"""What a model is said to be able to do is what it is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmmw_anthropic._models import model_of

from llmmw import Client, CountTokens, Generate, JsonSchema, MediaPart, Message
from llmmw.errors import UnsupportedFeature
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

SCHEMA = JsonSchema({"type": "object", "properties": {"a": {"type": "string"}}})
BEGUN = ["hi", ("assistant", "Well, \n")]


@pytest.mark.parametrize(
    ("model", "prefill", "schema", "most_in", "most_out"),
    [
        ("claude-fable-5-1", False, True, 1_000_000, 128_000),
        ("claude-opus-5", False, True, 1_000_000, 128_000),
        ("claude-opus-4-6", False, True, 1_000_000, 128_000),
        ("claude-sonnet-4-5-20250929", True, True, 200_000, 64_000),
        ("claude-opus-4-1", True, True, 200_000, 32_000),
        ("claude-sonnet-4-20250514", True, False, 200_000, 64_000),
        ("claude-3-haiku-20240307", True, False, 200_000, 4_096),
    ],
)
def test_the_table(wire, model, prefill, schema, most_in, most_out):
    can = wire.provider("http://nowhere").capabilities(model)
    assert can.kinds == {Generate, CountTokens}
    assert can.media == {"image", "document"}
    assert can.outputs == ({"schema"} if schema else set())
    assert ("output" in can.parameters) is schema
    assert can.prefill is prefill
    assert can.bills_on_cancel is False
    assert (can.input_limit, can.output_limit) == (most_in, most_out)


@pytest.mark.parametrize(("model", "bills"), [("claude-later-9", False), ("smollm2", None)])
def test_of_what_nobody_knows_nothing_is_said(wire, model, bills):
    can = wire.provider("http://nowhere").capabilities(model)
    assert (can.media, can.input_limit, can.output_limit) == (None, None, None)
    assert can.prefill is False
    assert can.bills_on_cancel is bills
    # But it is sent: the host may take it.
    assert wire.body(BEGUN, model=model)["messages"][-1]["role"] == "assistant"


@given(
    model=st.sampled_from(["claude-opus-5", "claude-opus-4-6", "claude-sonnet-4-5", "claude-3-7"]),
    reasoning=st.sampled_from([None, "low"]),
    formed=st.booleans(),
)
def test_a_begun_answer_is_sent_or_refused(wire, model, reasoning, formed):
    """Never while the model thinks, and never beside a schema."""
    row = model_of(model)
    reasoning = reasoning if "reasoning" in row.parameters else None
    output = SCHEMA if formed and "output" in row.parameters else None
    can = row.prefill and not reasoning and not output
    asked = {"reasoning": reasoning, "output": output, "model": model}
    if can:
        text = wire.body(BEGUN, **asked)["messages"][-1]["content"][0]["text"]
        assert text == "Well,"
        return
    with pytest.raises(UnsupportedFeature, match="an answer that was begun for it"):
        wire.body(BEGUN, **asked)
    notes = []
    body = wire.body(BEGUN, **asked, unsupported="drop", notes=notes)
    assert [turn["role"] for turn in body["messages"]] == ["user"]
    assert sum("begun" in note for note in notes) == 1


@pytest.mark.parametrize("media_type", ["audio/wav", "video/mp4"])
async def test_media_that_no_model_takes_are_refused_unsent(wire, media_type):
    async with wire.client(wire.whole(wire.message("x"))) as (client, server):
        with pytest.raises(UnsupportedFeature):
            await client.ask(Message("user", MediaPart(media_type=media_type, data=b"x")))
        assert server.requests == []


@pytest.mark.parametrize(
    ("model", "native"), [("claude-sonnet-4-5", True), ("claude-sonnet-4-20250514", False)]
)
async def test_a_schema_binds_the_answer_by_itself_or_by_a_tool(wire, model, native):
    call = {"type": "tool_use", "id": "t", "name": "answer", "input": {"a": "b"}}

    async def answer(received):
        sent = received.json()
        if "tools" not in sent:
            assert sent["output_config"]["format"]["schema"]["properties"] == {
                "a": {"type": "string"}
            }
            return wire.whole(wire.message('{"a": "b"}'))
        name = sent["tools"][0]["name"]
        assert sent["tool_choice"] == {"type": "tool", "name": name}
        return wire.whole(wire.message(call | {"name": name}, stop="tool_use"))

    async with open_server(answer) as server:
        provider = wire.provider(server.url)
        async with Client(f"anthropic:{model}", providers=[provider]) as client:
            told = await client.ask("hi", output=SCHEMA, max_output_tokens=100)
        assert ("tools" not in server.requests[0].json()) is native
    assert told.text.replace(" ", "") == '{"a":"b"}'
    assert told.finish_reason == "stop"
