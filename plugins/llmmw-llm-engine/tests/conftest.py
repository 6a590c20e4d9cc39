"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from llmmw_llm_engine._chat import extra_of
from llmmw_llm_engine._completion import asked_of, completion_body
from llmmw_llm_engine._provider import LLMEngine

from llmmw import Call, Client, Generate
from llmmw.testing import Answer, Server, open_host, open_server
from llmmw.wire import Losses

KEY = "scale-test-0123456789abcdef"


class Wire:
    """What a host sends, and how it is asked."""

    key = KEY

    def output(self, text="a text", **more) -> dict:
        """A whole completion of the first API."""
        made = {"num_prompt_tokens": 3, "num_completion_tokens": 2}
        return {"request_id": "req-1", "output": {"text": text, **made, **more}}

    def piece(self, text, number, *, finished=False, **more) -> dict:
        """A piece of one."""
        counts = {"num_prompt_tokens": 3, "num_completion_tokens": number}
        output = {"text": text, "finished": finished, **counts, **more}
        return {"request_id": "req-1", "output": output, "error": None}

    def pieces(self, *texts, **more) -> list[dict]:
        """All pieces of one."""
        last = len(texts)
        return [
            self.piece(text, number, finished=number == last, **more)
            for number, text in enumerate(texts, 1)
        ]

    def error(self, status, message) -> dict:
        """How a stream ends that fails, by either API."""
        content = {"error": message, "timestamp": "2024-08-01 10:00:00 PDT"}
        error = {"status_code": status, "content": content}
        return {"request_id": "req-1", "output": None, "error": error}

    def chat(self, content="a text", *, finish="stop", **more) -> dict:
        """A whole chat of the second API."""
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": finish, **more}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return {"id": "chatcmpl-1", "created": 7, "model": "m", "choices": [choice], "usage": usage}

    def chunks(self, *texts, finish="stop") -> list[dict]:
        """The pieces of one; the usage comes with the last."""
        base = {"id": "chatcmpl-1", "created": 7, "model": "m"}
        rows = [base | {"choices": [{"index": 0, "delta": {"content": one}}]} for one in texts]
        end = {"index": 0, "delta": {}, "finish_reason": finish}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return [*rows, base | {"choices": [end]}, base | {"choices": [], "usage": usage}]

    def sse(self, *events, end=b"") -> bytes:
        """Events as the host's server writes them: with comments, and lines that end with CRLF."""
        rows = (f"data: {json.dumps(e)}\r\n\r\n" for e in events)
        return b": ping - 2024-08-01 10:00:00+00:00\r\n\r\n" + "".join(rows).encode() + end

    def stream(self, *pieces, **fields) -> Answer:
        headers = {"Content-Type": "text/event-stream; charset=utf-8"}
        return Answer(headers=headers | fields.pop("headers", {}), pieces=pieces, **fields)

    def events(self, *events, end=b"", **fields) -> Answer:
        """An answer that is a stream."""
        return self.stream(self.sse(*events, end=end), **fields)

    def whole(self, data, status=200, **headers) -> Answer:
        """An answer that comes whole: JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        named = {name.replace("_", "-"): told for name, told in headers.items()}
        return Answer(
            status=status, headers={"Content-Type": "application/json"} | named, body=body
        )

    def provider(self, url, **options) -> LLMEngine:
        return LLMEngine(**({"name": "llm-engine", "base_url": url, "api_key": KEY} | options))

    @asynccontextmanager
    async def client(
        self, answers, *, stack=(), model="m", **options
    ) -> AsyncIterator[tuple[Client, Server]]:
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = self.provider(server.url, **options)
            target = f"{provider.name}:{model}"
            async with Client(target, stack=list(stack), providers=[provider]) as client:
                yield client, server

    async def ask(self, answers, prompt=None, *, stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        asked = Generate(prompt="hi", **parameters) if prompt is None else prompt
        given = {} if prompt is None else parameters
        async with self.client(answers) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(asked, **given)
            async with client.stream(asked, **given) as told:
                return await told.wait_response()

    def completion(self, **fields) -> dict:
        """The body that a prompt becomes by the first API; it must lose nothing."""
        request = Generate(model="llm-engine:m", prompt="hi", **fields)
        asked, warnings = asked_of(request)
        losses = Losses(request, "llm-engine", list(warnings))
        body = completion_body(asked, losses, extra_of(request, "llm-engine"))
        assert not losses.warnings
        return body

    def body(self, **fields) -> dict:
        """The body that a request becomes by the second API."""
        given = {} if "prompt" in fields else {"messages": ["hi"]}
        return self.sent(Generate(model="llm-engine:m", **(given | fields)), api="v2")[0]

    def sent(self, request, **options) -> tuple[dict, tuple[str, ...]]:
        """The body that a request becomes, and the warnings of its answer."""
        bodies = []

        def answered(received: httpx.Request) -> httpx.Response:
            bodies.append(json.loads(received.content))
            logprobs = bodies[0].get("logprobs") is True
            told = self.output() if "/v1/" in received.url.path else self.chat(logprobs=logprobs)
            rows = told.get("choices", [{}])
            told |= {"choices": [{**rows[0], "index": at} for at in range(bodies[0].get("n", 1))]}
            body = httpx.ByteStream(json.dumps(told).encode())  # not read yet
            return httpx.Response(200, headers={"Content-Type": "application/json"}, stream=body)

        async def main():
            async with httpx.AsyncClient(transport=httpx.MockTransport(answered)) as http:
                provider = self.provider("http://host", http=http, **options)
                async with open_host() as host, provider.open(host):
                    return await provider(Call(request))

        told = trio.run(main)
        return bodies[0], told.warnings


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No variable of this machine decides where a test goes, or with which key."""
    for name in ("SCALE_API_KEY", "LLM_ENGINE_BASE_PATH"):
        monkeypatch.delenv(name, raising=False)
