"""An answer that was begun is gone on with, where the host can do that."""

from __future__ import annotations

import pytest
from llmmw_openai._prefill import Echo

from llmmw import Client, Message, TextPart, ToolCallPart
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

TALK = [("user", "Count."), ("assistant", "1, 2,")]
LAST = {"role": "assistant", "content": "1, 2,"}


async def sent(wire, preset, model="m", talk=TALK, base="", **parameters):
    answer = wire.whole(wire.chat({"content": " 3"}))
    async with open_server(answer) as server:
        provider = wire.provider(server.url + base, preset)
        async with Client(f"{preset}:{model}", stack=[], providers=[provider]) as client:
            response = await client.ask(talk, **parameters)
            able = provider.capabilities(model).prefill
    assert response.text == " 3"
    (received,) = server.requests
    return received.path, received.json(), able


MARKED = [
    ("mistral-openai", "mistral-large-latest", {"prefix": True}, {}),
    ("deepseek", "deepseek-chat", {"prefix": True}, {}),
    ("moonshot", "kimi-k2.5", {"partial": True}, {}),
    ("alibaba", "qwen-plus", {"partial": True}, {"enable_thinking": False}),
    ("groq", "llama-3.3-70b-versatile", {}, {}),
    ("openrouter", "anthropic/claude-sonnet-4.5", {}, {}),
    ("ollama-openai", "llama3.2", {}, {}),
    ("vllm", "m", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ("llama.cpp", "m", {}, {"chat_template_kwargs": {"enable_thinking": False}}),
]


@pytest.mark.parametrize(("preset", "model", "message", "beside"), MARKED)
async def test_each_host_is_asked_in_its_way(wire, preset, model, message, beside):
    path, body, able = await sent(wire, preset, model)
    assert able
    assert path == ("/beta" if preset == "deepseek" else "") + "/chat/completions"
    assert body["messages"][-1] == LAST | message
    assert {name: body.get(name) for name in beside} == beside


UNABLE = [
    ("openai", "gpt-4o"),
    ("together", "m"),
    ("groq", "openai/gpt-oss-120b"),
    ("alibaba", "qwen3-235b-a22b-thinking-2507"),
    ("openrouter", "anthropic/claude-opus-4.6"),
    ("openrouter", "openai/gpt-4o"),
]


@pytest.mark.parametrize(("preset", "model"), UNABLE)
async def test_others_are_told_of_an_answer_that_was(wire, preset, model):
    _, body, able = await sent(wire, preset, model)
    assert not able
    assert body["messages"][-1] == LAST


@pytest.mark.parametrize("preset", ["mistral-openai", "deepseek", "vllm"])
async def test_what_is_no_beginning_is_not_marked(wire, preset):
    call = ToolCallPart(id="c", name="f", arguments="{}")
    for last in [
        ("user", "hi"),
        Message("assistant", (TextPart("a"), call)),
        Message("assistant", ()),
    ]:
        path, body, _ = await sent(wire, preset, talk=[("user", "hi"), last])
        assert path == "/chat/completions"
        assert not {"prefix", "partial"} & set(body["messages"][-1])
        assert "continue_final_message" not in body


async def test_the_callers_own_fields_count_more(wire):
    _, body, _ = await sent(wire, "alibaba", "qwen-plus", reasoning="high")
    assert body["enable_thinking"] is True
    _, body, _ = await sent(wire, "vllm", extra={"vllm": {"add_generation_prompt": True}})
    assert body["add_generation_prompt"] is True


@pytest.mark.parametrize("base", ["", "/", "/beta", "/v1", "/v1/", "/x/v1", "/x/v1?a=b"])
async def test_deepseek_has_a_version_for_it(wire, base):
    """It stands in place of the usual one, which an address may name too."""
    path, _, _ = await sent(wire, "deepseek", base=base)
    before, query = ("/x" if "x" in base else ""), ("?a=b" if "?" in base else "")
    assert path == f"{before}/beta/chat/completions{query}"
    path, _, _ = await sent(wire, "deepseek", base=base, talk="hi")
    assert path.startswith(base.partition("?")[0].rstrip("/") + "/chat/completions")


async def test_the_responses_api_has_no_such_thing(wire):
    provider = wire.provider("http://x", "vllm", api="responses")
    assert not provider.capabilities("m").prefill


def pieces(wire, *texts):
    return wire.events(*(wire.chunk({"content": one}) for one in texts), wire.chunk({}, "stop"))


@pytest.mark.parametrize(
    "texts",
    [("1, 2,", " 3"), ("1, 2, 3",), ("1", ", 2", ", 3"), ("", "1, 2, ", "3"), (" 3",), (" ", "3")],
)
async def test_mistral_repeats_it_perhaps(wire, texts):
    told = await wire.ask(pieces(wire, *texts), TALK, preset="mistral-openai")
    assert told.text == " 3"
    whole = wire.whole(wire.chat({"content": "".join(texts)}))
    assert (await wire.ask(whole, TALK, preset="mistral-openai")).text == " 3"


async def test_what_only_looks_like_it_is_kept(wire):
    for texts in [("1, ", "x"), ("1",), ("1, 2",)]:
        told = await wire.ask(pieces(wire, *texts), TALK, preset="mistral-openai")
        assert told.text == "".join(texts)
    told = await wire.ask(pieces(wire, "1, 2,", "1, 2,"), TALK, preset="mistral-openai")
    assert told.text == "1, 2,"


async def test_llama_cpp_repeats_it_in_whole_answers_alone(wire):
    whole = wire.whole(wire.chat({"content": "1, 2, 3"}))
    assert (await wire.ask(whole, TALK, preset="llama.cpp")).text == " 3"
    told = await wire.ask(pieces(wire, "1, 2,", " 3"), TALK, preset="llama.cpp")
    assert told.text == "1, 2, 3"
    told = await wire.ask(whole, TALK, preset="vllm")
    assert told.text == "1, 2, 3"


def test_candidates_are_told_apart():
    def piece(at, text):
        return {"choices": [{"index": at, "delta": {"content": text}}]}

    echo = Echo("ab", in_pieces=True)
    told = [piece(0, "a"), piece(1, "x"), piece(0, "bc"), piece(1, "ab")]
    bare = [echo.bare(one, whole=False)["choices"][0]["delta"]["content"] for one in told]
    assert bare == ["", "x", "c", "ab"]
    echo = Echo("ab", in_pieces=True)
    unnumbered = {"choices": [{"index": None, "delta": {"content": "abc"}}]}
    assert echo.bare(unnumbered, whole=False)["choices"][0]["delta"]["content"] == "c"
    for odd in (
        {},
        {"choices": None},
        {"choices": [None, {"delta": None}]},
        {"choices": [{"index": [], "delta": {"content": 5}}, {"delta": "x"}]},
    ):
        assert echo.bare(odd, whole=False).keys() == odd.keys()
