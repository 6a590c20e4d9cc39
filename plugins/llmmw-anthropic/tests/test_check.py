"""What every provider must do."""

from __future__ import annotations

import json

import pytest

from llmmw import CountTokens, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

THOUGHT = {"type": "thinking", "thinking": "hm, so", "signature": "c2ln"}
SEALED = {"type": "redacted_thinking", "data": "SEALED"}
TEXT = {"type": "text", "text": "Hi, grün."}
CALLS = [
    {"type": "tool_use", "id": f"toolu_{at}", "name": "f", "input": {"x": "ü", "at": at}}
    for at in range(2)
]


def exchange(wire, stop, *content) -> Exchange:
    """The same answer whole and streamed, each block in two pieces."""
    events = [wire.start(usage={"input_tokens": 10, "output_tokens": 1}), {"type": "ping"}]
    for index, block in enumerate(content):
        begun, pieces = in_pieces(block)
        events += wire.block(index, begun, *pieces)
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(wire.message(*content, stop=stop)).encode(),
        stream=wire.sse(*events, *wire.end(stop, usage={"output_tokens": 5})),
    )


def in_pieces(block):
    if block["type"] == "text":
        return block | {"text": ""}, [block["text"][:3], block["text"][3:]]
    if block["type"] == "thinking":
        thought = [{"type": "thinking_delta", "thinking": one} for one in ("hm,", " so")]
        sign = {"type": "signature_delta", "signature": block["signature"]}
        return block | {"thinking": "", "signature": ""}, [*thought, sign]
    if block["type"] == "tool_use":
        text = json.dumps(block["input"], ensure_ascii=False)
        halves = ("", text[:4], text[4:])
        pieces = [{"type": "input_json_delta", "partial_json": one} for one in halves]
        return block | {"input": {}}, pieces
    return block, []


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "of-another-host"])
async def test_messages(wire, model):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key)

    exchanges = [
        exchange(wire, "end_turn", THOUGHT, SEALED, TEXT),
        exchange(wire, "tool_use", TEXT, *CALLS),
        Exchange(request=CountTokens(messages=["hello"]), body=b'{"input_tokens": 14}'),
    ]
    await check_provider(make, exchanges, model=model)


async def test_with_a_token(wire):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key, auth="token")

    await check_provider(make, exchange(wire, "end_turn", TEXT))
