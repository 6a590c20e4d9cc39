"""What a model is said to be able to do is what it is sent."""

from __future__ import annotations

import json

import pytest
from llmmw_bedrock._models import bare_name

from llmmw import Client, CountTokens, Embed, Generate, JsonSchema, MediaPart, Message
from llmmw.errors import UnsupportedFeature
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

SCHEMA = JsonSchema({"type": "object", "properties": {"a": {"type": "string"}}})
BEGUN = ["hi", ("assistant", "Well, \n")]
BOTH = {Generate, CountTokens}


@pytest.mark.parametrize(
    ("model", "kinds", "prefill", "schema", "media", "most_out"),
    [
        ("anthropic.claude-opus-5", BOTH, False, True, {"image", "document"}, 128_000),
        ("global.anthropic.claude-sonnet-4-5-v1", BOTH, True, True, {"image", "document"}, 64_000),
        ("anthropic.claude-3-haiku-v1:0", BOTH, True, False, {"image", "document"}, 4_096),
        ("us.amazon.nova-pro-v1:0", {Generate}, True, False, {"image", "document", "video"}, None),
        ("amazon.nova-micro-v1:0", {Generate}, True, False, set(), None),
        ("openai.gpt-oss-20b-1:0", {Generate}, False, True, set(), None),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/x", BOTH, False, True, None, None),
    ],
)
def test_the_table(wire, model, kinds, prefill, schema, media, most_out):
    can = wire.provider("").capabilities(model)
    assert can.kinds == kinds
    assert can.media == media
    assert can.outputs == ({"schema"} if schema else set())
    assert ("output" in can.parameters) is schema
    assert can.prefill is prefill
    assert can.output_limit == most_out
    # What nobody knows is sent: the host may take it.
    if prefill or media is None:
        assert wire.body(BEGUN, model=model)["messages"][-1]["content"] == [{"text": "Well,"}]


@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "eu.cohere.embed-v4:0"])
def test_models_of_vectors(wire, model):
    assert wire.provider("").capabilities(model).kinds == {Embed}


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("us.anthropic.claude-x", "anthropic.claude-x"),
        ("global.amazon.nova-2-lite-v1:0", "amazon.nova-2-lite-v1:0"),
        ("us-gov.anthropic.claude-x", "anthropic.claude-x"),
        ("anthropic.claude-x", "anthropic.claude-x"),
        ("moonshotai.kimi-k2.5", "moonshotai.kimi-k2.5"),
        ("us.model", "us.model"),
    ],
)
def test_names_without_a_region(name, bare):
    assert bare_name(name) == bare


async def test_media_that_a_model_does_not_take_are_refused_unsent(wire):
    async with wire.client(wire.whole(wire.message("x"))) as (client, server):
        with pytest.raises(UnsupportedFeature):
            await client.ask(Message("user", MediaPart(media_type="audio/wav", data=b"x")))
        assert server.requests == []


@pytest.mark.parametrize(
    ("model", "native"),
    [("anthropic.claude-sonnet-4-5-v1", True), ("us.amazon.nova-pro-v1:0", False)],
)
async def test_a_schema_binds_the_answer_by_itself_or_by_a_tool(wire, model, native):
    async def answer(received):
        sent = received.json()
        if "toolConfig" not in sent:
            told = sent["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
            assert json.loads(told)["properties"] == {"a": {"type": "string"}}
            return wire.whole(wire.message('{"a": "b"}'))
        name = sent["toolConfig"]["tools"][0]["toolSpec"]["name"]
        assert sent["toolConfig"]["toolChoice"] == {"tool": {"name": name}}
        call = {"toolUse": {"toolUseId": "t", "name": name, "input": {"a": "b"}}}
        return wire.whole(wire.message(call, stop="tool_use"))

    async with open_server(answer) as server:
        provider = wire.provider(server.url)
        async with Client(f"bedrock:{model}", providers=[provider]) as client:
            told = await client.ask("hi", output=SCHEMA)
        assert ("toolConfig" not in server.requests[0].json()) is native
    assert told.value == {"a": "b"}
    assert told.finish.reason == "stop"


@pytest.mark.parametrize("model", ["openai.gpt-oss-120b-1:0", "qwen.qwen3-32b-v1:0"])
async def test_models_that_refuse_stop_sequences(wire, model):
    async with wire.client(wire.whole(wire.message("x")), model=model) as (client, server):
        with pytest.raises(UnsupportedFeature, match="stop_sequences"):
            await client.ask("hi", stop_sequences=["x"])
        await client.ask("hi", stop_sequences=["x"], unsupported="drop")
    (received,) = server.requests
    assert "inferenceConfig" not in received.json()
