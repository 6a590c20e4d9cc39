"""`llmmw.Client`, under trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from _lasting import lasting
from _load import QUESTION, STREAMS, Job, Told, serve
from _options import asked_of, options_of, target_of

from llmmw import Client


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    asked = asked_of(job)
    async with Client(target_of(job), **options_of(job)) as client:

        async def request() -> Any:
            return await client.ask(QUESTION, **asked)

        async def stream(told: Told) -> None:
            async with client.stream(QUESTION) as answer:
                async for _ in answer.text:
                    told()

        yield stream if job.kind in STREAMS else request


serve(partial(lasting, _opened))
