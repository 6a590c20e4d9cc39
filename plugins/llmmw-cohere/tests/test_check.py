"""What every provider must do: for answers, plans, citations, vectors and counts."""

from __future__ import annotations

import json

import pytest

from llmmw import CountTokens, Embed, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

SOURCE = {
    "start": 0,
    "end": 2,
    "text": "Hi",
    "sources": [{"type": "document", "id": "doc:0", "document": {"title": "t"}}],
}


def said(wire) -> Exchange:
    thinking = {"type": "thinking", "thinking": "hm"}
    stream = [
        wire.start(),
        wire.delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
        wire.delta("content-delta", 0, content={"thinking": "hm"}),
        {"type": "content-end", "index": 0},
        wire.delta("content-start", 1, content={"type": "text", "text": ""}),
        wire.delta("content-delta", 1, content={"text": "Hi, "}),
        wire.delta("content-delta", 1, content={"text": "grün."}),
        {"type": "content-end", "index": 1},
        wire.delta("citation-start", 0, citations=SOURCE),
        {"type": "citation-end", "index": 0},
        wire.end(),
    ]
    whole = wire.message(thinking, "Hi, grün.", citations=[SOURCE])
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(whole).encode(),
        stream=wire.sse(*stream),
    )


def called(wire) -> Exchange:
    one, other = wire.call(arguments='{"x": "ü"}'), wire.call("c-2", arguments="null")
    stream = [
        wire.start(),
        wire.delta("tool-plan-delta", tool_plan="I "),
        wire.delta("tool-plan-delta", tool_plan="will."),
        wire.delta("tool-call-start", 0, tool_calls=wire.call(arguments="")),
        wire.delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"x": '}}),
        wire.delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '"ü"}'}}),
        {"type": "tool-call-end", "index": 0},
        wire.delta("tool-call-start", 1, tool_calls=wire.call("c-2", arguments="")),
        {"type": "tool-call-end", "index": 1},
        wire.end("TOOL_CALL"),
    ]
    whole = wire.message(finish="TOOL_CALL", tool_plan="I will.", tool_calls=[one, other])
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(whole).encode(),
        stream=wire.sse(*stream, end="\r\n"),
    )


async def test_answers(wire):
    exchanges = [
        said(wire),
        called(wire),
        Exchange(request=CountTokens(messages=["hello"]), body=b'{"tokens": [5, 7]}'),
    ]
    await check_provider(
        lambda url, key: wire.provider(url, api_key=key),
        exchanges,
        model="command-a-reasoning-08-2025",
    )


async def test_vectors(wire):
    told = Exchange(
        request=Embed(inputs=["hello"]), body=b'{"embeddings": {"float": [[0.5, 1.0]]}}'
    )
    await check_provider(lambda url, key: wire.provider(url, api_key=key), told, model="embed-v4.0")
