"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from llmmw_mistral._models import model_of
from llmmw_mistral._provider import Mistral
from llmmw_mistral._request import body_of

from llmmw import Client, Generate
from llmmw.testing import Answer, Server, open_server
from llmmw.wire import Losses

KEY = "mistral-test-0123456789abcdef"
MODEL = "mistral-small-latest"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Wire:
    """What a host sends, and how it is asked."""

    key = KEY

    def chat(self, *messages, finish="stop", **more) -> dict:
        """A whole answer; a text or a list stands for a message with that content."""
        choices = [
            {
                "index": at,
                "message": one if isinstance(one, dict) else {"role": "assistant", "content": one},
                "finish_reason": finish,
            }
            for at, one in enumerate(messages)
        ]
        fields = {"id": "cmpl-1", "object": "chat.completion", "created": 17, "model": "m-x"}
        return {**fields, "choices": choices, "usage": USAGE, **more}

    def chunk(self, delta=None, *, at=0, finish=None, **more) -> dict:
        """A piece of a stream."""
        choice = {"index": at, "delta": delta or {}, "finish_reason": finish}
        fields = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "m-x"}
        return {**fields, "choices": [choice], **more}

    def pieces(self, *contents, finish="stop", usage=USAGE) -> list[dict]:
        """The pieces of a stream; a text or a list stands for a delta with that content. The last
        one has the usage beside the reason to end."""
        deltas = [one if isinstance(one, dict) else {"content": one} for one in contents]
        first = self.chunk({"role": "assistant", "content": ""})
        last = self.chunk({"content": ""}, finish=finish, usage=usage)
        return [first, *(self.chunk(delta) for delta in deltas), last]

    def sse(self, *chunks, done=True) -> bytes:
        """Pieces as the host writes them."""
        rows = "".join(f"data: {json.dumps(one)}\n\n" for one in chunks)
        return (rows + ("data: [DONE]\n\n" if done else "")).encode()

    def streamed(self, *contents, **fields) -> Answer:
        """A stream that tells contents."""
        return self.stream(self.sse(*self.pieces(*contents, **fields)))

    def stream(self, *pieces, **fields) -> Answer:
        headers = {"Content-Type": "text/event-stream; charset=utf-8"}
        return Answer(headers=headers | fields.pop("headers", {}), pieces=pieces, **fields)

    def whole(self, data, status=200, **headers) -> Answer:
        """An answer that comes whole: JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        named = {name.replace("_", "-"): told for name, told in headers.items()}
        return Answer(
            status=status, headers={"Content-Type": "application/json"} | named, body=body
        )

    def provider(self, url, **options) -> Mistral:
        return Mistral(**({"name": "mistral", "base_url": url, "api_key": KEY} | options))

    @asynccontextmanager
    async def client(
        self, answers, *, stack=(), model=MODEL, **options
    ) -> AsyncIterator[tuple[Client, Server]]:
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = self.provider(server.url, **options)
            target = f"{provider.name}:{model}"
            async with Client(target, stack=list(stack), providers=[provider]) as client:
                yield client, server

    async def ask(self, answers, prompt="hi", *, stream=None, model=MODEL, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        async with self.client(answers, model=model) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()

    async def both(self, *contents, message=None, **parameters):
        """The same contents whole and streamed: they must be one response, which is given."""
        joined = message if message is not None else contents[0]
        whole = await self.ask(self.whole(self.chat(joined)), **parameters)
        streamed = await self.ask(self.streamed(*contents), **parameters)
        assert whole.parts == streamed.parts
        return streamed

    def body(self, messages="hi", *, model=MODEL, notes=None, stream=False, **fields) -> dict:
        """The body that a request becomes; it must lose nothing unless `notes` are given."""
        given = [messages] if isinstance(messages, str) else messages
        if "prompt" not in fields:
            fields["messages"] = given
        request = Generate(model=f"mistral:{model}", **fields)
        kept = notes if notes is not None else []
        losses = Losses(request, "mistral", kept)
        told = body_of(request, model_of(model), losses, stream=stream, extra=("mistral",))
        assert notes is not None or not kept
        return told

    def sent(self, *messages, **fields) -> list[dict]:
        """The messages of a body."""
        return self.body(list(messages), **fields)["messages"]


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides where a test goes, or with which key."""
    for name in ("MISTRAL_API_KEY", "MISTRAL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
