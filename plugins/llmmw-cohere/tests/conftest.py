"""A host that answers as a test says, or as an account of it would, over real HTTP, and a client
that asks it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import BytesParser
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from llmmw_cohere._provider import Cohere

from llmmw import Client
from llmmw.testing import Answer, Received, Server, open_server

WHEN = "2026-05-27T00:00:01Z"
TUNES = "/v1/finetuning/finetuned-models"
KEY = "co-test-0123456789abcdef"
MODEL = "command-a-reasoning-08-2025"
USAGE = {
    "billed_units": {"input_tokens": 8, "output_tokens": 5},
    "tokens": {"input_tokens": 139, "output_tokens": 9},
    "cached_tokens": 64,
}


def block(told):
    """A block of content: text, or one as it is."""
    return {"type": "text", "text": told} if isinstance(told, str) else told


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


class Wire:
    """What a host sends, and how it is asked."""

    key = KEY
    usage = USAGE

    def message(self, *blocks, finish="COMPLETE", usage=USAGE, beside=(), **fields) -> dict:
        """A whole answer; `fields` are further ones of its message."""
        content = {"content": [block(one) for one in blocks]} if blocks else {}
        message = {"role": "assistant", **content, **fields}
        told = {"id": "r-1", "message": message, "finish_reason": finish, **dict(beside)}
        return told | ({"usage": usage} if usage else {})

    def start(self, **message) -> dict:
        empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        return {"type": "message-start", "id": "r-1", "delta": {"message": empty | message}}

    def delta(self, kind, index=None, **message) -> dict:
        place = {} if index is None else {"index": index}
        return {"type": kind, **place, "delta": {"message": message}}

    def end(self, finish="COMPLETE", usage=USAGE, **delta) -> dict:
        told = {"finish_reason": finish, **delta} | ({"usage": usage} if usage else {})
        return {"type": "message-end", "delta": told}

    def call(self, id="c-1", name="f", arguments='{"x": 1}') -> dict:
        function = {"name": name, "arguments": arguments}
        return {"id": id, "type": "function", "function": function}

    def sse(self, *events, end="\n", named=True) -> bytes:
        told = b""
        for one in events:
            told += f"event: {one.get('type')}{end}".encode() if named else b""
            told += f"data: {json.dumps(one)}{end}{end}".encode()
        return told

    def events(self, *events, **fields) -> Answer:
        """An answer that is a stream of events."""
        return self.stream(self.sse(*events), **fields)

    def stream(self, *pieces, kind="text/event-stream", **fields) -> Answer:
        return Answer(headers={"Content-Type": kind}, pieces=pieces, **fields)

    def whole(self, data, status=200, **headers) -> Answer:
        """An answer that comes whole: JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return Answer(
            status=status, headers={"Content-Type": "application/json"} | headers, body=body
        )

    def provider(self, url, **options) -> Cohere:
        return Cohere(**{"name": "cohere", "base_url": url, "api_key": KEY} | options)

    @asynccontextmanager
    async def client(
        self, answers, *, model=MODEL, stack=(), prices=None, **options
    ) -> AsyncIterator[tuple[Client, Server]]:
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = self.provider(server.url, **options)
            target = f"{provider.name}:{model}"
            made = Client(target, stack=list(stack), providers=[provider], prices=prices)
            async with made as client:
                yield client, server

    @asynccontextmanager
    async def account(self) -> AsyncIterator[tuple[Account, Client]]:
        """An account at the host, and a client of it."""
        account = Account(self.key)
        async with open_server(account) as server:
            account.url = server.url
            provider = self.provider(server.url)
            async with Client("cohere:command-1", providers=[provider], stack=[]) as client:
                yield account, client

    async def ask(self, answers, prompt="hi", *, stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        async with self.client(answers, model=parameters.pop("model", MODEL)) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()

    async def sent(self, prompt="hi", *, model=MODEL, **parameters):
        """The body that a request becomes, and the warnings."""
        async with self.client(self.whole(self.message("x")), model=model) as (client, server):
            response = await client.ask(prompt, **parameters)
        (received,) = server.requests
        return received.json(), response.warnings


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides where a test goes, or with which key."""
    for name in ("CO_API_KEY", "COHERE_API_KEY", "CO_API_URL"):
        monkeypatch.delenv(name, raising=False)
