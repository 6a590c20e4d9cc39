"""What every provider must do."""

from __future__ import annotations

import json

import pytest

from llmmw import Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

TEXT = "Hi, grün."


def completions(wire) -> list[Exchange]:
    """The same answer whole and streamed; one that was cut, one with log-probabilities."""
    tokens = [{"token": one, "log_prob": -0.5} for one in ("Hi, ", "grün.")]
    pieces = [
        wire.piece("Hi, ", 1, token=tokens[0]),
        wire.piece("grün.", 2, token=tokens[1], finished=True),
    ]
    asked = [{}, {"max_output_tokens": 2}, {"logprobs": 0}]
    return [
        Exchange(
            request=Generate(prompt="hello", **fields),
            body=json.dumps(wire.output(TEXT, tokens=tokens)).encode(),
            stream=wire.sse(*pieces),
        )
        for fields in asked
    ]


def chats(wire) -> list[Exchange]:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    delta = {"tool_calls": [{"index": 0, **call}]}
    start, *_, end, usage = wire.chunks("x", finish="tool_calls")
    start = start | {"choices": [{"index": 0, "delta": delta}]}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return [
        Exchange(
            request=Generate(messages=["hello"]),
            body=json.dumps(wire.chat(TEXT)).encode(),
            stream=wire.sse(*wire.chunks("Hi, ", "grün.")),
        ),
        Exchange(
            request=Generate(messages=["hello"]),
            body=json.dumps(wire.chat(finish="tool_calls", message=message)).encode(),
            stream=wire.sse(start, end, usage),
        ),
    ]


async def test_both_apis(wire):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key)

    await check_provider(make, [*chats(wire), *completions(wire)])


async def test_with_a_bearer(wire):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key, auth="bearer")

    await check_provider(make, [chats(wire)[0], completions(wire)[0]])


async def test_prompts_by_the_second_api(wire):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key, api="v2")

    choice = {"index": 0, "text": TEXT, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    told = {"id": "cmpl-1", "created": 7, "model": "m", "choices": [choice], "usage": usage}
    exchange = Exchange(
        request=Generate(prompt="hello"), body=json.dumps(told).encode(), stream=wire.sse(told)
    )
    await check_provider(make, [chats(wire)[0], exchange])
