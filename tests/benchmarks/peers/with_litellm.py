"""LiteLLM's `acompletion`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the web for prices

import litellm
from _load import KEY, MESSAGES, STREAMS, Job, Told, serve, under_asyncio


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    options: Any = {"model": "openai/m", "messages": MESSAGES, "api_base": job.url, "api_key": KEY}

    async def request() -> Any:
        return await litellm.acompletion(**options)

    async def stream(told: Told) -> None:
        async for chunk in await litellm.acompletion(**options, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                told()

    yield stream if job.kind in STREAMS else request


serve(partial(under_asyncio, _opened))
