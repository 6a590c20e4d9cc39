"""httpx alone, under trio."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from _load import BODY, KEY, Job, serve, under_trio


@asynccontextmanager
async def _requests(job: Job) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    limits = httpx.Limits(max_connections=2000, max_keepalive_connections=2000)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with httpx.AsyncClient(limits=limits, headers=headers, timeout=600) as client:

        async def call() -> Any:
            body = json.dumps(BODY).encode()
            answer = await client.post(f"{job.url}/chat/completions", content=body)
            return json.loads(answer.content)

        yield call


serve(partial(under_trio, _requests))
