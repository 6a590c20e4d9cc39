"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from llmmw_openai._presets import PRESETS
from llmmw_openai._provider import OpenAI

from llmmw import Client
from llmmw.testing import Answer, Server, open_server

KEY = "sk-test-0123456789abcdef"


class Wire:
    """What a host sends, and how it is asked."""

    key = KEY

    def chunk(self, delta=None, finish=None, *, index=0, **more) -> dict:
        """A piece of a chat with one choice; `more` are further fields of the piece."""
        choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
        return {"id": "c-1", "model": "m-1", "created": 7, "choices": [choice], **more}

    def chat(self, message=None, finish="stop", **more) -> dict:
        """A whole chat with one choice."""
        choice = {"index": 0, "message": message or {}, "finish_reason": finish}
        return {"id": "c-1", "model": "m-1", "created": 7, "choices": [choice], **more}

    def sse(self, *events, done=True) -> bytes:
        """Events: objects, or the data of one as it is."""
        rows = [e if isinstance(e, str) else json.dumps(e) for e in events]
        return "".join(f"data: {row}\n\n" for row in [*rows, *["[DONE]"] * done]).encode()

    def events(self, *events, done=True, **fields) -> Answer:
        """An answer that is a stream."""
        return self.stream(self.sse(*events, done=done), **fields)

    def stream(self, *pieces, **fields) -> Answer:
        headers = {"Content-Type": "text/event-stream; charset=utf-8"}
        return Answer(headers=headers | fields.pop("headers", {}), pieces=pieces, **fields)

    def response(self, output=(), status="completed", **more) -> dict:
        """A whole response of the Responses API."""
        beside = {"id": "resp-1", "object": "response", "created_at": 7, "model": "m-1"}
        return beside | {"status": status, "error": None, "output": list(output), **more}

    def numbered(self, *events, first=0) -> bytes:
        """Events of the Responses API, each with its name and its number."""
        rows = [e | {"sequence_number": n} for n, e in enumerate(events, first)]
        return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in rows).encode()

    def whole(self, data, status=200, **headers) -> Answer:
        """An answer that comes whole: JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        named = {name.replace("_", "-"): told for name, told in headers.items()}
        return Answer(
            status=status, headers={"Content-Type": "application/json"} | named, body=body
        )

    def provider(self, url, preset="openai", **options) -> OpenAI:
        options = {"name": preset, "preset": preset, "base_url": url, "api_key": KEY} | options
        return OpenAI(**options)

    @asynccontextmanager
    async def client(
        self, answers, preset="openai", *, stack=(), **options
    ) -> AsyncIterator[tuple[Client, Server]]:
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = self.provider(server.url, preset, **options)
            async with Client(
                f"{provider.name}:m", stack=list(stack), providers=[provider]
            ) as client:
                yield client, server

    async def ask(self, answers, prompt="hi", *, preset="openai", stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        async with self.client(answers, preset) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides where a test goes, or with which key."""
    for preset in PRESETS.values():
        stem = "".join(c if c.isalnum() else "_" for c in preset.name).upper()
        for name in (*preset.keys, f"{stem}_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
    azure = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_VERSION")
    for name in (*azure, "SNOWFLAKE_ACCOUNT", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
