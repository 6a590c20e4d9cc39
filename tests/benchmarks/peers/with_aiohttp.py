"""aiohttp alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from _load import BODY, KEY, Job, serve, under_asyncio


@asynccontextmanager
async def _requests(job: Job) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    line = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=line, headers=headers) as session:

        async def call() -> Any:
            body = json.dumps(BODY).encode()
            async with session.post(f"{job.url}/chat/completions", data=body) as answer:
                return json.loads(await answer.read())

        yield call


serve(partial(under_asyncio, _requests))
