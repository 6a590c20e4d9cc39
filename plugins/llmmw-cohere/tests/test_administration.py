"""Models, datasets, fine-tunes and batches, at an account that keeps them as the host does."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import BytesParser
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import trio
from llmmw_cohere._datasets import CohereBatches
from llmmw_cohere._fine_tunes import CohereFineTunes

from llmmw import BatchApi, Client
from llmmw.errors import BadRequest, NotFound, UnsupportedFeature
from llmmw.testing import Answer, Received, open_server

pytestmark = pytest.mark.plugins

WHEN = "2026-05-27T00:00:01Z"
AT = 1779840001.0
TUNES = "/v1/finetuning/finetuned-models"


class Account:
    """What one account has, behind the routes of the host."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.url = ""
        self.models = {f"command-{n}": {"name": f"command-{n}"} for n in range(250)}
        self.datasets: dict[str, dict] = {}
        self.stored: dict[str, bytes] = {}
        self.tunes: dict[str, dict] = {}
        self.batches: dict[str, dict] = {}
        self.heard: list[Received] = []

    async def __call__(self, received: Received) -> Answer:
        """Answer a request."""
        self.heard.append(received)
        place = urlsplit(received.path)
        query = dict(parse_qsl(place.query))
        path = unquote(place.path)
        if path.startswith("/stored/"):
            assert "authorization" not in received.headers, "the key went to a link"
            return Answer(body=self.stored[path.removeprefix("/stored/")])
        if received.headers.get("authorization") != f"Bearer {self.key}":
            return self.told({"message": "invalid api token"}, 401)
        for pattern, methods in self.routes().items():
            found = re.fullmatch(pattern, path)
            if found and received.method in methods:
                return methods[received.method](received, query, *found.groups())
        return self.told({"id": "e", "message": f"no route {received.method} {path}"}, 404)

    def routes(self):
        tune = f"{TUNES}/([^/]+)"
        return {
            "/v1/models": {"GET": self.page("models", lambda: self.models)},
            "/v1/models/([^/]+)": {"GET": self.one(lambda: self.models)},
            "/v1/datasets": {"GET": self.list_datasets, "POST": self.upload},
            "/v1/datasets/([^/]+)": {
                "GET": self.one(lambda: self.datasets, "dataset"),
                "DELETE": self.drop(lambda: self.datasets),
            },
            TUNES: {
                "GET": self.page("finetuned_models", lambda: self.tunes),
                "POST": self.begin(lambda: self.tunes, "finetuned_model", "STATUS_QUEUED"),
            },
            tune: {
                "GET": self.one(lambda: self.tunes, "finetuned_model"),
                "PATCH": self.change,
                "DELETE": self.drop(lambda: self.tunes),
            },
            f"{tune}/events": {"GET": self.beside("events")},
            f"{tune}/training-step-metrics": {"GET": self.beside("step_metrics")},
            "/v2/batches": {
                "GET": self.page("batches", lambda: self.batches),
                "POST": self.begin(lambda: self.batches, "batch", "BATCH_STATUS_QUEUED"),
            },
            "/v2/batches/([^/:]+)": {"GET": self.one(lambda: self.batches, "batch")},
            "/v2/batches/([^/:]+):cancel": {"POST": self.cancel},
        }

    def told(self, data, status=200) -> Answer:
        headers = {"Content-Type": "application/json"}
        return Answer(status=status, headers=headers, body=json.dumps(data).encode())

    def paged(self, field, rows, query) -> Answer:
        begin, size = int(query.get("page_token", 0)), int(query["page_size"])
        more = {"next_page_token": str(begin + size)} if begin + size < len(rows) else {}
        return self.told({field: rows[begin : begin + size]} | (more or {"next_page_token": ""}))

    def page(self, field, kept):
        return lambda received, query: self.paged(field, list(kept().values()), query)

    def one(self, kept, name=None):
        def get(received, query, id) -> Answer:
            if id not in kept():
                return self.told({"id": "e", "message": f"{id} not found"}, 404)
            return self.told({name: kept()[id]} if name else kept()[id])

        return get

    def drop(self, kept):
        def delete(received, query, id) -> Answer:
            found = kept().pop(id, None)
            return self.told({}) if found else self.told({"message": f"{id} not found"}, 404)

        return delete

    def begin(self, kept, name, status):
        def post(received, query) -> Answer:
            id = f"{name[0]}-{len(kept()) + 1}"
            kept()[id] = {"id": id, "status": status, "created_at": WHEN, **received.json()}
            return self.told({name: kept()[id]})

        return post

    def change(self, received, query, id) -> Answer:
        self.tunes[id] |= received.json()
        return self.told({"finetuned_model": self.tunes[id]})

    def beside(self, field):
        return lambda received, query, id: self.paged(field, self.tunes[id][field], query)

    def cancel(self, received, query, id) -> Answer:
        self.batches[id]["status"] = "BATCH_STATUS_CANCELING"
        return self.told({})

    def list_datasets(self, received, query) -> Answer:
        begin, size = int(query["offset"]), int(query["limit"])
        return self.told({"datasets": list(self.datasets.values())[begin : begin + size]})

    def upload(self, received, query) -> Answer:
        head = f"Content-Type: {received.headers['content-type']}\r\n\r\n".encode()
        (part,) = BytesParser().parsebytes(head + received.body).get_payload()
        assert part.get_param("name", header="content-disposition") == "data"
        id = f"{query['name']}-{len(self.datasets) + 1}"
        self.keep(id, query["type"], part.get_payload(decode=True), name=query["name"])
        self.datasets[id]["query"] = query
        return self.told({"id": id})

    def keep(self, id, kind, *parts: bytes, name="") -> None:
        """Store a dataset."""
        rows = []
        for number, data in enumerate(parts):
            self.stored[f"{id}.{number}"] = data
            link = f"{self.url}/stored/{id}.{number}"
            rows.append({"id": f"p{number}", "url": link, "size_bytes": len(data)})
        self.datasets[id] = {
            "id": id,
            "name": name or id,
            "dataset_type": kind,
            "validation_status": "validated",
            "created_at": WHEN,
            "dataset_parts": rows,
        }


@asynccontextmanager
async def account_of(wire) -> AsyncIterator[tuple[Account, Client]]:
    account = Account(wire.key)
    async with open_server(account) as server:
        account.url = server.url
        provider = wire.provider(server.url)
        async with Client("cohere:command-1", providers=[provider], stack=[]) as client:
            yield account, client


async def test_models(wire):
    async with account_of(wire) as (account, client):
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
    async with account_of(wire) as (_, client):
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
    async with account_of(wire) as (account, client):
        sent = await client.files.upload(b"{}", name="q", purpose="batch")
        query = account.datasets[sent.id]["query"]
    assert query == {"name": "q", "type": "batch-chat-v2-input", "keep_fields": "custom_id"}


async def test_many_datasets(wire):
    async with account_of(wire) as (account, client):
        for number in range(230):
            account.keep(f"d{number}", "embed-input", b"x")
        names = [file.id async for file in client.files.list()]
    assert names == [f"d{number}" for number in range(230)]
    assert len(account.heard) == 3


async def test_datasets_in_parts(wire):
    async with account_of(wire) as (account, client):
        account.keep("d", "embed-result", b"one", b"two")
        account.keep("none", "embed-input")
        with pytest.raises(BadRequest, match="ask for one of d/p0, d/p1"):
            await client.files.content("d")
        assert await client.files.content("d/p1") == b"two"
        with pytest.raises(NotFound, match="nothing to download"):
            await client.files.content("none")


async def test_a_fine_tune(wire):
    async with account_of(wire) as (account, client):
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
    async with account_of(wire) as (account, client):
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
    async with account_of(wire) as (account, client):
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
    async with account_of(wire) as (account, client):
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
    async with account_of(wire) as (account, client):
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
