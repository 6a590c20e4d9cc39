"""The official Anthropic client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anthropic
from _load import KEY, MESSAGES, Job, serve, under_asyncio


@asynccontextmanager
async def _requests(job: Job) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    url = job.url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY) as client:
        create: Any = client.messages.create

        async def call() -> Any:
            return await create(model="m", messages=MESSAGES, max_tokens=1000)

        yield call


serve(partial(under_asyncio, _requests))
