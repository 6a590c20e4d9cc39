"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from llmmw_substrate._models import model_of
from llmmw_substrate._provider import SubstrateProvider
from llmmw_substrate._request import NODE, generate_graph

from llmmw import Client, Generate
from llmmw.testing import Answer, Server, open_server
from llmmw.wire import Losses

KEY = "sk-0123456789abcdef-of-tests"
MODEL = "Llama3Instruct8B"


class Wire:
    """What a host sends, and how it is asked."""

    key = KEY

    def result(self, *texts, **more) -> dict:
        """The result of a model by its name."""
        return {"choices": [{"text": one} for one in texts], **more}

    def delta(self, data, name="node_id") -> dict:
        return {"object": "node.delta", name: NODE, "data": data}

    def choice(self, text, index=0) -> dict:
        """A piece of a choice."""
        item = {"object": "array.item", "index": index, "item": {"text": text}}
        return self.delta({"choices": item})

    def ended(self, result) -> list[dict]:
        """How a stream ends."""
        return [
            {"object": "node.result", "node_id": NODE, "data": result},
            {"object": "graph.result", "data": {NODE: result}},
        ]

    def error(self, kind="api_error", message="it broke", status=500) -> dict:
        return {"type": kind, "message": message, "request_id": "r1", "status_code": status}

    def sse(self, *messages) -> bytes:
        return "".join(f"data: {json.dumps(one)}\n\n" for one in messages).encode()

    def events(self, *messages, **fields) -> Answer:
        """An answer that is a stream."""
        headers = {"Content-Type": "text/event-stream"}
        return Answer(headers=headers, pieces=[self.sse(*messages)], **fields)

    def whole(self, result, status=200, **headers) -> Answer:
        """An answer that comes whole."""
        body = json.dumps({"data": {NODE: result}}).encode()
        return self.body(body, status, **headers)

    def body(self, body, status=200, **headers) -> Answer:
        named = {name.replace("_", "-"): told for name, told in headers.items()}
        return Answer(
            status=status, headers={"Content-Type": "application/json"} | named, body=body
        )

    def provider(self, url, **options) -> SubstrateProvider:
        given = {"name": "substrate", "base_url": url, "api_key": KEY} | options
        return SubstrateProvider(**given)

    @asynccontextmanager
    async def client(self, answers, *, model=MODEL, **options) -> AsyncIterator[
        tuple[Client, Server]
    ]:  # fmt: skip
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = self.provider(server.url, **options)
            target = f"substrate:{model}"
            async with Client(target, stack=[], providers=[provider]) as client:
                yield client, server

    async def ask(self, answers, prompt="hi", *, model=MODEL, stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        async with self.client(answers, model=model) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()

    def args(self, messages="hi", *, model=MODEL, losses=None, **fields) -> dict:
        """The arguments that a request becomes; it must lose nothing unless `losses` are given."""
        given = [messages] if isinstance(messages, str) else messages
        request = Generate(model=f"substrate:{model}", messages=given, **fields)
        kept = losses if losses is not None else []
        gathered = Losses(request, "substrate", kept)
        (node,) = generate_graph(request, model_of(model), gathered, ("substrate",))["nodes"]
        assert losses is not None or not kept
        return node


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides with which key a test asks."""
    monkeypatch.delenv("SUBSTRATE_API_KEY", raising=False)
