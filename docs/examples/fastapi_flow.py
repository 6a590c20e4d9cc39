"""A flow over HTTP, as server-sent events that a browser's EventSource reads.

uvicorn --app-dir docs/examples --factory fastapi_flow:create_app
"""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from llmmw import aio, flow


class EventStream(StreamingResponse):
    """Server-sent events out of a generator, which is closed when the client leaves."""

    media_type = "text/event-stream"

    async def stream_response(self, send):
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


def city_facts(country: str):
    city = flow.generate_text(f"Name a city in {country}.").with_options(id="city")
    question = flow.format("What is {city} known for?", city=city).with_options(hidden=True)
    return flow.generate_text(question).with_options(id="facts")


PAGE = """<!doctype html><title>Cities</title><pre></pre><script>
const shown = {}
const source = new EventSource("city?country=" + (location.search.slice(1) || "Peru"))
source.onmessage = (event) => {
  const {object, node_id, data, replace} = JSON.parse(event.data)
  if (object == "node.delta") shown[node_id] = (replace ? "" : shown[node_id] || "") + data.text
  if (object == "graph.result" || object == "graph.error") source.close()
  document.querySelector("pre").textContent = JSON.stringify(shown)
}
</script>"""


def create_app(client: aio.Client | None = None) -> FastAPI:
    llm = client or aio.Client(os.environ.get("LLMMW_MODEL", "local:smollm2"))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with llm:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/city")
    async def city(country: str, request: Request) -> Response:
        if "last-event-id" in request.headers:  # a browser that lost us would ask all again
            return Response(status_code=204)
        return EventStream(llm.sse(city_facts(country)))

    return app
