"""Junk at each place of an answer, and bytes that went wrong on their way."""

from __future__ import annotations

import random

import pytest
from llmmw_ollama._answer import Answer

from llmmw import Call, Generate
from llmmw.errors import LLMError
from llmmw.plugin import ResponseBuilder
from llmmw.wire import NDJSONDecoder, loads

pytestmark = pytest.mark.plugins

CALL = {"id": "i", "function": {"index": 0, "name": "f", "arguments": {"a": [1]}}, "x": 1}
RICH = {
    "model": "m",
    "created_at": "2026-05-27T00:00:01Z",
    "message": {
        "role": "assistant",
        "content": "t",
        "thinking": "t",
        "tool_calls": [CALL],
        "images": ["AA=="],
        "novel": 1,
    },
    "logprobs": [
        {"token": "t", "logprob": -1, "top_logprobs": [{"token": "t", "logprob": -1}]},
    ],
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 1,
    "eval_count": 1,
    "prompt_eval_cached_count": 1,
    "total_duration": 1,
}
PROMPT = {"response": "t", "thinking": "t", "tool_calls": [CALL], "image": "AA==", "done": True}
JUNK = [None, True, -1, 10**400, 1e999, "", "x", "null", [], [None], [[1]], {}, {"a": 1}]


def broken(data):
    """`data` with junk at each place in turn."""
    yield from JUNK
    for key in (
        data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    ):
        for one in broken(data[key]):
            copy = data.copy()
            copy[key] = one
            yield copy


async def read(*lines, whole=False):
    request = Generate(messages=("hi",), logprobs=1)
    answer = Answer(ResponseBuilder(Call(request), "x"), 1)
    for line in lines:
        if isinstance(line, dict):
            await answer.take(line, whole=whole)
    return await answer.finish()


@pytest.mark.parametrize("good", [RICH, PROMPT])
async def test_whatever_a_host_sends_is_an_answer_or_an_error(good):
    """Never another exception; by itself, and after a good line."""
    outcomes = {"answer": 0, "error": 0}
    for data in [good, *broken(good)]:
        for lines, whole in (([data], True), ([{**good, "done": False}, data], False)):
            try:
                assert (await read(*lines, whole=whole)).finish is not None
                outcomes["answer"] += 1
            except LLMError:
                outcomes["error"] += 1
    assert outcomes["error"] > 1  # images that are none, and what is no answer
    assert outcomes["answer"] > 300


async def test_bytes_that_went_wrong(wire):
    """Cut, spliced, repeated, flipped: an answer or an error."""
    chance = random.Random(7)
    good = 0
    for _ in range(1_500):
        body = bytearray(wire.ndjson({**RICH, "done": False}, RICH))
        for _ in range(chance.randint(1, 3)):
            at, to = sorted(chance.randrange(len(body)) for _ in range(2))
            how = chance.randrange(4)
            if how == 0:
                del body[at : min(to, at + 40)]
            elif how == 1:
                body[at:at] = body[at : min(to, at + 40)]
            elif how == 2:
                body[at] ^= 1 << chance.randrange(8)
            else:
                del body[max(to, 1) :]
        try:
            await read(*(loads(line) for line in NDJSONDecoder().feed(bytes(body))))
            good += 1
        except LLMError:
            pass
    assert 50 < good < 1_450
