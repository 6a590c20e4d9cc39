"""Answers over HTTP: whole, or piece by piece as server-sent events.

uvicorn --app-dir docs/examples --factory fastapi_app:create_app
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from llmmw import aio
from llmmw.errors import LLMError


class EventStream(StreamingResponse):
    """Server-sent events out of a generator, which is closed when the client leaves."""

    media_type = "text/event-stream"

    async def stream_response(self, send):
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


def event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def events(client: aio.Client, prompt: str) -> AsyncIterator[str]:
    try:
        async with client.stream(prompt) as stream:
            async for piece in stream.text:
                yield event("text", piece)
            yield event("end", stream.response.finish_reason)
    except LLMError as error:
        yield event("error", str(error))


def create_app(client: aio.Client | None = None) -> FastAPI:
    llm = client or aio.Client(os.environ.get("LLMMW_MODEL", "local:smollm2"))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with llm:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/answer")
    async def answer(prompt: str) -> dict[str, str]:
        try:
            return {"text": (await llm.ask(prompt)).text}
        except LLMError as error:
            raise HTTPException(502, str(error)) from error

    @app.get("/stream")
    async def stream(prompt: str) -> EventStream:
        return EventStream(events(llm, prompt))

    return app
