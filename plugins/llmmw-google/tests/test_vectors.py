"""Vectors, and counts of tokens."""

from __future__ import annotations

import pytest

from llmmw.errors import ProtocolError, RateLimited, UnsupportedFeature

pytestmark = pytest.mark.plugins

EMBEDS = "gemini-embedding-001"


async def embedded(wire, answers, texts, *, host="google", model=EMBEDS, **more):
    async with wire.client(answers, host, model=model) as (client, server):
        response = await client.embed(texts, **more)
    return response, server.requests


async def test_vectors_by_key(wire):
    told = {"embeddings": [{"values": [1, 2]}, {"values": [0.5, -1]}]}
    response, (sent,) = await embedded(
        wire, wire.whole(told), ["a", "b"], dimensions=2, purpose="query"
    )
    assert response.vectors == ((1.0, 2.0), (0.5, -1.0))
    assert (response.model, response.usage) == (EMBEDS, None)
    assert sent.path == f"/models/{EMBEDS}:batchEmbedContents"
    assert sent.json() == {
        "requests": [
            {
                "model": f"models/{EMBEDS}",
                "content": {"parts": [{"text": text}]},
                "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 2,
            }
            for text in ("a", "b")
        ]
    }


@pytest.mark.parametrize(
    ("purpose", "begin"),
    [
        ("query", "task: search result | query: "),
        ("document", "title: none | text: "),
        (None, ""),
    ],
)
async def test_models_that_read_the_purpose_in_the_text(wire, purpose, begin):
    told = wire.whole({"embeddings": [{"values": [1]}]})
    _, (sent,) = await embedded(wire, told, "a", model="gemini-embedding-2", purpose=purpose)
    (row,) = sent.json()["requests"]
    assert row == {
        "model": "models/gemini-embedding-2",
        "content": {"parts": [{"text": f"{begin}a"}]},
    }


async def test_many_texts_are_several_requests(wire):
    def whole(count):
        return wire.whole({"embeddings": [{"values": [1]}] * count})

    texts = [str(number) for number in range(250)]
    response, sent = await embedded(wire, [whole(100), whole(100), whole(50)], texts)
    assert len(response.vectors) == 250
    rows = [row for one in sent for row in one.json()["requests"]]
    assert [row["content"]["parts"][0]["text"] for row in rows] == texts
    limited = wire.whole(wire.error(429, "RESOURCE_EXHAUSTED"), status=429)
    with pytest.raises(RateLimited) as caught:
        await embedded(wire, [whole(100), limited], texts)
    assert caught.value.processed


async def test_vectors_on_vertex(wire):
    def prediction(value, tokens):
        statistics = {"token_count": tokens, "truncated": False}
        return {"embeddings": {"values": [value], "statistics": statistics}}

    told = {"predictions": [prediction(1, 3), prediction(2, 4)]}
    response, (sent,) = await embedded(
        wire,
        wire.whole(told),
        ["a", "b"],
        host="vertex",
        model="text-embedding-005",
        purpose="document",
        dimensions=1,
    )
    assert response.vectors == ((1.0,), (2.0,))
    assert response.usage.input_tokens == 7
    assert sent.path.endswith("/publishers/google/models/text-embedding-005:predict")
    rows = [{"content": text, "task_type": "RETRIEVAL_DOCUMENT"} for text in ("a", "b")]
    assert sent.json() == {"instances": rows, "parameters": {"outputDimensionality": 1}}
    one = [wire.whole({"predictions": [prediction(n, n)]}) for n in (1, 2)]
    response, sent = await embedded(wire, one, ["a", "b"], host="vertex")
    assert response.vectors == ((1.0,), (2.0,))  # a text at a time
    assert response.usage.input_tokens == 3
    assert [row.json()["instances"] for row in sent] == [[{"content": "a"}], [{"content": "b"}]]


async def test_newer_vectors_on_vertex(wire):
    told = {"embedding": {"values": [1]}, "usageMetadata": {"promptTokenCount": 5}}
    response, (sent,) = await embedded(
        wire, wire.whole(told), "a", host="vertex", model="gemini-embedding-2"
    )
    assert sent.path.endswith("gemini-embedding-2:embedContent")
    assert sent.json() == {"content": {"parts": [{"text": "a"}]}}
    assert (response.vectors, response.usage.input_tokens) == (((1.0,),), 5)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"embeddings": {}},
        {"embeddings": []},
        {"embeddings": [{"values": [1]}, {"values": [1]}]},
        {"embeddings": [{"values": []}]},
        {"embeddings": [{"values": ["x"]}]},
        {"embeddings": [{"values": None}]},
        {"embeddings": [7]},
        {"embedding": None},
        {"predictions": [{"embeddings": []}]},
    ],
)
async def test_vectors_that_are_none(wire, told):
    with pytest.raises(ProtocolError):
        await embedded(wire, wire.whole(told), "a")


async def counted(wire, told, host="google", **more):
    async with wire.client(wire.whole(told), host) as (client, server):
        response = await client.count_tokens("hi", **more)
    return response, server.requests[0]


async def test_counts(wire):
    response, sent = await counted(wire, {"totalTokens": 13})
    assert (response.tokens, response.provider) == (13, "google")
    assert sent.path == "/models/gemini-3-flash:countTokens"
    conversation = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert sent.json() == conversation
    full = {"system": "s", "tools": [{"name": "f"}]}
    told = conversation | {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
    }
    _, sent = await counted(wire, {"totalTokens": 13}, **full)
    inner = {"model": "models/gemini-3-flash", **told}
    assert sent.json() == {"generateContentRequest": inner}
    response, sent = await counted(wire, {}, "vertex", **full)
    assert sent.json() == told
    assert response.tokens == 0  # a count of zero is left out
    with pytest.raises(ProtocolError, match="count of tokens"):
        await counted(wire, {"totalTokens": "many"})


async def test_what_a_model_is_not_for(wire):
    async with wire.client(wire.whole({})) as (client, server):
        with pytest.raises(UnsupportedFeature, match="does not answer Embed"):
            await client.embed("a")
        with pytest.raises(UnsupportedFeature, match="does not answer Generate"):
            await client.ask("a", model=f"google:{EMBEDS}")
        with pytest.raises(UnsupportedFeature, match="Score"):
            await client.score("a", ["b"])
        assert server.requests == []
