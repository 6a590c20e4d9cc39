"""What every provider must do: with a key and on Vertex, in both framings, and for vectors."""

from __future__ import annotations

import json

import pytest

from llmmw import CountTokens, Embed, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

SIGN = {"thoughtSignature": "c2ln"}
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
SAID = [
    {"text": "hm", "thought": True},
    {"text": "Hi, "},
    {"text": "grün."},
    {"text": "", **SIGN},
]
CALLED = [
    {"functionCall": {"name": "f", "id": "1", "args": {"x": "ü"}}, **SIGN},
    {"functionCall": {"name": "f", "id": "2", "args": {"x": "ö"}}},
]


def exchange(wire, parts, framing) -> Exchange:
    """The same answer whole and streamed, part by part."""
    rows = [wire.piece(one) for one in parts] + [wire.piece(finish="STOP", usageMetadata=USAGE)]
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(wire.piece(*parts, finish="STOP", usageMetadata=USAGE)).encode(),
        stream=wire.sse(*rows) if framing == "events" else wire.array(*rows),
        stream_type="text/event-stream" if framing == "events" else "application/json",
    )


def maker(wire, host):
    def make(base_url, key):
        named = {"token": key} if host == "vertex" else {"api_key": key}
        return wire.provider(base_url, host, **named)

    return make


@pytest.mark.parametrize(
    ("host", "framing"), [("google", "events"), ("google", "array"), ("vertex", "events")]
)
async def test_answers(wire, host, framing):
    exchanges = [
        exchange(wire, SAID, framing),
        exchange(wire, CALLED, framing),
        Exchange(request=CountTokens(messages=["hello"]), body=b'{"totalTokens": 14}'),
    ]
    await check_provider(maker(wire, host), exchanges, model="gemini-2.5-flash")


VECTORS = {
    "google": {"embeddings": [{"values": [0.5, 1.0]}]},
    "vertex": {"predictions": [{"embeddings": {"values": [0.5, 1.0]}}]},
}


@pytest.mark.parametrize("host", VECTORS)
async def test_vectors(wire, host):
    told = Exchange(request=Embed(inputs=["hello"]), body=json.dumps(VECTORS[host]).encode())
    await check_provider(maker(wire, host), told, model="gemini-embedding-001")
