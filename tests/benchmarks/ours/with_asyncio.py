"""`llmmw.aio`, by its thread or as a guest of the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from _load import QUESTION, STREAMS, Job, Told, serve, under_asyncio
from _options import options_of, target_of

from llmmw import aio


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    home: Any = nullcontext()
    if "guest" in job.variant:
        home = aio.guest()
    async with home, aio.Client(target_of(job), **options_of(job)) as client:

        async def request() -> Any:
            return await client.ask(QUESTION)

        async def stream(told: Told) -> None:
            async with client.stream(QUESTION) as answer:
                async for _ in answer.text:
                    told()

        yield stream if job.kind in STREAMS else request


serve(partial(under_asyncio, _opened))
