"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from llmmw_ollama._provider import Ollama

from llmmw import Client, Generate
from llmmw.testing import Answer, Server, open_server

LINES = "application/x-ndjson"
TIMES = {"total_duration": 9, "load_duration": 2, "prompt_eval_duration": 3, "eval_duration": 4}
COUNTS = {"prompt_eval_count": 26, "eval_count": 298}


class Wire:
    """What a host sends, and how it is asked."""

    def line(self, content="", *, done=False, **message) -> dict:
        """A line of a conversation."""
        said = {"role": "assistant", "content": content, **message}
        told = {"model": "llama3.2", "created_at": "2026-09-17T15:42:59.5670387Z", "message": said}
        return told | {"done": done}

    def end(self, reason="stop", content="", **more) -> dict:
        """The last line."""
        told = self.line(content, done=True) | {"done_reason": reason}
        return told | TIMES | COUNTS | more

    def text(self, response="", *, done=False, **more) -> dict:
        """A line of an answer to a prompt."""
        told = {"model": "llama3.2", "created_at": "2026-09-17T15:42:59.567Z", "response": response}
        return told | {"done": done} | more

    def ndjson(self, *lines) -> bytes:
        return b"".join(json.dumps(one).encode() + b"\n" for one in lines)

    def lines(self, *lines, **fields) -> Answer:
        """An answer that comes line by line."""
        return self.stream(self.ndjson(*lines), **fields)

    def stream(self, *pieces, kind=LINES, **fields) -> Answer:
        return Answer(headers={"Content-Type": kind}, pieces=pieces, **fields)

    def whole(self, data, status=200, **headers) -> Answer:
        """An answer that comes whole: JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return Answer(status=status, headers=kind | headers, body=body)

    def provider(self, url, **options) -> Ollama:
        return Ollama(**{"name": "ollama", "base_url": url} | options)

    @asynccontextmanager
    async def client(
        self, answers, *, model="llama3.2", stack=(), **options
    ) -> AsyncIterator[tuple[Client, Server]]:
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = self.provider(server.url, **options)
            target = f"{provider.name}:{model}"
            async with Client(target, stack=list(stack), providers=[provider]) as client:
                yield client, server

    async def ask(self, answers, prompt="hi", *, stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        async with self.client(answers) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()

    async def sent(self, prompt="hi", *, options=None, **parameters):
        """The path and the body that a request becomes, and the warnings."""
        async with self.client(self.whole(self.end(content="x")), **(options or {})) as (
            client,
            server,
        ):
            response = await client.ask(prompt, **parameters)
        (received,) = server.requests
        return received.path, received.json(), response.warnings

    async def sent_prompt(self, prompt="Once", *, options=None, **parameters):
        """As `sent`, of a prompt that is no conversation."""
        return await self.sent(Generate(prompt=prompt, **parameters), options=options)


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides where a test goes, or with which key."""
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
