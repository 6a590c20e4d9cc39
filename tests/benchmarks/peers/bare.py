"""The floor: httptools over trio's streams, and a list of idle connections. Nothing can fail."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httptools
import trio
from _lasting import lasting
from _load import BODY, KEY, STREAMS, Job, Told, serve


class _Answer:
    def __init__(self) -> None:
        self.done = False
        self.pieces: list[bytes] = []

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.done = True


class _Client:
    def __init__(self, url: str, loads: Callable[[bytes], Any]) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.secure = ssl.create_default_context() if parts.scheme == "https" else None
        head = f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        head += f"Content-Type: application/json\r\nAuthorization: Bearer {KEY}\r\n"
        self.head = head.encode() + b"Content-Length: %d\r\n\r\n"
        self.idle: list[trio.abc.Stream] = []
        self.loads = loads

    async def connect(self) -> trio.abc.Stream:
        if self.secure is None:
            return await trio.open_tcp_stream(self.host, self.port)
        return await trio.open_ssl_over_tcp_stream(
            self.host, self.port, ssl_context=self.secure, https_compatible=True
        )

    async def send(self, body: bytes) -> trio.abc.Stream:
        stream = self.idle.pop() if self.idle else await self.connect()
        await stream.send_all(self.head % len(body) + body)
        return stream

    async def request(self) -> Any:
        stream = await self.send(json.dumps(BODY).encode())
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        while not answer.done:
            parser.feed_data(await stream.receive_some(65536))
        self.idle.append(stream)
        return self.loads(b"".join(answer.pieces))

    async def stream(self, told: Told) -> None:
        stream = await self.send(json.dumps({**BODY, "stream": True}).encode())
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        rest, loads = b"", self.loads
        while not answer.done:
            parser.feed_data(await stream.receive_some(65536))
            *events, rest = (rest + b"".join(answer.pieces)).split(b"\n\n")
            answer.pieces.clear()
            for event in events:
                if event != b"data: [DONE]":
                    chunk = loads(event[6:])
                    if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                        told()
        self.idle.append(stream)


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    loads: Callable[[bytes], Any] = json.loads
    if job.variant == "orjson":
        import orjson

        loads = orjson.loads
    client = _Client(job.url, loads)
    try:
        yield client.stream if job.kind in STREAMS else client.request
    finally:
        for stream in client.idle:
            await trio.aclose_forcefully(stream)


serve(partial(lasting, _opened))
