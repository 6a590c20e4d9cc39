"""Embeddings."""

from __future__ import annotations

import base64
import json
import struct

import pytest

from llmmw.errors import ProtocolError, RateLimited, ServerError, UnsupportedFeature

pytestmark = pytest.mark.plugins


def packed(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def told(*rows, **more):
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in rows]
    return {"object": "list", "model": "m-1", "data": data, **more}


async def embed(wire, answer, inputs=("a", "b"), preset="openai", **parameters):
    async with wire.client(answer, preset) as (client, server):
        return await client.embed(list(inputs), **parameters), server


async def test_numbers_and_base64_in_the_order_of_the_inputs(wire):
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    for rows in ([(1, [3, 4]), (0, [1, 2.5])], [(1, packed(3, 4)), (0, packed(1, 2.5))]):
        answer = wire.whole(told(*rows, usage=usage), x_request_id="r-1")
        response, server = await embed(wire, answer)
        assert response.vectors == ((1.0, 2.5), (3.0, 4.0))
        assert (response.model, response.provider) == ("m-1", "openai")
        assert response.spent[:2] == (4, 0)
        assert (response.request_id, response.http.status) == ("r-1", 200)
        assert server.requests[0].path == "/embeddings"
        assert server.requests[0].json()["encoding_format"] == "base64"


async def test_rows_without_an_index_are_in_order(wire):
    rows = [{"embedding": [1]}, {"embedding": [2], "index": None}]
    response, server = await embed(wire, wire.whole({"data": rows}), preset="together")
    assert response.vectors == ((1.0,), (2.0,))
    assert response.usage is None
    assert response.model == "m"
    assert "encoding_format" not in server.requests[0].json()


@pytest.mark.parametrize(
    "body",
    [
        told((0, [1])),
        told((0, [1]), (1, [1]), (2, [1])),
        told((0, [1]), (0, [1])),
        told((0, [1]), (5, [1])),
        told((0, [1]), ("x", [1])),
        told((0, [1]), (None, [1])),
        told((0, [1]), ([1], [1])),
        told((0, [1]), (True, [1])),
        told((0, [1]), (1, None)),
        told((0, [1]), (1, [None])),
        told((0, [1]), (1, ["x"])),
        told((0, [1]), (1, [10**400])),
        told((0, [1]), (1, "no base64")),
        told((0, [1]), (1, "é")),
        told((0, [1]), (1, [1.0, float("nan")])),
        told((0, [1]), (1, packed(float("inf"), float("-inf")))),
        told((0, [1]), (1, base64.b64encode(b"xyz").decode())),
        {"data": None},
        {"data": [1, 2]},
        {},
        [],
    ],
)
async def test_what_is_not_a_vector_for_each_input(wire, body):
    with pytest.raises(ProtocolError):
        await embed(wire, wire.whole(body))


async def test_an_error_inside_a_200(wire):
    with pytest.raises(ServerError, match="no room"):
        await embed(wire, wire.whole({"error": {"message": "no room"}}))


async def test_many_inputs_are_sent_in_several_requests(wire):
    async def answer(received):
        inputs = received.json()["input"]
        rows = [(at, [float(text)]) for at, text in enumerate(inputs)]
        cost = {"prompt_tokens": len(inputs), "total_tokens": len(inputs), "cost": 0.25}
        return wire.whole(json.dumps(told(*rows, usage=cost)).encode())

    inputs = [str(k) for k in range(2048 * 2 + 1)]
    response, server = await embed(wire, answer, inputs, dimensions=1)
    assert [len(one.json()["input"]) for one in server.requests] == [2048, 2048, 1]
    assert all(one.json()["dimensions"] == 1 for one in server.requests)
    assert response.vectors == tuple((float(k),) for k in range(len(inputs)))
    assert response.usage.input_tokens == len(inputs)
    assert float(response.usage.cost) == 0.75


async def test_hosts_that_take_few_at_once(wire):
    async def answer(received):
        rows = [(at, [float(text)]) for at, text in enumerate(received.json()["input"])]
        return wire.whole(told(*rows, usage={"prompt_tokens": 1, "cost": "9e999999"}))

    response, server = await embed(wire, answer, [str(k) for k in range(25)], preset="alibaba")
    assert [len(one.json()["input"]) for one in server.requests] == [10, 10, 5]
    assert response.vectors == tuple((float(k),) for k in range(25))
    assert (response.usage.input_tokens, response.usage.cost) == (3, None)  # that is no sum


async def test_an_error_after_some_of_the_vectors(wire):
    first = wire.whole(told(*[(at, [1.0]) for at in range(10)]))
    refused = wire.whole({"error": {"message": "no"}}, 429)
    for answers, processed in (([first, refused], True), ([refused], False)):
        async with wire.client(answers, "alibaba") as (client, _):
            with pytest.raises(RateLimited) as caught:
                await client.embed(["x"] * 20)
        assert caught.value.processed is processed


async def test_no_text_of_the_host_is_shown_as_a_vector(wire):
    with pytest.raises(ProtocolError) as caught:
        await embed(wire, wire.whole(told((0, [wire.key]), (1, [1]))))
    assert wire.key not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_hosts_without_vectors(wire):
    with pytest.raises(UnsupportedFeature, match="does not answer Embed"):
        await embed(wire, wire.whole({}), preset="groq")


async def test_what_vectors_are_for(wire):
    """Told where the host has a word for it; its usage is the sum alone."""
    rows = [{"index": 0, "embedding": [1.0]}]
    answer = wire.whole({"data": rows, "usage": {"total_tokens": 4}})
    async with wire.client(answer, "voyage") as (client, server):
        told = await client.embed("a", purpose="query", dimensions=256)
    sent = {"input_type": "query", "output_dimension": 256, "encoding_format": "base64"}
    assert server.requests[0].json() == {"model": "m", "input": ["a"], **sent}
    assert told.usage.input_tokens == 4
    async with wire.client(answer, "voyage") as (client, server):
        with pytest.raises(UnsupportedFeature, match="does not answer Generate"):
            await client.ask("hi")
    assert server.requests == []
