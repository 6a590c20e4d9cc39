"""What every provider must do."""

from __future__ import annotations

import json

import pytest

from llmmw import CountTokens, Embed, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

EVENTS = "application/vnd.amazon.eventstream"
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "hm, so", "signature": "c2ln"}}}
SEALED = {"reasoningContent": {"redactedContent": "U0VBTEVE"}}
TEXT = {"text": "Hi, grün."}
CALLS = [
    {"toolUse": {"toolUseId": f"tooluse_{at}", "name": "f", "input": {"x": "ü", "at": at}}}
    for at in range(2)
]


def exchange(wire, stop, *content) -> Exchange:
    """The same answer whole and streamed, each block in two pieces."""
    events = [wire.start()]
    for index, block in enumerate(content):
        begun, pieces = in_pieces(block)
        events += wire.block(index, *pieces, start=begun)
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(wire.message(*content, stop=stop)).encode(),
        stream=wire.frames(*events, *wire.end(stop)),
        stream_type=EVENTS,
    )


def in_pieces(block):
    if "text" in block:
        return None, ["", block["text"][:3], block["text"][3:]]
    if block is THOUGHT:
        pieces = [{"text": "hm,"}, {"text": " so"}, {"signature": "c2ln"}]
        return None, [{"reasoningContent": piece} for piece in pieces]
    if "toolUse" in block:
        call = dict(block["toolUse"])
        text = json.dumps(call.pop("input"), ensure_ascii=False)
        pieces = [{"toolUse": {"input": one}} for one in ("", text[:4], text[4:])]
        return {"toolUse": call}, pieces
    return None, [block]


@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "of-another"])
async def test_converse(wire, model):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key)

    exchanges = [
        exchange(wire, "end_turn", THOUGHT, SEALED, TEXT),
        exchange(wire, "tool_use", TEXT, *CALLS),
        Exchange(request=CountTokens(messages=["hello"]), body=b'{"inputTokens": 14}'),
    ]
    await check_provider(make, exchanges, model=model)


async def test_signed(wire):
    def make(base_url, key):
        return wire.signing(base_url, session_token=key)

    await check_provider(make, exchange(wire, "end_turn", TEXT), model="us.amazon.nova-lite-v1:0")


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("amazon.titan-embed-text-v2:0", b'{"embedding": [0.5, 1], "inputTextTokenCount": 3}'),
        ("cohere.embed-english-v3", b'{"embeddings": [[0.5, 1]]}'),
        ("amazon.nova-2-multimodal-embeddings-v1:0", b'{"embeddings": [{"embedding": [0.5, 1]}]}'),
    ],
)
async def test_vectors(wire, model, body):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key)

    await check_provider(make, Exchange(request=Embed(inputs=["x"]), body=body), model=model)
