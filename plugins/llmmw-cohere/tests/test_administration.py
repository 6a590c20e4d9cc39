"""Models, datasets, fine-tunes and batches, at an account that keeps them as the host does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import trio
from llmmw_cohere._batches import CohereBatches
from llmmw_cohere._fine_tunes import CohereFineTunes, _checkpoint

from llmmw import BatchApi, aio, sync
from llmmw.errors import BadRequest, NotFound, ProtocolError, UnsupportedFeature

pytestmark = pytest.mark.plugins

WHEN = "2026-05-27T00:00:01Z"
AT = 1779840001.0


async def test_models(wire):
    async with wire.account() as (account, client):
        account.models["command-7"] |= {"context_length": 128000.0, "is_deprecated": True}
        names = [model.id async for model in client.models.list()]
        one = await client.models.get("command-7")
        with pytest.raises(NotFound, match="command-x not found"):
            await client.models.get("command-x")
    assert names == [f"command-{n}" for n in range(250)]
    assert len([one for one in account.heard if one.path.startswith("/v1/models?")]) == 3
    assert (one.provider, one.input_limit, one.status) == ("cohere", 128_000, "deprecated")
    assert one.raw["context_length"] == 128000.0


async def test_datasets(wire):
    heard = []
    async with wire.account() as (_, client):
        sent = await client.files.upload(
            b'{"text": "a"}\n', name="a b.jsonl", purpose="embed-input", progress=heard.append
        )
        known = await client.files.get(sent.id)
        assert await client.files.content(sent.id) == b'{"text": "a"}\n'
        await client.files.delete(sent.id)
        with pytest.raises(NotFound):
            await client.files.get(sent.id)
    assert (sent.name, sent.bytes, sent.purpose) == ("a b.jsonl", 14, "embed-input")
    assert (known.name, known.bytes, known.purpose) == ("a b.jsonl", 14, "embed-input")
    assert (known.status, known.created) == ("validated", AT)
    assert heard[-1].done == heard[-1].total == 14


async def test_questions_of_a_batch_keep_their_ids(wire):
    async with wire.account() as (account, client):
        sent = await client.files.upload(b"{}", name="q", purpose="batch")
        query = account.datasets[sent.id]["query"]
    assert query == {"name": "q", "type": "batch-chat-v2-input", "keep_fields": "custom_id"}


async def test_many_datasets(wire):
    async with wire.account() as (account, client):
        for number in range(230):
            account.keep(f"d{number}", "embed-input", b"x")
        names = [file.id async for file in client.files.list()]
    assert names == [f"d{number}" for number in range(230)]
    assert len(account.heard) == 3


async def test_rows_that_are_none_end_no_list(wire):
    async def answer(received):
        begin = int(dict(parse_qsl(urlsplit(received.path).query))["offset"])
        rows = [{"id": f"d{n}"} for n in range(begin, min(begin + 100, 130))]
        return wire.whole({"datasets": [None, 7, *rows[2:]] if begin == 0 else rows})

    async with wire.client(answer) as (client, _):
        names = [file.id async for file in client.files.list()]
    assert names == [f"d{number}" for number in range(2, 130)]


async def test_datasets_in_parts(wire):
    async with wire.account() as (account, client):
        account.keep("d", "embed-result", b"one", b"two")
        account.keep("none", "embed-input")
        with pytest.raises(BadRequest, match="ask for one of d/p0, d/p1"):
            await client.files.content("d")
        assert await client.files.content("d/p1") == b"two"
        with pytest.raises(NotFound, match="nothing to download"):
            await client.files.content("none")


async def test_a_fine_tune(wire):
    async with wire.account() as (account, client):
        begun = await client.fine_tunes.create(
            "command-r-08-2024",
            "data-1",
            suffix="mine",
            hyperparameters={"train_epochs": 2},
            settings={"multi_label": False},
        )
        tune = account.tunes[begun.id]
        assert tune["settings"] == {
            "base_model": {"base_type": "BASE_TYPE_CHAT", "name": "command-r-08-2024"},
            "dataset_id": "data-1",
            "hyperparameters": {"train_epochs": 2},
            "multi_label": False,
        }
        assert tune["name"] == "mine"
        account.tunes[begun.id] |= {"status": "STATUS_READY", "completed_at": WHEN}
        done = await client.fine_tunes.get(begun.id)
        changed = await client.models.update(done.fine_tuned_model, name="other")
        (listed,) = await client.fine_tunes.list()
        await client.models.delete(done.fine_tuned_model)
        assert account.tunes == {}
        with pytest.raises(NotFound):
            await client.fine_tunes.delete(begun.id)
    assert (begun.status, begun.ended, begun.fine_tuned_model) == ("QUEUED", False, None)
    assert (begun.model, begun.training_file) == ("command-r-08-2024", "data-1")
    assert (done.status, done.ended, done.succeeded) == ("READY", True, True)
    assert (done.fine_tuned_model, done.finished) == (f"{begun.id}-ft", AT)
    assert (changed.name, changed.ready) == ("other", True)
    assert listed.raw["name"] == "other"


async def test_fine_tunes_that_can_not_be(wire):
    async with wire.account() as (account, client):
        with pytest.raises(UnsupportedFeature, match="takes no validation_file"):
            await client.fine_tunes.create("BASE_TYPE_CHAT", "d", validation_file="v")
        with pytest.raises(BadRequest, match="needs a training_file"):
            await client.fine_tunes.create("BASE_TYPE_CHAT", "")
        with pytest.raises(UnsupportedFeature, match="delete it"):
            await client.fine_tunes.cancel("t")
        begun = await client.fine_tunes.create("BASE_TYPE_RERANK", "d")
    assert account.tunes[begun.id]["settings"]["base_model"] == {"base_type": "BASE_TYPE_RERANK"}
    assert begun.model == "BASE_TYPE_RERANK"


async def test_events_and_steps(wire):
    async with wire.account() as (account, client):
        words = ("QUEUED", "FINETUNING", "READY")
        steps = [
            {"step_number": n, "created_at": WHEN, "metrics": {"loss": n / 2, "odd": "x"}}
            for n in range(150)
        ]
        account.tunes["t"] = {
            "id": "t",
            "events": [{"status": f"STATUS_{word}", "created_at": WHEN} for word in words],
            "step_metrics": steps,
        }
        events = [event async for event in client.fine_tunes.events("t")]
        points = [point async for point in client.fine_tunes.checkpoints("t")]
    assert [(event.message, event.at) for event in events] == [(word, AT) for word in words]
    assert [point.step for point in points] == list(range(150))
    assert (points[3].id, points[3].metrics, points[3].created) == ("3", {"loss": 1.5}, AT)


@pytest.mark.parametrize(
    ("word", "ended", "succeeded"),
    [
        ("STATUS_FINETUNING", False, False),
        ("STATUS_DEPLOYING_API", False, False),
        ("STATUS_PAUSED", True, True),
        ("STATUS_FAILED", True, False),
        ("STATUS_NEW_WORD", False, False),
    ],
)
def test_words_for_fine_tunes(word, ended, succeeded):
    told = CohereFineTunes(name="x", http=None)._info({"status": word})
    assert (told.status, told.ended, told.succeeded) == (word[7:], ended, succeeded)


async def test_a_batch(wire):
    async with wire.account() as (account, client):
        begun = await client.batches.submit("data-1", model="command-r7b", name="night")
        account.batches[begun.id] |= {
            "num_records": 3,
            "num_successful_records": 1,
            "num_failed_records": 1,
        }
        going = await client.batches.get(begun.id)
        ended = await client.batches.cancel(begun.id)
        (listed,) = await client.batches.list()
        with pytest.raises(BadRequest, match="needs a model"):
            await client.batches.submit("data-1")
    assert account.batches[begun.id]["input_dataset_id"] == "data-1"
    assert (begun.status, begun.ended, begun.created) == ("QUEUED", False, AT)
    assert (going.total, going.completed, going.failed) == (3, 1, 1)
    assert (ended.status, ended.cancelled, ended.ended) == ("CANCELING", True, False)
    assert listed.id == begun.id


async def test_batches_in_forms_of_their_own_are_refused(wire):
    async with wire.account() as (account, client):
        with pytest.raises(UnsupportedFeature, match=r"upload a dataset.*batches\.submit"):
            await client.batches.create(["one", "two"])
        account.batches["b"] = {"id": "b", "status": "BATCH_STATUS_COMPLETED"}
        with pytest.raises(UnsupportedFeature, match="which is Avro"):
            await client.batches.results("b")


def test_words_for_batches():
    info = CohereBatches(name="x", http=None)._info
    told = info({"status": "BATCH_STATUS_FAILED", "status_reason": "no such model"})
    assert (told.status, told.ended) == ("FAILED", True)
    assert told.refusals[0].message == "no such model"
    assert info({"status": "BATCH_STATUS_NEW"}).ended is False
    assert info({"status": "BATCH_STATUS_CANCELED"}).cancelled is True


async def test_what_rides_batches_elsewhere_goes_live_here(wire, tmp_path):
    stack = [BatchApi(tmp_path / "night.db")]
    async with wire.client(wire.whole(wire.message("x")), stack=stack) as (client, server):
        with trio.CancelScope(shield=True):  # or it goes live for the deadline of the test
            response = await client.ask("hi")
    assert response.text == "x"
    assert [one.path for one in server.requests] == ["/v2/chat"]
    assert "goes live (unsupported)" in response.explain()


def test_times_and_numbers_that_are_none():
    """The year 1 stands for what has not come; a number may be larger than any float."""
    told = {"step_number": 1, "metrics": {"loss": 10**400, "accuracy": 0.5}}
    point = _checkpoint(told | {"created_at": "0001-01-01T00:00:00Z"})
    assert (point.metrics, point.created, point.raw["metrics"]) == (
        {"accuracy": 0.5},
        None,
        told["metrics"],
    )


async def test_an_answer_about_nothing_is_none(wire):
    """Else its empty id would be asked for next, which is the list of all."""
    for told in ({}, {"dataset": None, "batch": [], "finetuned_model": {"id": 7}}):
        async with wire.client(wire.whole(told)) as (client, _):
            for ask in (
                lambda c: c.models.get("x"),
                lambda c: c.models.update("x", name="y"),
                lambda c: c.files.upload(b"x", purpose="batch"),
                lambda c: c.files.get("x"),
                lambda c: c.fine_tunes.create("BASE_TYPE_CHAT", "data-1"),
                lambda c: c.fine_tunes.get("x"),
                lambda c: c.batches.submit("data-1", model="command-a"),
                lambda c: c.batches.get("x"),
            ):
                with pytest.raises(ProtocolError, match="answered without the"):
                    await ask(client)


@pytest.mark.parametrize("id", ["a/b", "a?b#c", "a b", "ü%41", "x:y", "\ud800"])
async def test_ids_are_one_segment_of_a_path(wire, id):
    thing = {"id": "t", "name": "t"}
    whole = thing | {"dataset": thing, "batch": thing, "finetuned_model": thing}
    async with wire.client(wire.whole(whole)) as (client, server):
        verbs = (client.models, client.files, client.fine_tunes, client.batches)
        for verb in verbs:
            await verb.get(id)
        await client.batches.cancel(id)
    paths = [one.path for one in server.requests]
    segment = paths[0].removeprefix("/v1/models/")
    assert unquote(segment) == id.replace("\ud800", "?")
    assert not set(segment) & set("/?#: ")
    assert paths[1:] == [
        f"/v1/datasets/{segment}",
        f"/v1/finetuning/finetuned-models/{segment}",
        f"/v2/batches/{segment}",
        f"/v2/batches/{segment}:cancel",
        f"/v2/batches/{segment}",
    ]


@pytest.mark.parametrize("id", ["", "..", "."])
async def test_ids_that_lead_elsewhere_are_refused(wire, id):
    async with wire.client(wire.whole({})) as (client, server):
        for ask in (
            client.models.get,
            client.models.delete,
            client.files.get,
            client.files.content,
            client.files.delete,
            client.fine_tunes.get,
            client.fine_tunes.delete,
            client.batches.get,
        ):
            with pytest.raises(BadRequest):
                await ask(id)
        with pytest.raises(BadRequest):
            await client.models.delete("-ft")
    assert server.requests == []


async def test_numbers_and_settings_of_a_fine_tune(wire):
    async with wire.account() as (account, client):
        begun = await client.fine_tunes.create(
            "BASE_TYPE_CHAT",
            "data-1",
            hyperparameters={"train_epochs": 2, "learning_rate": 0.1},
            settings={"hyperparameters": {"learning_rate": 0.2}, "wandb": {"project": "p"}},
        )
        for name in ("hyperparameters", "settings"):
            with pytest.raises(BadRequest, match=f"{name}=.*expected an object"):
                await client.fine_tunes.create("BASE_TYPE_CHAT", "data-1", **{name: [1]})
    settings = account.tunes[begun.id]["settings"]
    assert settings["hyperparameters"] == {"train_epochs": 2, "learning_rate": 0.2}
    assert settings["wandb"] == {"project": "p"}


def administer(client):
    """What an account goes through, as each face of the client is asked."""
    sent = yield client.files.upload(b"[]", name="q", purpose="fine-tune")
    yield client.fine_tunes.create("BASE_TYPE_CHAT", sent.id, suffix="mine")
    yield client.batches.submit(sent.id, model="command-a")
    data = yield client.files.content(sent.id)
    tune = yield client.fine_tunes.get("f-1")
    batch = yield client.batches.cancel("b-1")
    one = yield client.models.get("command-3")
    yield client.files.delete(sent.id)
    assert (data, tune.training_file, batch.cancelled) == (b"[]", "q-1", True)
    assert (one.id, sent.purpose) == ("command-3", "chat-finetune-input")


def sync_face(given):
    with sync.Client("cohere:command-1", stack=[], **given) as client:
        verbs = administer(client)
        told = next(verbs)
        with suppress(StopIteration):
            while True:
                told = verbs.send(told)
        models = [one.id for one in client.models.list()]
        with pytest.raises(NotFound):
            client.files.get("q-1")
        with pytest.raises(UnsupportedFeature, match="delete it"):
            client.fine_tunes.cancel("f-1")
    return models


def aio_face(given):
    async def main():
        async with aio.Client("cohere:command-1", stack=[], **given) as client:
            verbs = administer(client)
            told = await next(verbs)
            with suppress(StopIteration):
                while True:
                    told = await verbs.send(told)
            models = [one.id async for one in client.models.list()]
            with pytest.raises(NotFound):
                await client.files.get("q-1")
            with pytest.raises(UnsupportedFeature, match="delete it"):
                await client.fine_tunes.cancel("f-1")
        return models

    return asyncio.run(main())


@pytest.mark.parametrize("face", [sync_face, aio_face])
async def test_other_faces(wire, face):
    async with wire.account() as (account, _):
        given = {"options": {"cohere": {"api_key": wire.key, "base_url": account.url}}}
        models = await trio.to_thread.run_sync(face, given)
    assert models == [f"command-{n}" for n in range(250)]
    assert account.datasets == {}
    assert account.batches["b-1"]["status"] == "BATCH_STATUS_CANCELING"
