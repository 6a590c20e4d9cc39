"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from llmmw_google._provider import Google
from llmmw_google._vertex import Vertex

from llmmw import Client
from llmmw.testing import Answer, Server, open_server

KEY = "AIzaSyTest-0123456789abcdef"


class Wire:
    """What a host sends, and how it is asked."""

    key = KEY

    def piece(self, *parts, finish=None, index=None, **more) -> dict:
        """A piece of an answer, or a whole one: texts, or parts as they are."""
        rows = [{"text": one} if isinstance(one, str) else one for one in parts]
        candidate = {"content": {"role": "model", "parts": rows}} if rows else {}
        candidate |= {"finishReason": finish} if finish else {}
        candidate |= {} if index is None else {"index": index}
        return {"candidates": [candidate], "modelVersion": "m-1", "responseId": "r-1", **more}

    def sse(self, *events, end="\r\n") -> bytes:
        return b"".join(f"data: {json.dumps(one)}{end}{end}".encode() for one in events)

    def events(self, *events, **fields) -> Answer:
        """An answer that is a stream of events."""
        return self.stream(self.sse(*events), **fields)

    def array(self, *elements) -> bytes:
        rows = "\n,\r\n".join(json.dumps(one, indent=1) for one in elements)
        return f"[{rows}\n]".encode()

    def stream(self, *pieces, kind="text/event-stream", **fields) -> Answer:
        return Answer(headers={"Content-Type": kind}, pieces=pieces, **fields)

    def whole(self, data, status=200, **headers) -> Answer:
        """An answer that comes whole: JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        return Answer(status=status, headers=kind | headers, body=body)

    def error(self, code, status="", message="no", *details) -> dict:
        return {"error": {"code": code, "message": message, "status": status, "details": details}}

    def provider(self, url, host="google", **options):
        if host == "vertex":
            fixed = {"token": KEY, "project": "p-1", "location": "there"}
            return Vertex(**{"name": host, "base_url": url} | fixed | options)
        return Google(**{"name": host, "base_url": url, "api_key": KEY} | options)

    @asynccontextmanager
    async def client(
        self, answers, host="google", *, model="gemini-3-flash", stack=(), **options
    ) -> AsyncIterator[tuple[Client, Server]]:
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = self.provider(server.url, host, **options)
            target = f"{provider.name}:{model}"
            async with Client(target, stack=list(stack), providers=[provider]) as client:
                yield client, server

    async def ask(self, answers, prompt="hi", *, host="google", stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        model = parameters.pop("model", "gemini-3-flash")
        async with self.client(answers, host, model=model) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()

    async def sent(self, prompt="hi", *, host="google", model="gemini-3-flash", **parameters):
        """The body that a request becomes, and the warnings."""
        answer = self.whole(self.piece("x", finish="STOP"))
        async with self.client(answer, host, model=model) as (client, server):
            response = await client.ask(prompt, **parameters)
        (received,) = server.requests
        return received.json(), response.warnings


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides where a test goes, or with which key."""
    for name in (
        *("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_BASE_URL", "VERTEX_BASE_URL"),
        *("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"),
        *("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
    ):
        monkeypatch.delenv(name, raising=False)
