"""Vectors, scores of documents, and tokens."""

from __future__ import annotations

import array
import base64
import json
from decimal import Decimal

import pytest

from llmmw.errors import BadRequest, LLMError, ProtocolError, UnsupportedFeature
from llmmw.flow import ranking
from llmmw.testing import Answer

pytestmark = pytest.mark.plugins

EMBEDS, RANKS = "embed-v4.0", "rerank-v3.5"


def vectors(*rows, billed=4):
    return {
        "id": "e-1",
        "embeddings": {"float": rows},
        "meta": {"billed_units": {"input_tokens": billed}},
    }


async def embedded(wire, told, inputs, model=EMBEDS, **parameters):
    async with wire.client(wire.whole(told), model=model) as (client, server):
        response = await client.embed(inputs, **parameters)
    return response, server.requests[0]


async def test_vectors(wire):
    response, sent = await embedded(wire, vectors([0.5, 1], [2, 3.5]), ["a", "b"], purpose="query")
    assert response.vectors == ((0.5, 1.0), (2.0, 3.5))
    assert (response.provider, response.model, response.id) == ("cohere", EMBEDS, "e-1")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (4, 0)
    assert response.warnings == ()
    assert sent.path == "/v2/embed"
    assert sent.json() == {
        "model": EMBEDS,
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
    }


async def test_purpose_and_size(wire):
    _, sent = await embedded(wire, vectors([1.0]), "a", purpose="document", dimensions=256)
    body = sent.json()
    assert (body["input_type"], body["output_dimension"]) == ("search_document", 256)
    response, sent = await embedded(wire, vectors([1.0]), "a")
    assert sent.json()["input_type"] == "search_document"
    assert "takes texts for documents" in response.warnings[0]
    extra = {"cohere": {"input_type": "clustering", "truncate": "NONE"}}
    response, sent = await embedded(wire, vectors([1.0]), "a", extra=extra)
    assert sent.json().items() >= extra["cohere"].items()
    assert response.warnings == ()
    with pytest.raises(UnsupportedFeature, match="dimensions=256"):
        await embedded(wire, vectors([1.0]), "a", model="embed-english-v3.0", dimensions=256)


async def test_many_inputs_are_several_requests(wire):
    async def answer(received):
        texts = received.json()["texts"]
        return wire.whole(vectors(*([float(text)] for text in texts), billed=len(texts)))

    inputs = [str(number) for number in range(200)]
    async with wire.client(answer, model=EMBEDS) as (client, server):
        response = await client.embed(inputs, purpose="document")
    assert [len(one.json()["texts"]) for one in server.requests] == [96, 96, 8]
    assert response.vectors == tuple((float(number),) for number in range(200))
    assert response.usage.input_tokens == 200


async def test_an_error_after_some_were_billed(wire):
    answers = [
        wire.whole(vectors(*[[1.0]] * 96)),
        wire.whole({"message": "no"}, status=400),
    ]
    async with wire.client(answers, model=EMBEDS) as (client, _):
        with pytest.raises(LLMError) as caught:
            await client.embed(["a"] * 97)
    assert caught.value.processed is True


async def test_other_types(wire):
    extra = {"cohere": {"embedding_types": ["int8", "binary"]}}
    told = {"embeddings": {"binary": [[7]], "int8": [[-1, 2]]}}
    response, _ = await embedded(wire, told, "a", extra=extra)
    assert response.vectors == ((-1.0, 2.0),)
    assert response.raw == [told]
    packed = base64.b64encode(array.array("f", [0.5, -1.0]).tobytes()).decode()
    extra = {"cohere": {"embedding_types": ["base64"]}}
    response, _ = await embedded(wire, {"embeddings": {"base64": [packed]}}, "a", extra=extra)
    assert response.vectors == ((0.5, -1.0),)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"embeddings": None},
        {"embeddings": {"float": [[1.0], [2.0]]}},
        {"embeddings": {"float": [[]]}},
        {"embeddings": {"float": [["x"]]}},
        {"embeddings": {"float": [{"1": 2.0}]}},
        {"embeddings": {"float": [[1e999]]}},
    ],
)
async def test_vectors_that_are_none(wire, told):
    with pytest.raises(ProtocolError):
        await embedded(wire, told, "a")


async def scored(wire, told, options, **parameters):
    async with wire.client(wire.whole(told), model=RANKS) as (client, server):
        response = await client.score("q", options, **parameters)
    return response, server.requests[0]


def results(*rows):
    found = [{"index": index, "relevance_score": score} for index, score in rows]
    return {"id": "k-1", "results": found, "meta": {"billed_units": {"search_units": 1}}}


async def test_a_rerank_is_a_score_for_each(wire):
    """In the order of the options, not in that of the host."""
    response, sent = await scored(wire, results((2, 0.9), (0, 0.5), (1, 0)), ["a", "b", "c"])
    assert response.scores == (0.5, 0.0, 0.9)
    assert response.best == 2
    assert sent.path == "/v2/rerank"
    assert sent.json() == {"model": RANKS, "query": "q", "documents": ["a", "b", "c"]}
    assert response.usage.input_tokens is None
    assert response.usage.raw["billed_units"] == {"search_units": 1}


async def test_reranks_that_are_none(wire):
    for told in (
        {},
        results((0, 0.5)),
        results((0, 0.5), (0, 0.6)),
        results((0, 0.5), (7, 0.6)),
        results((0, 0.5), (1, "x")),
    ):
        with pytest.raises(ProtocolError):
            await scored(wire, told, ["a", "b"])
    with pytest.raises(BadRequest, match="top_n"):
        await scored(wire, results(), ["a", "b"], extra={"cohere": {"top_n": 1}})
    _, sent = await scored(
        wire, results((0, 0.5)), ["a"], extra={"cohere": {"max_tokens_per_doc": 9}}
    )
    assert sent.json()["max_tokens_per_doc"] == 9


async def test_a_flow_ranks_by_it(wire):
    """The best few with their scores, by the builtin that all hosts have."""
    answer = wire.whole(results((2, 0.9), (0, 0.5), (1, 0)))
    async with wire.client(answer, model=RANKS) as (client, _):
        found = await client.run(ranking("q", ["a", "b", "c"], 2))
    assert (found.ranked, found.order, found.scores) == (["c", "a"], (2, 0), (0.5, 0.0, 0.9))


async def test_many_documents_are_several_requests(wire):
    async def answer(received):
        documents = received.json()["documents"]
        return wire.whole(results(*((n, float(one)) for n, one in enumerate(documents))))

    options = [str(number) for number in range(2_500)]
    async with wire.client(answer, model=RANKS) as (client, server):
        scores = await client.score("q", options)
    assert [len(one.json()["documents"]) for one in server.requests] == [1000, 1000, 500]
    assert scores.scores == tuple(map(float, range(2_500)))
    assert scores.best == 2_499


async def test_what_the_host_warns_of_is_passed_on(wire):
    meta = {"warnings": ["rerank-v3.5 goes away"]}
    response, _ = await scored(wire, results((0, 0.5)) | {"meta": meta}, ["a"])
    assert response.warnings == ("cohere warns: rerank-v3.5 goes away",)
    headers = {"X-API-Warning": "say input_type"}
    async with wire.client(wire.whole({"tokens": [1]}, **headers)) as (client, _):
        assert "warns: say input_type" in (await client.tokenize("a")).warnings[0]
    async with wire.client(wire.whole(wire.message("x"), **headers)) as (client, _):
        assert "warns: say input_type" in (await client.ask("a")).warnings[0]


async def test_tokens_both_ways(wire):
    answers = [
        wire.whole({"tokens": [8, 5], "token_strings": ["he", "y"]}),
        wire.whole({"text": "hey"}),
    ]
    async with wire.client(answers) as (client, server):
        tokens = await client.tokenize("hey")
        text = await client.detokenize([8, 5])
        assert (await client.tokenize("")).tokens == ()
        assert (await client.detokenize([])).text == ""
    assert (tokens.tokens, text.text) == ((8, 5), "hey")
    assert tokens.raw["token_strings"] == ["he", "y"]
    there, back = server.requests
    assert (there.path, back.path) == ("/v1/tokenize", "/v1/detokenize")
    assert there.json() == {"model": "command-a-reasoning-08-2025", "text": "hey"}
    assert back.json() == {"model": "command-a-reasoning-08-2025", "tokens": [8, 5]}
    async with wire.client([wire.whole({"tokens": [-1]}), wire.whole({})]) as (client, _):
        with pytest.raises(ProtocolError):
            await client.tokenize("hey")
        with pytest.raises(ProtocolError):
            await client.detokenize([1])
        with pytest.raises(BadRequest, match="65537 characters"):
            await client.tokenize("x" * 65_537)


async def test_counts(wire):
    async def answer(received) -> Answer:
        return wire.whole({"tokens": list(range(len(received.json()["text"].split())))})

    async with wire.client(answer) as (client, server):
        count = await client.count_tokens([("system", "be kind"), "hi you there"])
        assert count.tokens == 5
        assert "without what a template puts around" in count.warnings[0]
        long = await client.count_tokens(" ".join(["word"] * 30_000))
        with pytest.raises(UnsupportedFeature, match="tools in a count"):
            await client.count_tokens("hi", tools=[{"name": "f"}])
    assert long.tokens == 30_000
    texts = [json.loads(one.body)["text"] for one in server.requests[1:]]
    assert max(map(len, texts)) <= 65_536
    assert len(texts) == 3


async def test_what_a_model_is_not_for(wire):
    async with wire.client(wire.whole({})) as (client, server):
        with pytest.raises(UnsupportedFeature, match="does not answer Embed"):
            await client.embed("a")
        with pytest.raises(UnsupportedFeature, match="does not answer Score"):
            await client.score("a", ["b"])
        with pytest.raises(UnsupportedFeature, match="does not answer Generate"):
            await client.ask("a", model=f"cohere:{EMBEDS}")
        assert server.requests == []


PRICES = {"cohere:*": {"input": "2"}}


def metered(read, billed):
    told = {"tokens": {"input_tokens": read}, "billed_units": {"input_tokens": billed}}
    return {"embeddings": {"float": [[1.0]] * 96}, "meta": told}


async def test_vectors_cost_what_is_billed(wire):
    told = wire.whole(metered(read=900, billed=500))
    async with wire.client(told, model=EMBEDS, prices=PRICES) as (client, _):
        one = (await client.embed(["a"] * 96, purpose="query")).usage
        two = (await client.embed(["a"] * 192, purpose="query")).usage
    assert (one.input_tokens, one.cost) == (900, Decimal("0.001"))
    assert (two.input_tokens, two.output_tokens, two.cost) == (1800, 0, Decimal("0.002"))
    assert two.raw["billed_units"] == {"input_tokens": 1000}


async def test_searches_of_several_requests_are_summed(wire):
    rows = results(*((n, 0.5) for n in range(1_000)))
    async with wire.client(wire.whole(rows), model=RANKS) as (client, _):
        usage = (await client.score("q", ["a"] * 2_000)).usage
    assert usage.raw["billed_units"] == {"search_units": 2}
    assert (usage.input_tokens, usage.output_tokens, usage.cost) == (None, None, None)


async def test_images_in_place_of_texts(wire):
    """The host takes either; each image stands for one of the inputs."""
    images = ["data:image/png;base64,AA==", "data:image/png;base64,AQ=="]
    extra = {"cohere": {"images": images, "input_type": "image"}}
    response, sent = await embedded(wire, vectors([1.0], [2.0]), ["cat", "dog"], extra=extra)
    assert sent.json().items() >= extra["cohere"].items()
    assert "texts" not in sent.json()
    assert response.vectors == ((1.0,), (2.0,))
    for inputs, given in ((["a"], images), (["a"] * 97, images), (["a"], "x")):
        with pytest.raises(BadRequest, match="images: each stands for one of the inputs"):
            await embedded(wire, {}, inputs, extra={"cohere": {"images": given}})
