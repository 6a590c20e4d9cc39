"""Our pool alone, and our transport under httpx."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from _load import BODY, KEY, Job, serve, under_trio

from llmmw.wire._client import tls
from llmmw.wire._http1 import Http1Transport, Pool, Request, head_of, target_of


@asynccontextmanager
async def _pool(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    pool, target = Pool(tls=tls), target_of(f"{url}/chat/completions")
    rows = [(b"Host", target.host), (b"Content-Type", b"application/json")]
    rows += [(b"Authorization", f"Bearer {KEY}".encode())]
    head = head_of("POST", target.path, rows)

    async def call() -> Any:
        body = json.dumps(BODY).encode()
        whole = head + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        answer = await pool.send(target.origin, Request(whole, body, len(body)))
        return json.loads(b"".join([piece async for piece in answer]))

    try:
        yield call
    finally:
        pool.close()


@asynccontextmanager
async def _transport(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with httpx.AsyncClient(transport=Http1Transport(), headers=headers) as client:

        async def call() -> Any:
            body = json.dumps(BODY).encode()
            answer = await client.post(f"{url}/chat/completions", content=body)
            return json.loads(answer.content)

        yield call


@asynccontextmanager
async def _requests(job: Job) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    async with (_pool if job.variant == "pool" else _transport)(job.url) as call:
        yield call


serve(partial(under_trio, _requests))
