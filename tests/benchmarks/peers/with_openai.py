"""The official OpenAI client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import openai
from _load import KEY, MESSAGES, STREAMS, Job, Told, serve, under_asyncio


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    async with openai.AsyncOpenAI(base_url=job.url, api_key=KEY) as client:
        create: Any = client.chat.completions.create

        async def request() -> Any:
            return await create(model="m", messages=MESSAGES)

        async def stream(told: Told) -> None:
            async for chunk in await create(model="m", messages=MESSAGES, stream=True):
                if chunk.choices and chunk.choices[0].delta.content:
                    told()

        yield stream if job.kind in STREAMS else request


serve(partial(under_asyncio, _opened))
