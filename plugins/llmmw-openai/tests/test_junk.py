"""Junk at each place of an answer: half the world's servers have some field of another type."""

from __future__ import annotations

import pytest
from llmmw_openai._answer import Answer

from llmmw import Call, Generate
from llmmw.errors import LLMError
from llmmw.plugin import ResponseBuilder

pytestmark = pytest.mark.plugins

RICH = {
    "id": "c",
    "model": "m",
    "created": 7,
    "x_groq": {"usage": {"prompt_tokens": 1}},
    "usage": {"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 1}, "cost": 1},
    "choices": [
        {
            "index": 0,
            "text": "t",
            "message": {
                "content": [{"text": "a"}, {"thinking": [{"text": "b"}]}],
                "reasoning": "r",
                "reasoning_details": [{"index": 0, "text": "d", "data": "e"}, {"text": "d"}],
                "refusal": "no",
                "annotations": [{"url_citation": {"url": "u", "start_index": 1, "title": "t"}}],
                "images": [{"image_url": {"url": "data:image/png;base64,cG5n"}}],
                "audio": {"id": "a", "data": "YXU="},
                "tool_calls": [
                    {"index": 0, "id": "i", "function": {"name": "f", "arguments": "{}"}},
                    {"type": "custom", "custom": {"name": "g", "input": "x"}},
                    {"extra_content": {"google": {}}, "function": {"name": "h"}},
                ],
                "function_call": {"name": "k", "arguments": "{}"},
            },
            "logprobs": {
                "content": [{"token": "t", "logprob": 0, "top_logprobs": [{"token": "t"}]}],
                "refusal": [{"token": "t", "logprob": 0}],
                "tokens": ["t"],
                "token_logprobs": [0],
                "top_logprobs": [{"t": 0}],
            },
            "finish_reason": "stop",
            "stop_reason": "x",
            "native_finish_reason": "y",
        }
    ],
}
JUNK = [None, True, -1, 10**400, 1e999, "", "x", "null", "data:,", [], [None], [[1]], {}, {"a": 1}]


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


async def test_whatever_a_host_sends_is_an_answer_or_an_error():
    """Never another exception."""
    request = Generate(messages=("hi",), logprobs=1)
    outcomes = {"answer": 0, "error": 0}
    for data in [RICH, *broken(RICH)]:
        answer = Answer(ResponseBuilder(Call(request), "x"), "x", 1)
        try:
            if isinstance(data, dict):
                await answer.take(data)
            assert (await answer.finish()).finish is not None
            outcomes["answer"] += 1
        except LLMError:
            outcomes["error"] += 1
    assert min(outcomes.values()) > 10
    assert sum(outcomes.values()) > 800
