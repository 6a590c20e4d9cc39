"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from llmmw_cohere._provider import Cohere

from llmmw import Client
from llmmw.testing import Answer, Server, open_server

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
