"""Several prompts in one legacy completion."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from llmmw import Embed, Generate
from llmmw.errors import BadRequest, ProtocolError, RateLimited
from llmmw.plugin import Call
from llmmw.testing import open_host, open_server

pytestmark = pytest.mark.plugins


def calls(*prompts, **fields):
    return [Call(Generate(model="openai:m", prompt=prompt, **fields)) for prompt in prompts]


def answer(wire, *texts, order=None, **more):
    rows = [{"index": k, "text": text, "finish_reason": "stop"} for k, text in enumerate(texts)]
    rows = [rows[k] for k in order] if order else rows
    return wire.whole({"id": "c", "model": "m-1", "choices": rows, **more})


@asynccontextmanager
async def opened(wire, told):
    async with open_server(told) as server, open_host() as host:
        provider = wire.provider(server.url)
        async with provider.open(host):
            yield provider, server


async def test_answers_come_in_the_order_of_the_prompts(wire):
    usage = {"prompt_tokens": 4, "completion_tokens": 6}
    told = answer(wire, "A", "B", "C", order=(2, 0, 1), usage=usage)
    async with opened(wire, told) as (provider, server):
        asked = calls("a", "b", "c", temperature=0)
        first, second, third = await provider.together(asked)
    assert [one.text for one in (first, second, third)] == ["A", "B", "C"]
    assert server.requests[0].path == "/completions"
    sent = {"model": "m", "prompt": ["a", "b", "c"], "temperature": 0}
    assert server.requests[0].json() == sent
    assert all(call.attempt.sent is not None for call in asked)
    assert (first.usage.input_tokens, first.usage.output_tokens) == (4, 6)  # of all
    assert (second.usage, third.usage) == (None, None)


async def test_candidates_stay_with_their_prompt(wire):
    async with opened(wire, answer(wire, "a0", "a1", "b0", "b1")) as (provider, _):
        told = await provider.together(calls("a", "b", n=2))
    texts = [[one.message.parts[0].text for one in each.candidates] for each in told]
    assert texts == [["a0", "a1"], ["b0", "b1"]]


@pytest.mark.parametrize("texts", [(), ("A",), ("A", "B", "C")])
async def test_too_few_and_too_many(wire, texts):
    async with opened(wire, answer(wire, *texts)) as (provider, _):
        with pytest.raises(ProtocolError):
            await provider.together(calls("a", "b"))


async def test_an_error_is_that_of_all(wire):
    slow = wire.whole({"error": {"message": "slow"}}, 429)
    async with opened(wire, slow) as (provider, _):
        with pytest.raises(RateLimited, match="slow"):
            await provider.together(calls("a", "b"))


async def test_only_those_that_differ_in_their_prompts(wire):
    chat = Call(Generate(model="openai:m", messages=("hi",)))
    vector = Call(Embed(model="openai:m", inputs="a"))
    wrong = [
        [],
        [*calls("a"), chat],
        [*calls("a"), vector],
        [*calls("a"), *calls("b", seed=1)],
    ]
    async with opened(wire, answer(wire, "A")) as (provider, server):
        for asked in wrong:
            with pytest.raises(BadRequest):
                await provider.together(asked)
    assert server.requests == []
