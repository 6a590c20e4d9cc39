"""Vectors."""

from __future__ import annotations

import pytest

from llmmw.errors import ContextWindowExceeded, ProtocolError, UnsupportedFeature

pytestmark = pytest.mark.plugins

TOLD = {
    "model": "all-minilm",
    "embeddings": [[0.5, 1.0], [0.25, 2]],
    "total_duration": 14143917,
    "prompt_eval_count": 8,
}


async def embed(wire, told=TOLD, *, status=200, inputs=("a", "b"), options=None, **fields):
    answer = wire.whole(told, status)
    async with wire.client(answer, model="all-minilm", **(options or {})) as (client, server):
        response = await client.embed(inputs, **fields)
    (received,) = server.requests
    assert received.path == "/api/embed"
    return response, received.json()


async def test_one_for_each_input(wire):
    told, body = await embed(wire)
    assert body == {"model": "all-minilm", "input": ["a", "b"], "truncate": False}
    assert told.vectors == ((0.5, 1.0), (0.25, 2.0))
    assert (told.usage.input_tokens, told.usage.output_tokens) == (8, 0)
    assert told.usage.raw["total_duration"] == 14143917
    assert told.model == "all-minilm"


async def test_fields(wire):
    options = {"options": {"num_ctx": 512}, "keep_alive": -1}
    extra = {"ollama": {"truncate": True}}
    _, body = await embed(wire, options=options, dimensions=2, extra=extra)
    assert body["options"] == {"num_ctx": 512}
    assert (body["keep_alive"], body["truncate"], body["dimensions"]) == (-1, True, 2)


async def test_what_is_not_honoured(wire):
    with pytest.raises(UnsupportedFeature, match="the purpose of an embedding"):
        await embed(wire, purpose="query")
    told, _ = await embed(wire, purpose="query", unsupported="drop")
    assert len(told.warnings) == 1
    with pytest.raises(UnsupportedFeature, match="dimensions=1: its vectors have 2"):
        await embed(wire, dimensions=1)


@pytest.mark.parametrize(
    "rows", [None, [], [[1.0]], [[1.0], []], [[1.0], ["x"]], [[1.0], [1e999]], [[1.0], None], {}]
)
async def test_what_is_no_vector(wire, rows):
    with pytest.raises(ProtocolError):
        await embed(wire, {"embeddings": rows})


async def test_a_text_that_is_too_long(wire):
    """It is refused, not cut."""
    said = {"error": "the input length exceeds the context length"}
    with pytest.raises(ContextWindowExceeded):
        await embed(wire, said, status=400)
