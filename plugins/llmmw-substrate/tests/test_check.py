"""What every provider must do."""

from __future__ import annotations

import json

import pytest

from llmmw import Embed, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins


def whole(result):
    return json.dumps({"data": {"answer": result}}).encode()


def exchange(wire, result, *deltas):
    return Exchange(
        request=Generate(messages=["hello"]),
        body=whole(result),
        stream=wire.sse(*deltas, *wire.ended(result)),
    )


async def test_a_model_by_its_name(wire):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key)

    two = wire.result("Hi, grün.", "Ho")
    pieces = [wire.choice("Hi"), wire.choice("H", 1), wire.choice(", grün."), wire.choice("o", 1)]
    exchanges = [exchange(wire, wire.result("Hi")), exchange(wire, two, *pieces)]
    await check_provider(make, exchanges, model="Llama3Instruct8B")


@pytest.mark.parametrize("model", ["gpt-4o", "of-the-future"])
async def test_compute_text(wire, model):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key)

    pieces = [wire.delta({"text": "Hi"}), wire.delta({"text": ", grün."}, "nodeId")]
    await check_provider(make, exchange(wire, {"text": "Hi, grün."}, *pieces), model=model)


async def test_vectors(wire):
    def make(base_url, key):
        return wire.provider(base_url, api_key=key)

    result = {"embeddings": [{"vector": [0.5, 1], "doc_id": None}, {"vector": [2, 0.25]}]}
    one = Exchange(request=Embed(inputs=("a", "b")), body=whole(result))
    await check_provider(make, one, model="jina-v2")
