"""Models, files, fine-tunes and batches, against a server with this host's routes."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from llmmw import BatchApi, Client
from llmmw.errors import BadRequest, LLMError, NotFound, UnsupportedFeature

from .far_end import open_far_end

pytestmark = pytest.mark.plugins


@asynccontextmanager
async def account(wire, **options):
    async with open_far_end(wire.key) as far:
        provider = wire.provider(far.url)
        async with Client("mistral:small", providers=[provider], **options) as client:
            yield client, far, provider


async def test_models(wire):
    async with account(wire) as (client, far, _):
        far.add_model("mistral-small")
        far.add_model("ft:open/x", type="fine-tuned", owned_by="me", archived=True)
        told = await client.models.list()
        assert [(one.id, one.owner, one.ready, one.status) for one in told] == [
            ("mistral-small", "mistralai", True, ""),
            ("ft:open/x", "me", False, "archived"),
        ]
        one = await client.models.get("ft:open/x")
        assert (one.provider, one.name, one.created) == ("mistral", "Ft:Open/X", 17.0)
        assert (one.input_limit, one.raw["type"]) == (131_072, "fine-tuned")
        with pytest.raises(NotFound):
            await client.models.get("none")
        with pytest.raises(UnsupportedFeature, match=r"models\.pull"):
            await client.models.pull("x")


async def test_a_model_of_ones_own_is_changed_and_deleted(wire):
    async with account(wire) as (client, far, _):
        far.add_model("ft:a/b", archived=False)
        told = await client.models.update("ft:a/b", name="N", description="d", archived=True)
        assert (told.name, told.raw["description"], told.ready) == ("N", "d", False)
        assert (await client.models.update("ft:a/b", archived=False)).ready
        await client.models.delete("ft:a/b")
        assert far.asked == [
            "PATCH /v1/fine_tuning/models/ft%3Aa%2Fb",
            "POST /v1/fine_tuning/models/ft%3Aa%2Fb/archive",
            "GET /v1/models/ft%3Aa%2Fb",
            "DELETE /v1/fine_tuning/models/ft%3Aa%2Fb/archive",
            "GET /v1/models/ft%3Aa%2Fb",
            "DELETE /v1/models/ft%3Aa%2Fb",
        ]
        assert await client.models.list() == ()


async def test_files(wire, tmp_path):
    content = bytes(range(256)) * 5_000
    path = tmp_path / 'odd "name".jsonl'
    path.write_bytes(content)
    heard = []
    async with account(wire) as (client, far, _):
        sent = await client.files.upload(path, purpose="fine-tune", progress=heard.append)
        assert (sent.name, sent.bytes, sent.purpose) == (
            "odd %22name%22.jsonl",
            len(content),
            "fine-tune",
        )
        assert (heard[0].done, heard[-1].done, heard[-1].total) == (0, len(content), len(content))
        assert far.contents[sent.id] == content
        assert (await client.files.get(sent.id)).raw["deleted"] is False
        back = io.BytesIO()
        await client.files.download(sent.id, back)
        assert back.getvalue() == content
        other = await client.files.upload(b"x", purpose="batch")
        assert [one.id for one in await client.files.list()] == [other.id, sent.id]
        await client.files.delete(sent.id)
        with pytest.raises(NotFound):
            await client.files.get(sent.id)
        with pytest.raises(NotFound):
            await client.files.download(sent.id, tmp_path / "none")
    assert not Path(tmp_path / "none").exists()


async def test_a_list_is_read_page_by_page(wire):
    async with account(wire) as (client, far, _):
        for at in range(250):
            far.keep(f"f{at}", "batch", b"")
        names = [one.name async for one in client.files.list()]
        assert names == [f"f{at}" for at in reversed(range(250))]
        assert far.asked == [f"GET /v1/files?page={page}&page_size=100" for page in range(3)]
        assert len(await client.files.list(limit=3)) == 3
        assert len(far.asked) == 4


@pytest.mark.parametrize(
    ("rows", "total", "pages"), [(0, 0, 1), (100, 100, 1), (100, None, 2), (99, None, 1)]
)
async def test_where_a_list_ends(wire, rows, total, pages):
    told = {"data": [{"id": f"f{at}"} for at in range(rows)], "total": total}
    empty = wire.whole({"data": [], "total": total})
    async with wire.client([wire.whole(told), empty]) as (client, server):
        assert len(await client.files.list()) == rows
        assert len(server.requests) == pages


async def test_a_fine_tune(wire):
    async with account(wire) as (client, far, _):
        job = await client.fine_tunes.create(
            "open-mistral-7b",
            io.BytesIO(b'{"messages": []}\n'),
            validation_file="file/9",
            hyperparameters={"training_steps": 10},
            suffix="x",
        )
        assert (job.status, job.ended, job.created, job.model) == (
            "QUEUED",
            False,
            100.0,
            "open-mistral-7b",
        )
        assert (job.training_file, job.validation_file) == ("file/1", "file/9")
        assert far.files["file/1"]["purpose"] == "fine-tune"
        for _ in range(3):
            job = await client.fine_tunes.get(job.id)
        (point,) = await client.fine_tunes.checkpoints(job.id)
        job = await client.fine_tunes.get(job.id)
        assert (point.id, point.step, point.created) == ("10", 10, 103.0)
        assert point.metrics == {"train_loss": 0.5, "valid_mean_token_accuracy": 1}
        assert (job.status, job.ended, job.succeeded) == ("SUCCESS", True, True)
        assert (job.fine_tuned_model, job.trained_tokens) == ("ft:open-mistral-7b:x", 99)
        assert (job.finished, job.hyperparameters) == (104.0, {"training_steps": 10})
        told = [(one.at, one.message) for one in await client.fine_tunes.events(job.id)]
        assert told[-1] == (101.0, "status-updated: status VALIDATING")
        assert await client.fine_tunes.list() == (job,)
        await client.fine_tunes.delete(job.id)
        assert far.models == {}


async def test_a_fine_tune_waits_to_be_started_or_is_cancelled(wire):
    async with account(wire) as (client, _, provider):
        job = await client.fine_tunes.create("m", "file/1", auto_start=False)
        for _ in range(4):
            job = await client.fine_tunes.get(job.id)
        assert (job.status, job.ended) == ("VALIDATED", False)
        assert (await provider.fine_tunes.start(job.id)).status == "RUNNING"
        job = await client.fine_tunes.cancel(job.id)
        assert (job.status, job.ended) == ("CANCELLATION_REQUESTED", False)
        job = await client.fine_tunes.get(job.id)
        assert (job.status, job.ended, job.succeeded) == ("CANCELLED", True, False)
        with pytest.raises(BadRequest, match="has made no model"):
            await client.fine_tunes.delete(job.id)
        with pytest.raises(BadRequest, match="Field required"):
            await provider.fine_tunes.create({"model": "m"})
        own = [{"file_id": "a", "weight": 2}]
        assert (await client.fine_tunes.create("m", "b", training_files=own)).training_file == "a"


@pytest.mark.parametrize(
    ("events", "failure"),
    [
        (
            [{"name": "failed", "data": {"error": "bad rows"}, "created_at": 2}],
            "failed: error bad rows",
        ),
        ([{"name": "x", "data": None, "created_at": None}, 7, None], "the host does not say why"),
        (None, "the host does not say why"),
    ],
)
async def test_why_a_fine_tune_failed(wire, events, failure):
    for status in ("FAILED", "FAILED_VALIDATION"):
        told = {"id": "j", "status": status, "events": events, "training_files": None}
        async with wire.client(wire.whole(told)) as (client, _):
            job = await client.fine_tunes.get("j")
            assert (job.ended, job.succeeded, job.failure) == (True, False, failure)
            assert len(await client.fine_tunes.events("j")) == (events is not None)


async def test_an_error_inside_a_job_is_its_own(wire):
    told = {"id": "j", "status": "FAILED", "error": {"message": "bad rows"}, "errors": None}
    async with wire.client([wire.whole(told), wire.whole(told), wire.whole({"error": "x"})]) as one:
        client, _ = one
        assert (await client.fine_tunes.get("j")).ended
        assert (await client.batches.get("j")).refusals[0].message.startswith("the host refused")
        with pytest.raises(LLMError):
            await client.fine_tunes.get("j")


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
    assert len(items) == 5


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
