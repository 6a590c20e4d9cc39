"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from llmmw_anthropic._models import model_of
from llmmw_anthropic._notes import Notes
from llmmw_anthropic._provider import Anthropic
from llmmw_anthropic._request import body_of

from llmmw import Client, Generate
from llmmw.testing import Answer, Server, open_server

KEY = "sk-ant-test-0123456789abcdef"
MODEL = "claude-sonnet-4-5"


class Wire:
    """What a host sends, and how it is asked."""

    key = KEY

    def message(self, *content, stop="end_turn", **more) -> dict:
        """A whole message; a text stands for a block of it."""
        blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]
        fields = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x"}
        end = {"stop_reason": stop, "stop_sequence": None}
        usage = {"input_tokens": 10, "output_tokens": 5}
        return {**fields, "content": blocks, **end, "usage": usage, **more}

    def start(self, **more) -> dict:
        """How a stream begins."""
        return {"type": "message_start", "message": self.message(stop=None, **more)}

    def block(self, index, block, *deltas, stop=True) -> list[dict]:
        """The events of a block; a text stands for a delta of text."""
        kinds = {"type": "content_block_delta", "index": index}
        pieces = [{"type": "text_delta", "text": d} if isinstance(d, str) else d for d in deltas]
        begun = {"type": "content_block_start", "index": index, "content_block": block}
        ended = [{"type": "content_block_stop", "index": index}] * stop
        return [begun, *({**kinds, "delta": piece} for piece in pieces), *ended]

    def text(self, *pieces, index=0) -> list[dict]:
        """The events of a block of text."""
        return self.block(index, {"type": "text", "text": ""}, *pieces)

    def end(self, stop="end_turn", sequence=None, usage=None, **more) -> list[dict]:
        """How a stream ends."""
        delta = {"stop_reason": stop, "stop_sequence": sequence, **more}
        told = {"output_tokens": 7} if usage is None else usage
        return [
            {"type": "message_delta", "delta": delta, "usage": told},
            {"type": "message_stop"},
        ]

    def sse(self, *events) -> bytes:
        """Events as the host writes them."""
        rows = (f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
        return "".join(rows).encode()

    def events(self, *events, **fields) -> Answer:
        """An answer that is a stream."""
        return self.stream(self.sse(*events), **fields)

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

    def provider(self, url, **options) -> Anthropic:
        return Anthropic(**({"name": "anthropic", "base_url": url, "api_key": KEY} | options))

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

    async def ask(self, answers, prompt="hi", *, stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        async with self.client(answers) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()

    def body(self, messages="hi", *, model=MODEL, notes=None, **fields) -> dict:
        """The body that a request becomes; it must lose nothing unless `notes` are given."""
        given = [messages] if isinstance(messages, str) else messages
        request = Generate(model=f"anthropic:{model}", messages=given, **fields)
        kept = notes if notes is not None else []
        gathered = Notes(request, "anthropic", kept)
        told = body_of(request, model_of(model), gathered, stream=False, extra=("anthropic",))
        assert notes is not None or not kept
        return told


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides where a test goes, or with which key."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
