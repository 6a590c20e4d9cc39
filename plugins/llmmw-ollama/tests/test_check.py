"""What every provider must do: for conversations, for prompts, and for vectors."""

from __future__ import annotations

import json

import pytest

from llmmw import Embed, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

CALLS = [
    {"id": "1", "function": {"index": 0, "name": "f", "arguments": {"x": "ü"}}},
    {"id": "2", "function": {"index": 1, "name": "f", "arguments": {"x": "ö"}}},
]


def exchange(request, whole, *lines):
    """The same answer whole and line by line."""
    return Exchange(
        request=request,
        body=json.dumps(whole).encode(),
        stream=b"".join(json.dumps(one).encode() + b"\n" for one in lines),
        stream_type="application/x-ndjson",
    )


def exchanges(wire):
    asked = Generate(messages=["hello"])
    thought = wire.end(content="Hi, grün.")
    thought["message"]["thinking"] = "hm"
    yield exchange(
        asked,
        thought,
        wire.line(thinking="h"),
        wire.line(thinking="m"),
        wire.line("Hi, "),
        wire.line("grün."),
        wire.end(),
    )
    called = wire.end(content="I look.")
    called["message"]["tool_calls"] = CALLS
    yield exchange(
        asked, called, wire.line("I look."), *(wire.line(tool_calls=[c]) for c in CALLS), wire.end()
    )
    last = wire.text(done=True, done_reason="length", eval_count=2)
    yield exchange(
        Generate(prompt="hello"),
        last | {"response": "world"},
        wire.text("wor"),
        wire.text("ld"),
        last,
    )


def make(wire):
    return lambda base_url, key: wire.provider(base_url, api_key=key)


async def test_answers(wire):
    await check_provider(make(wire), list(exchanges(wire)), model="llama3.2")


async def test_vectors(wire):
    body = {"model": "m", "embeddings": [[0.5, 1.0]], "prompt_eval_count": 3}
    told = Exchange(request=Embed(inputs=["hello"]), body=json.dumps(body).encode())
    await check_provider(make(wire), told, model="all-minilm")
