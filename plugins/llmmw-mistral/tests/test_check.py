"""What every provider must do."""

from __future__ import annotations

import json

import pytest

from llmmw import Embed, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm, so"}], "closed": True}
CALLS = [
    {"id": f"D681PevK{at}", "function": {"name": "f", "arguments": f'{{"x": "ü", "at": {at}}}'}}
    for at in range(2)
]


def exchange(wire, message, deltas, finish, request=None) -> Exchange:
    """The same answer whole and streamed."""
    return Exchange(
        request=request or Generate(messages=["hello"]),
        body=json.dumps(wire.chat({"role": "assistant", **message}, finish=finish)).encode(),
        stream=wire.sse(*wire.pieces(*deltas, finish=finish)),
    )


async def test_every_kind_of_answer(wire):
    halves = [{**THOUGHT, "thinking": [{"type": "text", "text": text}]} for text in ("hm,", " so")]
    content = [THOUGHT, {"type": "text", "text": "Hi, grün."}]
    calls = [{**call, "index": at} for at, call in enumerate(CALLS)]
    cut = [
        {"tool_calls": [{**call, "function": {**call["function"], "arguments": text}}]}
        for call in calls
        for text in (call["function"]["arguments"][:5], call["function"]["arguments"][5:])
    ]
    rows = [{"index": at, "embedding": [0.5, at]} for at in range(2)]
    exchanges = [
        exchange(wire, {"content": "Hi, grün."}, ["Hi, ", "grün."], "stop"),
        exchange(wire, {"content": content}, [[halves[0]], [halves[1]], "Hi, ", "grün."], "length"),
        exchange(wire, {"content": "", "tool_calls": calls}, cut, "tool_calls"),
        exchange(wire, {"content": "x + 1"}, ["x +", " 1"], "stop", Generate(prompt="def f(x): ")),
        Exchange(
            request=Embed(inputs=["a", "b"]),
            body=json.dumps({"data": rows, "usage": {"prompt_tokens": 4}}).encode(),
        ),
    ]
    await check_provider(lambda url, key: wire.provider(url, api_key=key), exchanges)
