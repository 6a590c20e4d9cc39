"""Connections: used again, given back, and closed at once by whoever leaves."""

from __future__ import annotations

import httpx
import pytest
import trio

from llmmw import Client
from llmmw.errors import ConfigError, LLMError
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins


def good(wire):
    return wire.whole(wire.chat({"content": "x"}))


def endless(wire):
    """A stream that says a word and then nothing."""
    return wire.stream(wire.sse(wire.chunk({"content": "x"}), done=False), trio.sleep_forever)


async def test_calls_in_a_row_share_one(wire):
    answers = [
        good(wire),
        wire.events(wire.chunk({"content": "x"}, "stop")),
        wire.events(wire.chunk({"content": "x"}, "stop"), done=False),
        wire.whole({"error": {"message": "no"}}, 400),
        wire.whole({"error": {"message": "no"}}, 503),
        wire.whole({"data": [{"index": 0, "embedding": [1.0]}]}),
        good(wire),
    ]
    async with wire.client(answers) as (client, server):
        await client.ask("hi")
        for _ in range(2):
            async with client.stream("hi") as stream:
                await stream.wait_response()
        for _ in range(2):
            with pytest.raises(LLMError):
                await client.ask("hi")
        await client.embed("a")
        await client.ask("hi")
        assert (server.connections, len(server.requests)) == (1, 7)


async def test_none_is_left_when_the_client_closes(wire):
    async with open_server(good(wire)) as server:
        provider = wire.provider(server.url)
        async with Client("openai:m", providers=[provider]) as client:
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(client.ask, "hi")
            assert server.alive > 0
        with trio.fail_after(2):
            await server.idle.wait()
        assert server.alive == 0


async def gone(server, since):
    """The host sees within 100 ms that a client has left."""
    with trio.fail_after(2):
        await server.left.wait()
        await server.idle.wait()
    assert server.left_at - since < 0.1


async def test_a_stream_that_is_left_closes_its_own(wire):
    async with wire.client(endless(wire)) as (client, server):
        async with client.stream("hi") as stream:
            async for text in stream.text:
                assert text == "x"
                break
            left = trio.current_time()
        await gone(server, left)


async def test_what_the_caller_raises_closes_it_too(wire):
    async def listener(delta):
        raise ZeroDivisionError

    more = [wire.chunk({"content": "y"})] * 50
    answer = wire.stream(
        wire.sse(wire.chunk({"content": "x"}), *more, done=False), trio.sleep_forever
    )
    async with wire.client(answer) as (client, server):
        left = trio.current_time()
        with pytest.raises(ZeroDivisionError):
            await client.ask("hi", listener=listener)
        await gone(server, left)


async def test_a_timeout_closes_it(wire):
    async with wire.client(endless(wire)) as (client, server):
        with pytest.raises(LLMError, match="total"):
            await client.ask("hi", timeout=0.05)
        await gone(server, trio.current_time())


async def test_a_host_that_says_done_and_goes_on(wire):
    """Whoever has the answer does not wait for more of it."""
    body = wire.sse(wire.chunk({"content": "x"}, "stop"))
    async with wire.client(wire.stream(body, trio.sleep_forever)) as (client, server):
        with trio.fail_after(2):
            async with client.stream("hi") as stream:
                assert (await stream.wait_response()).text == "x"
            await server.idle.wait()


async def test_many_at_once(wire):
    here = 0
    most = 0
    all_here = trio.Event()

    async def answer(received):
        nonlocal here, most
        here += 1
        most = max(most, here)
        if here == 64:
            all_here.set()
        await all_here.wait()
        here -= 1
        return wire.whole(wire.chat({"content": received.json()["messages"][0]["content"]}))

    prompts = [f"q{k}" for k in range(64)] * 2
    async with wire.client(answer) as (client, server):
        with trio.fail_after(20):
            async with client.map(prompts, concurrency=64) as items:
                told = [item.response.text async for item in items]
        assert told == prompts
        assert most == 64
        assert server.connections == 64


async def test_a_clients_own_httpx(wire):
    seen = []

    async def hook(request):
        seen.append(request.url.path)

    async with httpx.AsyncClient(
        event_hooks={"request": [hook]}, timeout=0.001, headers={"X-Mine": "1"}
    ) as http:

        async def slow(received):
            await trio.sleep(0.02)  # longer than the client's own limit, which does not count
            return good(wire)

        async with wire.client(slow, http=http) as (client, server):
            assert (await client.ask("hi")).text == "x"
        assert not http.is_closed
        assert seen == ["/chat/completions"]
        assert server.requests[0].headers["x-mine"] == "1"
        assert server.requests[0].headers["authorization"] == f"Bearer {wire.key}"
    with pytest.raises(ConfigError, match=r"http: expected an httpx\.AsyncClient, not a str"):
        wire.provider("http://x", http="proxy")


async def test_a_connection_that_the_host_closed_is_not_used_again(wire):
    answers = [wire.whole(wire.chat({"content": "x"}), connection="close"), good(wire)]
    async with wire.client(answers) as (client, server):
        await client.ask("hi")
        await client.ask("hi")
        assert (server.connections, len(server.requests)) == (2, 2)


async def test_streams_are_asked_for_uncompressed(wire):
    async with wire.client(wire.events(wire.chunk({"content": "x"}, "stop"))) as (client, server):
        async with client.stream("hi") as stream:
            await stream.wait_response()
        await client.ask("hi")
        told = [one.headers["accept-encoding"] for one in server.requests]
        assert told == ["identity", "gzip"]
