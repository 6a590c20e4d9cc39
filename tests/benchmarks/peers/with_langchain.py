"""LangChain's ChatOpenAI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from _load import KEY, QUESTION, STREAMS, Job, Told, serve, under_asyncio
from langchain_openai import ChatOpenAI


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    options: Any = {"model": "m", "base_url": job.url, "api_key": KEY}
    model = ChatOpenAI(**options)

    async def request() -> Any:
        return await model.ainvoke(QUESTION)

    async def stream(told: Told) -> None:
        async for chunk in model.astream(QUESTION):
            if chunk.content:
                told()

    yield stream if job.kind in STREAMS else request


serve(partial(under_asyncio, _opened))
