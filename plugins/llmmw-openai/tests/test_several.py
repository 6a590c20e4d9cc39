"""Several prompts in one legacy completion."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from llmmw import Batch, Generate, Together
from llmmw.errors import BadRequest, ProtocolError, RateLimited
from llmmw.plugin import Call
from llmmw.testing import open_host, open_server

pytestmark = pytest.mark.plugins


def asked(*prompts, **fields):
    requests = [Generate(model="openai:m", prompt=prompt, **fields) for prompt in prompts]
    return Call(Together(model="openai:m", requests=requests))


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
        call = asked("a", "b", "c", temperature=0)
        got = await provider(call)
    assert [one.text for one in got.answers] == ["A", "B", "C"]
    assert server.requests[0].path == "/completions"
    sent = {"model": "m", "prompt": ["a", "b", "c"], "temperature": 0}
    assert server.requests[0].json() == sent
    assert call.attempt.sent is not None
    assert (got.usage.input_tokens, got.usage.output_tokens) == (4, 6)


async def test_candidates_stay_with_their_prompt(wire):
    async with opened(wire, answer(wire, "a0", "a1", "b0", "b1")) as (provider, _):
        told = (await provider(asked("a", "b", n=2))).answers
    texts = [[one.message.parts[0].text for one in each.candidates] for each in told]
    assert texts == [["a0", "a1"], ["b0", "b1"]]


@pytest.mark.parametrize("texts", [(), ("A",), ("A", "B", "C")])
async def test_too_few_and_too_many(wire, texts):
    async with opened(wire, answer(wire, *texts)) as (provider, _):
        with pytest.raises(ProtocolError):
            await provider(asked("a", "b"))


@pytest.mark.parametrize("indexes", [(0, 0), (1, 1), (0, 2), (-1, 0), (0, True), (0, None)])
async def test_an_answer_out_of_its_place(wire, indexes):
    rows = [{"index": at, "text": "A", "finish_reason": "stop"} for at in indexes]
    async with opened(wire, wire.whole({"choices": rows})) as (provider, _):
        with pytest.raises(ProtocolError):
            await provider(asked("a", "b"))


@pytest.mark.parametrize("choices", [None, {}, "A", [None], [[]]])
async def test_what_is_no_list_of_answers(wire, choices):
    async with opened(wire, wire.whole({"choices": choices})) as (provider, _):
        with pytest.raises(ProtocolError):
            await provider(asked("a"))


async def test_an_error_is_that_of_all(wire):
    slow = {"error": {"message": "slow", "code": "rate_limit_exceeded"}}
    for told in (wire.whole(slow, 429), wire.whole(slow), answer(wire, "A", "B", **slow)):
        async with opened(wire, told) as (provider, _):
            with pytest.raises(RateLimited, match="slow"):
                await provider(asked("a", "b"))


async def test_each_ends_in_its_own_way(wire):
    """The wire has no error for one of them: how it ended is all that is told."""
    ends = ["stop", "content_filter", "error", "length"]
    rows = [{"index": at, "text": "", "finish_reason": end} for at, end in enumerate(ends)]
    async with opened(wire, wire.whole({"choices": rows})) as (provider, _):
        told = (await provider(asked("a", "b", "c", "d"))).answers
    assert [one.finish_reason for one in told] == ends


def test_only_prompts():
    with pytest.raises(BadRequest, match="with a prompt"):
        Together(requests=[Generate(messages=["hi"])])
    with pytest.raises(BadRequest, match="with a prompt"):
        Together(requests=[])


@pytest.mark.parametrize(
    ("preset", "several"),
    [("openai", True), ("azure", True), ("vllm", True), ("openai-responses", False),
     ("deepseek", False), ("groq", False)],
)  # fmt: skip
def test_who_takes_several(wire, preset, several):
    options = {"base_url": "https://x.openai.azure.com"} if preset == "azure" else {}
    url = options.get("base_url", "http://localhost:1")
    can = wire.provider(url, preset).capabilities("m")
    assert (Together in can.kinds) == several


def in_turn(wire):
    """A host that answers each prompt with itself, in capitals."""

    async def answers(received):
        prompts = received.json()["prompt"]
        prompts = [prompts] if isinstance(prompts, str) else prompts
        usage = {"prompt_tokens": 2 * len(prompts), "completion_tokens": 3 * len(prompts) + 1}
        return answer(wire, *[prompt.upper() for prompt in prompts], usage=usage)

    return answers


async def asked_at_once(client, *prompts, **fields):
    got = {}

    async def ask(prompt):
        got[prompt] = await client.ask(Generate(prompt=prompt, **fields))

    async with trio.open_nursery() as nursery:
        for prompt in prompts:
            nursery.start_soon(ask, prompt)
    return [got[prompt] for prompt in prompts]


async def test_calls_at_once_are_one_request(wire):
    async with wire.client(in_turn(wire), stack=[Batch()]) as (client, server):
        told = await asked_at_once(client, "a", "b", "c", temperature=0)
    assert [one.text for one in told] == ["A", "B", "C"]
    assert len(server.requests) == 1
    assert sum(one.usage.input_tokens for one in told) == 6
    assert sum(one.usage.output_tokens for one in told) == 10
    assert all(one.usage.output_tokens in {3, 4} for one in told)


async def test_a_host_that_takes_one_gets_one(wire):
    async with wire.client(in_turn(wire), "together", stack=[Batch()]) as (client, server):
        told = await asked_at_once(client, "a", "b", "c")
    assert [one.text for one in told] == ["A", "B", "C"]
    assert len(server.requests) == 3
