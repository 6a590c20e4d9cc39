"""Models, files and fine-tunes, against a server with this host's routes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from llmmw.errors import (
    BadRequest,
    LLMError,
    NotFound,
    UnsupportedFeature,
)

from .far_end import account

pytestmark = pytest.mark.plugins


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


@pytest.mark.parametrize("total", [250, "250", 251])
async def test_pages_that_are_shorter_than_was_asked(wire, total):
    """A host may have a limit of its own, and count what nobody may see."""
    pages = [{"data": [{"id": f"{page}-{at}"} for at in range(50)]} for page in range(5)]
    answers = [wire.whole(page | {"total": total}) for page in (*pages, {"data": []})]
    async with wire.client(answers) as (client, server):
        assert len(await client.files.list()) == 250
    assert len(server.requests) == (6 if total == 251 else 5)


async def test_a_cursor_that_is_none(wire):
    async with account(wire) as (_, far, provider), provider.open(None):
        with pytest.raises(BadRequest, match="after='x'"):
            await provider.files.list("x")
        assert (await provider.files.list("3:300")).rows == ()
    assert far.asked == ["GET /v1/files?page=3&page_size=100"]


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
