"""The FastAPI example over real HTTP, with clients that leave."""

import importlib.util
import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import attrs
import httpx
import pytest
import trio
import uvicorn

from llmmw import Call, Response, aio
from llmmw.errors import ServerError, StreamInterrupted
from llmmw.plugin import Provider, ResponseBuilder

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "fastapi_app.py"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "fastapi.md"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serve(example: ModuleType) -> Callable:
    @contextmanager
    def run(provider: Provider, stack: list | None = None) -> Iterator[httpx.Client]:
        client = aio.Client(f"{provider.name}:a", providers=[provider], stack=stack)
        # It listens before the server runs, so nobody has to wait for that.
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(example.create_app(client), log_config=None, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
                yield http
        finally:
            server.should_exit = True
            thread.join(30)
            listening.close()

    return run


def told(lines: Iterator[str]) -> list[tuple[str, object]]:
    """The events of a stream, as (name, data)."""
    values = [line.partition(": ")[2] for line in lines if line]
    return list(zip(values[::2], map(json.loads, values[1::2]), strict=True))


def test_a_whole_answer(serve, hold) -> None:
    with serve(hold, stack=[]) as http:
        hold.call("hi").answer.set()
        got = http.get("/answer", params={"prompt": "hi"})
        assert (got.status_code, got.json()) == (200, {"text": "one two"})
        hold.call("no").answer.set()
        hold.call("no").error = ServerError("boom")
        got = http.get("/answer", params={"prompt": "no"})
        assert (got.status_code, got.json()) == (502, {"detail": "hold:a: boom"})
        assert hold.opened
    assert not hold.opened


def test_a_streamed_answer_comes_as_it_is_written(serve, hold) -> None:
    with serve(hold, stack=[]) as http:
        with http.stream("GET", "/stream", params={"prompt": "hi"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert [next(lines) for _ in range(2)] == ["event: text", 'data: "one "']
            hold.let_go("hi")
            assert told(lines) == [("text", "two"), ("end", "stop")]
        with http.stream("GET", "/stream", params={"prompt": "cut"}) as response:
            hold.let_go("cut", StreamInterrupted("the line broke"))
            assert [name for name, _ in told(response.iter_lines())] == ["text", "error"]


def leave(http: httpx.Client, prompt: str) -> float:
    """Read the first event, and leave; when that was."""
    with http.stream("GET", "/stream", params={"prompt": prompt}) as response:
        lines = response.iter_lines()  # kept: without it, the socket is closed
        assert next(lines) == "event: text"
        return time.monotonic()


def test_the_call_ends_soon_after_its_client_left(serve, hold) -> None:
    """Measured for each of many, from before the socket is closed to the end of the call."""
    with serve(hold) as http:
        after = []
        for number in range(15):
            left = leave(http, str(number))
            held = hold.call(str(number))
            assert held.over.wait(30)
            assert held.outcome == "cancelled"
            after.append(held.ended - left)
        assert statistics.median(after) < 0.1, after
        assert sum(seconds < 0.1 for seconds in after) >= 13, after
        assert hold.live == 0
        hold.call("after").answer.set()
        assert http.get("/answer", params={"prompt": "after"}).json() == {"text": "one two"}


def test_one_that_leaves_does_not_disturb_the_others(serve, hold) -> None:
    with serve(hold) as http, httpx.Client(base_url=http.base_url, timeout=60) as other:
        with other.stream("GET", "/stream", params={"prompt": "stays"}) as response:
            leave(http, "leaves")
            assert hold.call("leaves").over.wait(30)
            hold.let_go("stays")
            assert told(response.iter_lines())[-1] == ("end", "stop")
    assert hold.call("stays").outcome == "ok"


@attrs.define(eq=False)
class Flood(Provider):
    """Tells more than sockets hold, and then never ends."""

    told: threading.Event = attrs.field(factory=threading.Event)
    over: threading.Event = attrs.field(factory=threading.Event)
    ended: float = 0.0

    async def __call__(self, call: Call) -> Response:
        builder = ResponseBuilder(call, self.name)
        try:
            for _ in range(400):
                await builder.text("x" * 100_000)
            self.told.set()
            await trio.sleep_forever()
            raise AssertionError
        finally:
            self.ended = time.monotonic()
            self.over.set()


def test_a_client_that_reads_nothing_and_leaves(serve) -> None:
    """The server waits for room in the socket then, and has the rest of the answer at hand."""
    flood = Flood(name="flood")
    with serve(flood) as http:
        with http.stream("GET", "/stream", params={"prompt": "hi"}):
            assert flood.told.wait(30)
            left = time.monotonic()
        assert flood.over.wait(30)
    assert flood.ended - left < 0.1


def test_the_page_shows_the_example() -> None:
    code = EXAMPLE.read_text("utf-8").partition('"""\n\n')[2]
    assert code.strip() in PAGE.read_text("utf-8")
