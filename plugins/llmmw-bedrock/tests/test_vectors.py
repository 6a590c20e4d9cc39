"""Vectors, and counts of tokens."""

from __future__ import annotations

import pytest

from llmmw import Message, ToolCallPart
from llmmw.errors import ProtocolError, RateLimited, UnsupportedFeature

pytestmark = pytest.mark.plugins

TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-english-v3"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"


async def embedded(wire, answers, texts, *, model=TITAN, **more):
    async with wire.client(answers, model=model) as (client, server):
        response = await client.embed(texts, **more)
    return response, server.requests


async def test_titan_takes_one_text_at_a_time(wire):
    answers = [wire.whole({"embedding": [at, 1], "inputTextTokenCount": 3 + at}) for at in range(2)]
    response, sent = await embedded(wire, answers, ["a", "b"], dimensions=256)
    assert response.vectors == ((0.0, 1.0), (1.0, 1.0))
    assert (response.model, response.usage.input_tokens) == (TITAN, 7)
    assert [one.json() for one in sent] == [
        {"inputText": text, "dimensions": 256} for text in ("a", "b")
    ]
    assert sent[0].path == "/model/amazon.titan-embed-text-v2%3A0/invoke"


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("amazon.titan-embed-image-v1", {"embeddingConfig": {"outputEmbeddingLength": 256}}),
        ("amazon.titan-embed-text-v2:0", {"dimensions": 256}),
    ],
)
async def test_sizes_of_titan(wire, model, body):
    answer = wire.whole({"embedding": [1]}, x_amzn_bedrock_input_token_count="4")
    response, (sent,) = await embedded(wire, answer, "a", model=model, dimensions=256)
    assert sent.json() == {"inputText": "a"} | body
    assert response.usage.input_tokens == 4


async def test_what_titan_can_not_honour(wire):
    answer = wire.whole({"embedding": [1]})
    old = "amazon.titan-embed-text-v1"
    with pytest.raises(UnsupportedFeature, match="dimensions=256"):
        await embedded(wire, answer, "a", model=old, dimensions=256)
    response, (sent,) = await embedded(
        wire, answer, "a", model=old, dimensions=256, purpose="query", unsupported="drop"
    )
    assert sent.json() == {"inputText": "a"}
    assert response.usage is None
    assert response.warnings == (
        "bedrock knows no purpose of vectors: left out",
        "bedrock can't honour dimensions=256: dropped",
    )


@pytest.mark.parametrize(
    ("purpose", "told"),
    [("query", "search_query"), ("document", "search_document"), (None, "search_document")],
)
@pytest.mark.parametrize("typed", [False, True])
async def test_cohere_takes_many(wire, purpose, told, typed):
    def whole(count):
        rows = [[0.5]] * count
        return wire.whole({"embeddings": {"float": rows} if typed else rows})

    texts = [str(number) for number in range(100)]
    extra = {"bedrock": {"truncate": "END"}}
    response, sent = await embedded(
        wire, [whole(96), whole(4)], texts, model=COHERE, purpose=purpose, extra=extra
    )
    assert len(response.vectors) == 100
    assert [text for one in sent for text in one.json()["texts"]] == texts
    assert all(one.json()["input_type"] == told for one in sent)
    assert all(one.json()["truncate"] == "END" for one in sent)
    limited = wire.whole({"message": "slow"}, 429)
    with pytest.raises(RateLimited) as caught:
        await embedded(wire, [whole(96), limited], texts, model=COHERE)
    assert caught.value.processed


async def test_nova(wire):
    answer = wire.whole(
        {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5, 1]}]},
        x_amzn_bedrock_input_token_count="18",
    )
    response, (sent,) = await embedded(
        wire, answer, "a", model=NOVA, dimensions=256, purpose="query"
    )
    assert response.vectors == ((0.5, 1.0),)
    assert response.usage.input_tokens == 18
    params = {"embeddingPurpose": "GENERIC_RETRIEVAL", "embeddingDimension": 256}
    params["text"] = {"value": "a", "truncationMode": "NONE"}
    assert sent.json() == {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}


async def test_vectors_of_another_kind_of_model(wire):
    with pytest.raises(UnsupportedFeature, match="Embed"):
        await embedded(wire, wire.whole({}), "a", model="meta.llama3-3-70b-instruct-v1:0")


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"embedding": None},
        {"embedding": []},
        {"embedding": "12"},
        {"embedding": ["x"]},
        {"embedding": [1e999]},
        {"embeddings": [[1], [2]]},
        {"embeddings": {"int8": [[1]]}},
        {"embeddings": [{"embedding": [None]}]},
        [],
    ],
)
async def test_what_is_no_vector(wire, told):
    with pytest.raises(ProtocolError):
        await embedded(wire, wire.whole(told), "a")


async def test_tokens_are_counted_by_the_host(wire):
    """The name without a region, since profiles count nothing."""
    answer = wire.whole({"inputTokens": 14}, x_amzn_requestid="req-3")
    extra = {"bedrock": {"additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}}
    async with wire.client(answer) as (client, server):
        told = await client.count_tokens(
            "hi", system="Be brief.", tools=[{"name": "f"}], extra=extra
        )
    assert (told.tokens, told.provider, told.request_id) == (14, "bedrock", "req-3")
    (received,) = server.requests
    path = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"
    assert received.path == path
    schema = {"json": {"type": "object", "properties": {}}}
    told = {
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": schema}}]},
    }
    assert received.json() == {"input": {"converse": told | extra["bedrock"]}}


async def test_tools_of_a_history_are_declared_where_tokens_are_counted(wire):
    asked = Message("assistant", [ToolCallPart(id="t", name="f")])
    async with wire.client(wire.whole({"inputTokens": 1})) as (client, server):
        await client.count_tokens(["hi", asked])
    config = server.requests[0].json()["input"]["converse"]["toolConfig"]
    assert config["tools"][0]["toolSpec"]["name"] == "f"


@pytest.mark.parametrize("told", [{}, {"inputTokens": None}, {"inputTokens": -1}, [], "x"])
async def test_what_is_no_number(wire, told):
    async with wire.client(wire.whole(told)) as (client, _):
        with pytest.raises(ProtocolError):
            await client.count_tokens("hi")
