"""What is known of hosts and models before they are asked."""

from __future__ import annotations

import attrs
import pytest
from llmmw_openai import PRESETS, Model
from llmmw_openai._provider import OpenAI

from llmmw import Client, CountTokens, Embed, Generate, Grammar, MediaPart, Message
from llmmw.errors import ProtocolError, UnsupportedFeature
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins


def able(preset, model="m", **options):
    return OpenAI(name=preset, preset=preset, base_url="http://x", **options).capabilities(model)


def test_the_models_of_openai():
    assert able("openai", "gpt-4o").media == {"image", "document"}
    assert able("openai", "gpt-4o-audio-preview").media == {"audio"}
    assert able("openai", "gpt-5").media == able("openai", "o3").media == {"image", "document"}
    assert able("openai", "gpt-3.5-turbo").media == frozenset()
    assert able("openai", "gpt-9").media == {"image", "audio", "document"}  # what the API has
    assert "temperature" not in able("openai", "gpt-5").parameters
    assert "temperature" in able("openai", "gpt-5.1").parameters  # unless it is to think
    limits = {
        "gpt-4o-mini": (128_000, 16_384),
        "gpt-4.1-nano": (1_047_576, 32_768),
        "gpt-4": (8_192, 8_192),
        "o3": (200_000, 100_000),
        "gpt-5-mini-2025-08-07": (272_000, 128_000),
        "gpt-9": (None, None),
    }
    for model, told in limits.items():
        can = able("openai-responses", model)
        assert (can.input_limit, can.output_limit) == told
    assert able("azure", "gpt-4").input_limit is None  # a deployment may have any name


def test_forms_of_answers():
    assert able("openai").outputs == {"json", "schema"}
    assert able("deepseek").outputs == {"json"}
    assert able("vllm").outputs == {"json", "schema", "grammar", "regex", "choice"}
    assert able("vllm", api="responses").outputs == {"json", "schema"}
    forms = {"json", "schema", "grammar", "choice"}
    assert able("llama.cpp").outputs == able("llama.cpp", api="responses").outputs == forms


def test_media_by_api():
    assert able("together").media is None
    assert able("together", "m").input_limit is None
    assert able("vllm", api="responses").media == {"image", "document"}
    assert able("deepseek").media is able("groq").media is None
    assert able("azure", api="responses").media == {"image", "document"}


def test_bills_after_a_cancel():
    told = {name: able(name).bills_on_cancel for name in PRESETS}
    assert {name for name, one in told.items() if one} == {
        *("groq", "mistral-openai", "bedrock-mantle", "google-openai")
    }
    stops = {"openai", "azure", "together", "deepseek", "xai", "fireworks", "vllm", "llama.cpp"}
    assert stops <= {name for name, one in told.items() if one is False}
    assert told["openrouter"] is None


def test_each_is_of_one_piece():
    for name, row in PRESETS.items():
        for api in ["chat", *["responses"] * row.responses]:
            can = able(name, api=api)
            assert can.kinds >= ({Generate} if row.generates else {Embed})
            assert (CountTokens in can.kinds) == row.counts
            assert not row.counts or row.responses
            assert "output" in can.parameters or not row.generates
            assert not can.prefill or api == "chat"


async def test_a_row_of_ones_own_says_what_it_can(wire):
    models = (Model(pattern="small", media=frozenset(), output_limit=5),)
    mine = attrs.evolve(PRESETS["vllm"], media=frozenset({"image"}), models=models)
    image = MediaPart(media_type="image/png", url="http://x/y.png")
    sound = MediaPart(media_type="audio/wav", data=b"x")
    async with open_server(wire.whole(wire.chat({"content": "x"}))) as server:
        own = OpenAI(name="mine", preset=mine, base_url=server.url)
        async with Client("mine:big", stack=[], providers=[own]) as client:
            await client.ask(Message("user", (image,)))
            for part, model in [(sound, "big"), (image, "small")]:
                with pytest.raises(UnsupportedFeature, match="takes only text"):
                    await client.ask(Message("user", (part,)), model=f"mine:{model}")
            with pytest.raises(UnsupportedFeature, match="at most 5"):
                await client.ask("hi", model="mine:small", max_output_tokens=6)
        assert len(server.requests) == 1


async def test_a_form_that_the_host_lacks_is_refused_before_it_is_asked(wire):
    answer = wire.whole(wire.chat({"content": "{}"}))
    async with wire.client(answer, "deepseek") as (client, server):
        with pytest.raises(UnsupportedFeature, match="output of the form grammar"):
            await client.ask("hi", output=Grammar("root ::= x"))
        await client.ask("in JSON", output="json")
    (received,) = server.requests
    assert received.json()["response_format"] == {"type": "json_object"}


async def test_tokens_are_counted(wire):
    told = wire.whole({"object": "response.input_tokens", "input_tokens": 11})
    tool = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    async with wire.client(told) as (client, server):
        count = await client.count_tokens("hi", system="Be brief.", tools=[tool])
    assert (count.tokens, count.model, count.provider) == (11, "m", "openai")
    (received,) = server.requests
    assert received.path == "/responses/input_tokens"
    assert received.json() == {
        "model": "m",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", **tool, "strict": False}],
    }


@pytest.mark.parametrize("tokens", [None, True, -1, 1.5, "7"])
async def test_a_number_of_tokens_that_is_none(wire, tokens):
    async with wire.client(wire.whole({"input_tokens": tokens})) as (client, _):
        with pytest.raises(ProtocolError, match="no number of tokens"):
            await client.count_tokens("hi")


async def test_hosts_that_do_not_count(wire):
    async with wire.client(wire.whole({}), "groq") as (client, server):
        with pytest.raises(UnsupportedFeature, match="CountTokens"):
            await client.count_tokens("hi")
        assert server.requests == []
