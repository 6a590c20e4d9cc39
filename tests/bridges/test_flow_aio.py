"""Flows from asyncio programs, and as the body of a web response."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from llmmw import aio
from llmmw.errors import BadRequest
from llmmw.flow import (
    GraphResult,
    NodeDelta,
    Registry,
    executable,
    generate_text,
    registry,
)
from llmmw.wire import SSEDecoder
from tests.bridges.conftest import run_in_asyncio

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "fastapi_flow.py"


@executable
def add(left, right):
    return left + right


@executable
def grow(text):
    for end in range(1, len(text) + 1):
        yield text[:end]


@executable
def fail(message="it broke"):
    raise ValueError(message)


@pytest.fixture
def used(hold, each_way):
    """Run an async function with an open client."""

    def use(body: Callable) -> object:
        async def main():
            async with aio.Client("hold:a", providers=[hold], stack=[]) as client:
                async with asyncio.timeout(60):
                    return await body(client)

        return run_in_asyncio(main())

    return use


def test_run_gives_the_result(used, hold) -> None:
    hold.call("hi").answer.set()
    flow = {"a": generate_text("hi"), "b": add(1, 2)}
    assert used(lambda client: client.run(flow)) == {"a": "one two", "b": 3}


def test_a_cancelled_task_ends_its_run(used, hold) -> None:
    async def body(client):
        task = asyncio.create_task(client.run(generate_text("hi")))
        while not hold.live:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return hold.live

    assert used(body) == 0
    assert hold.call("hi").outcome == "cancelled"


def test_a_stream_is_read_by_several_tasks(used, hold) -> None:
    asked, grown = generate_text("hi"), grow("ab")

    async def body(client):
        async with client.stream([asked, grown]) as events:

            async def read(reader):
                return [one async for one in reader]

            readers = [asyncio.create_task(read(one)) for one in (*events.tee(2), events)]
            pieces = [one async for one in events.get(grown)][:-1]
            assert [one.text for one in pieces] == ["a", "b"]
            await hold.let_go_soon("hi")
            assert await events.get(asked).result() == "one two"
            assert await events.result() == ["one two", "ab"]
            first, second, third = [await one for one in readers]
            assert first == second == third
            assert isinstance(first[-1], GraphResult)
            messages = [one async for one in events.messages()]
            text = "".join([one async for one in events.sse()])
            assert [json.loads(one.data) for one in SSEDecoder().feed(text.encode())] == messages
            with pytest.raises(BadRequest, match="no result of 'nobody'"):
                await events.get("nobody").result()

    used(body)


def test_leaving_the_block_ends_the_run(used, hold) -> None:
    async def body(client):
        async with client.stream(generate_text("hi")) as events:
            async for event in events:
                if isinstance(event, NodeDelta):
                    break
        assert (hold.live, hold.call("hi").outcome) == (0, "cancelled")
        with pytest.raises(RuntimeError, match="cancelled"):
            await events.result()
        with pytest.raises(KeyError):
            async with client.stream(generate_text("again")) as events:
                async for _ in events:
                    raise KeyError
        assert (hold.live, hold.call("again").outcome) == (0, "cancelled")

    used(body)


def test_an_error_is_told_then_raised(used) -> None:
    async def body(client):
        seen = []
        with pytest.raises(ValueError, match="it broke"):
            async with client.stream(fail()) as events:
                async for event in events:
                    seen.append(type(event).__name__)
        assert seen == ["NodeError"]
        with pytest.raises(BadRequest, match="depth="):
            async with client.stream(grow("a"), depth=-5):
                raise AssertionError("not reached")

    used(body)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_runs_in_the_callers_task(used, is_async) -> None:  # O5
    heard = []

    async def later(event):
        await asyncio.sleep(0)
        heard.append((threading.current_thread(), type(event)))

    def now(event):
        heard.append((threading.current_thread(), type(event)))

    async def body(client):
        assert await client.run(grow("ab"), on_event=later if is_async else now) == "ab"

    used(body)
    assert {thread for thread, _ in heard} == {threading.current_thread()}
    assert heard[-1][1] is GraphResult


def test_tasks_have_their_own_registries(used) -> None:  # O18, O24
    async def body(client):
        async def one(name):
            with registry(Registry()):
                generate_text.configure(lambda prompt: f"{name} {prompt}")
                await asyncio.sleep(0)
                async with client.stream(generate_text("b")) as events:
                    return await client.run(generate_text("a")), await events.result()

        return await asyncio.gather(one("x"), one("y"))

    assert used(body) == [("x a", "x b"), ("y a", "y b")]


def test_the_text_of_server_sent_events_owns_its_run(used, hold) -> None:
    async def body(client):
        texts = client.sse([grow("ab"), generate_text("hi")], keep_alive=0.01)
        async with aclosing(texts):
            async for text in texts:
                if text.startswith(":"):
                    break
            assert hold.live == 1
        assert (hold.live, hold.call("hi").outcome) == (0, "cancelled")

    used(body)


@contextmanager
def served(hold) -> Iterator[httpx.Client]:
    """The example over real HTTP."""
    spec = importlib.util.spec_from_file_location("fastapi_flow", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    client = aio.Client("hold:a", providers=[hold], stack=[])
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


def test_the_example_streams_a_flow(hold) -> None:  # S37
    first, then = "Name a city in Peru.", "What is one two known for?"
    with served(hold) as http, http.stream("GET", "/city", params={"country": "Peru"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        hold.let_go(first)
        hold.let_go(then)
        decoder = SSEDecoder()
        messages = [
            json.loads(one.data) for part in answer.iter_bytes() for one in decoder.feed(part)
        ]
    assert messages[-1] == {
        "object": "graph.result",
        "data": {"city": {"text": "one two"}, "facts": {"text": "one two"}},
    }
    texts = [one["data"]["text"] for one in messages if one["object"] == "node.delta"]
    assert texts == ["one ", "two"] * 2


def test_a_browser_that_leaves_ends_the_run(hold) -> None:
    with served(hold) as http:
        with http.stream("GET", "/city", params={"country": "Chile"}) as answer:
            assert next(answer.iter_text()).startswith("id: 1")
        held = hold.call("Name a city in Chile.")
        assert held.over.wait(30)
        assert held.outcome == "cancelled"
        again = http.get("/city", params={"country": "x"}, headers={"Last-Event-ID": "3"})
        assert again.status_code == 204
