"""Batches, by their verbs and as a layer, against a server with this host's routes."""

from __future__ import annotations

import json

import pytest
import trio

from llmmw import BatchApi, Client
from llmmw.errors import (
    BadRequest,
    CallShed,
    DeadlineExceeded,
    LLMError,
    Overloaded,
    UnsupportedFeature,
)
from llmmw.testing import Answer

from .far_end import account, open_far_end

pytestmark = pytest.mark.plugins


async def test_a_batch(wire):
    questions = {"a": "hi", "b": "this is bad", "c": "this is lost"}
    async with account(wire) as (client, far, _):
        batch = await client.batches.create(questions, metadata={"team": "x"})
        told = far.batches[batch.id]
        assert (told["endpoint"], told["model"]) == ("/v1/chat/completions", "small")
        assert (batch.status, batch.ended, batch.total) == ("QUEUED", False, 3)
        assert (batch.metadata, batch.created) == ({"team": "x"}, 1_700_000_000.0)
        for _ in range(2):
            batch = await client.batches.get(batch.id)
        assert (batch.status, batch.ended) == ("SUCCESS", True)
        assert (batch.completed, batch.failed) == (1, 1)
        items = {one.id: one for one in await client.batches.results(batch.id)}
        assert items.keys() == {"a", "b"}
        assert items["a"].response.text == "small says yes"
        assert items["a"].response.usage.output_tokens == 2
        assert isinstance(items["b"].error, BadRequest)
        assert "this is bad" in str(items["b"].error)
        assert [one.id for one in await client.batches.list()] == [batch.id]
        await client.batches.delete(batch.id)
        assert far.batches == {}


async def test_a_batch_is_cancelled_or_begun_from_a_file(wire):
    async with account(wire) as (client, far, _):
        file = far.keep("q.jsonl", "batch", b'{"custom_id": "a", "body": {}}\n')["id"]
        fields = {"model": "m", "endpoint": "/v1/embeddings", "timeout_hours": 2}
        batch = await client.batches.submit(file, **fields)
        assert (batch.raw["endpoint"], batch.raw["timeout_hours"]) == ("/v1/embeddings", 2)
        batch = await client.batches.cancel(batch.id)
        assert (batch.ended, batch.cancelled) == (False, True)
        batch = await client.batches.get(batch.id)
        assert (batch.status, batch.ended, batch.cancelled) == ("CANCELLED", True, True)
        assert await client.batches.results(batch.id) == ()
        with pytest.raises(UnsupportedFeature, match=r"batches\.update"):
            await client.batches.update(batch.id)


@pytest.mark.parametrize(
    ("fate", "refusals"), [("FAILED", ["no line can be read"]), ("TIMEOUT_EXCEEDED", [])]
)
async def test_how_a_batch_ends_otherwise(wire, fate, refusals):
    async with account(wire) as (client, far, _):
        far.fate = fate
        batch = await client.batches.create({"a": "hi"})
        for _ in range(2):
            batch = await client.batches.get(batch.id)
        assert (batch.status, batch.ended) == (fate, True)
        assert [one.message for one in batch.refusals] == refusals


async def test_outcomes_in_the_batch_itself_and_odd_ones(wire):
    ok = {"status_code": 200, "body": wire.chat("Hi")}
    rows = [
        {"custom_id": "a", "response": ok},
        {"custom_id": "b", "response": None, "error": "it broke"},
        {"custom_id": "c", "error": {"message": "it broke too", "type": "x"}},
        {"custom_id": "d"},
        {"custom_id": "e", "response": {"status_code": "odd", "body": None}},
        {"custom_id": "f", "response": {"status_code": 200, "body": None}, "error": "it broke"},
        {"custom_id": "g", "response": {"status_code": 503, "body": ""}},
        {"no": "id"},
        7,
    ]
    done = {"id": "b", "status": "SUCCESS", "outputs": rows, "metadata": 7, "total_requests": "x"}
    async with wire.client(wire.whole(done)) as (client, _):
        batch = await client.batches.get("b")
        assert (batch.metadata, batch.total) == ({}, None)
        items = {one.id: one for one in await client.batches.results("b")}
    assert items["a"].response.text == "Hi"
    for name, said in (("b", "it broke"), ("c", "it broke too"), ("d", "says nothing")):
        assert said in str(items[name].error)
    assert isinstance(items["e"].error, LLMError)
    assert "it broke" in str(items["f"].error)
    assert isinstance(items["g"].error, Overloaded)
    assert len(items) == 7


async def test_results_with_odd_lines(wire):
    """Line ends of every kind, blank lines, lines of nobody; a file of nothing."""
    ok = {"status_code": "200", "body": wire.chat("Hi")}
    rows = [{"custom_id": "a", "response": ok}, {"response": ok}, [1], None, {"custom_id": 7}]
    rows.append({"custom_id": "b", "response": ok})
    lines = b"\r\n \r\n\n".join(json.dumps(row).encode() for row in rows)
    done = {"id": "b", "status": "SUCCESS", "output_file": "o", "error_file": "e"}
    async with wire.client([wire.whole(done), Answer(body=lines), Answer(body=b"")]) as (client, _):
        items = await client.batches.results("b")
    assert [(one.id, one.response.text) for one in items] == [("a", "Hi"), ("b", "Hi")]


async def test_a_batch_outlives_the_process_that_sent_it(wire, tmp_path):
    """The next one finds it, and sends nothing again."""
    asked = {"max_wait": 0.05, "poll": 0.02, "least_time": 2}
    async with open_far_end(wire.key) as far:
        for fate in ("left", "found"):
            layer = BatchApi(tmp_path / "night.db", **asked)
            provider = wire.provider(far.url)
            async with Client("mistral:small", providers=[provider], stack=[layer]) as client:
                if fate == "found":
                    assert (await client.ask("hi")).text == "small says yes"
                    break
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.ask, "hi")
                    while not far.batches:  # it polls by itself
                        await trio.sleep(0.01)
                    nursery.cancel_scope.cancel()
        assert len(far.batches) == 1


@pytest.mark.parametrize(
    ("fate", "kind"),
    [("CANCELLED", CallShed), ("FAILED", BadRequest), ("TIMEOUT_EXCEEDED", DeadlineExceeded)],
)
async def test_calls_of_a_batch_that_ends_otherwise(wire, tmp_path, fate, kind):
    layer = BatchApi(tmp_path / "night.db", max_wait=0.05, poll=0.02, least_time=2, retries=0)
    async with account(wire, stack=[layer]) as (client, far, _):
        far.fate = fate
        with pytest.raises(kind):
            await client.ask("this is lost")
        assert len(far.batches) == 1


async def test_calls_ride_in_batches(wire, tmp_path):
    """Each model has a batch of its own; what was forgotten is an error."""
    layer = BatchApi(tmp_path / "night.db", max_wait=0.1, poll=0.02, least_time=2)
    async with account(wire, stack=[layer]) as (client, far, _):
        prompts = {f"p{at}": model for model in ("small", "large") for at in range(2)}
        answers = {}

        async def ask(model: str, prompt: str) -> None:
            answers[model, prompt] = await client.ask(prompt, model=f"mistral:{model}")

        async with trio.open_nursery() as nursery:
            for prompt in prompts:
                for model in ("small", "large"):
                    nursery.start_soon(ask, model, prompt)
    assert {key: one.text for key, one in answers.items()} == {
        (model, prompt): f"{model} says yes" for prompt in prompts for model in ("small", "large")
    }
    assert [batch["model"] for batch in far.batches.values()].count("small") == 1
    assert len(far.batches) == 2
