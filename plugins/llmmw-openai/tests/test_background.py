"""Responses in the background: listened to again after a cut, cancelled when nobody waits."""

from __future__ import annotations

import pytest
import trio

from llmmw.errors import Overloaded, RateLimited, StreamInterrupted
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

ASKED = {"openai": {"background": True}}


def events(wire):
    """A response of three pieces."""
    begun = wire.response(status="queued", background=True)
    item = {"id": "i", "type": "message", "content": [{"type": "output_text", "text": "abc"}]}
    return [
        {"type": "response.created", "response": begun},
        *({"type": "response.output_text.delta", "output_index": 0, "delta": c} for c in "abc"),
        {"type": "response.completed", "response": wire.response([item])},
    ]


def part(wire, begin, end):
    """The events from one number to before another."""
    return wire.stream(wire.numbered(*events(wire)[begin:end], first=begin))


async def ask(wire, answers, *, stream=True, preset="openai", **options):
    async with wire.client(answers, preset, api="responses", **options) as (client, server):
        if stream:
            async with client.stream("hi", extra=ASKED) as told:
                said = [text async for text in told.text]
                return "".join(said), told.response, server.requests
        response = await client.ask("hi", extra=ASKED)
        return response.text, response, server.requests


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_cut_is_resumed_from_the_last_event(wire, at, stream):
    answers = [part(wire, 0, at), part(wire, at, 5)]
    said, response, requests = await ask(wire, answers, stream=stream)
    assert (said, response.text) == ("abc", "abc")
    assert requests[0].json()["stream"] is True
    assert [one.method for one in requests] == ["POST", "GET"]
    assert requests[1].path == f"/responses/resp-1?stream=true&starting_after={at - 1}"
    assert requests[1].headers["authorization"] == f"Bearer {wire.key}"
    assert requests[1].body == b""


async def test_cut_again_and_again_it_goes_on_while_there_is_something_new(wire):
    answers = [part(wire, at, at + 1) for at in range(5)]
    said, response, requests = await ask(wire, answers)
    assert (said, len(requests)) == ("abc", 5)
    heard = [str(one) for one in response.ledger.events if "again" in str(one)]
    assert heard == [f"listens again after event {number}" for number in range(4)]


async def test_what_was_heard_before_is_not_told_again(wire):
    said, response, _ = await ask(wire, [part(wire, 0, 3), part(wire, 1, 5)])
    assert (said, response.text) == ("abc", "abc")


@pytest.fixture
def hurried(monkeypatch):
    """No wait between two tries."""
    monkeypatch.setattr("llmmw_openai._responses._WAIT", 0.0)


async def test_wherever_it_is_cut_nothing_is_lost_or_told_twice(wire, hurried):
    """Cut at places all over the stream, and then at others of what follows."""
    data = wire.numbered(*events(wire))
    asked: list[str] = []

    async def answer(received):
        asked.append(received.method)
        if received.method == "POST":
            return wire.stream(data[:at], cut=at % 2 == 0)
        after = int(received.path.rpartition("starting_after=")[2])
        rest = wire.numbered(*events(wire)[after + 1 :], first=after + 1)
        return wire.stream(rest[: -at % len(rest)] if asked.count("GET") == 1 else rest)

    async with wire.client(answer, api="responses") as (client, _):
        for at in range(0, len(data), 5):
            asked.clear()
            async with client.stream("hi", extra=ASKED) as told:
                try:
                    said = [delta.text async for delta in told if getattr(delta, "text", "")]
                except StreamInterrupted:
                    assert at <= data.index(b"\n\n") + 2  # not even its id had come
                    continue
            assert said == list("abc")
            assert told.response.text == "abc"
            assert len(asked) > 1 or at >= len(data.rstrip())


async def test_a_response_that_is_not_done_is_asked_for_until_it_is(wire, hurried):
    """By a host that streams nothing."""
    item = events(wire)[-1]["response"]["output"][0]
    states = [wire.response(status="queued"), *[wire.response(status="in_progress")] * 9]
    answers = [wire.whole(one) for one in [*states, wire.response([item])]]
    async with wire.client(answers, api="responses") as (client, server):
        response = await client.ask("hi", extra=ASKED)
    assert (response.text, len(server.requests)) == ("abc", 11)
    assert {one.path for one in server.requests[1:]} == {"/responses/resp-1?stream=true"}


async def test_no_wait_outlasts_the_deadline(wire):
    """The second try would come after it."""
    answers = [wire.whole(wire.response(status="queued"))] * 3
    async with wire.client(answers, api="responses") as (client, server):
        with trio.fail_after(0.4), pytest.raises(StreamInterrupted, match="it is queued"):
            await client.ask("hi", extra=ASKED)
    assert [one.path for one in server.requests[1:]] == [
        "/responses/resp-1?stream=true",
        "/responses/resp-1/cancel",
    ]


async def test_without_numbers_nothing_that_was_told_is_told_again(wire):
    bare = events(wire)
    begun, more = wire.sse(*bare[:1], done=False), wire.sse(*bare[:3], done=False)
    whole = wire.stream(wire.sse(*bare, done=False))
    said, _, requests = await ask(wire, [wire.stream(begun), whole])
    assert (said, len(requests)) == ("abc", 2)
    cancelled = wire.whole(wire.response(status="cancelled"))
    async with wire.client([wire.stream(more), cancelled], api="responses") as (client, server):
        with pytest.raises(StreamInterrupted) as caught:
            await client.ask("hi", extra=ASKED)
    assert caught.value.partial.text == "ab"
    assert server.requests[1].path == "/responses/resp-1/cancel"


async def test_a_version_in_the_address_stays_there(wire):
    async with open_server([part(wire, 0, 2), part(wire, 2, 5)]) as server:
        from llmmw import Client

        url = f"{server.url}/openai/v1"
        provider = wire.provider(url, "azure", api="responses", api_version="preview")
        async with Client("azure:m", stack=[], providers=[provider]) as client:
            extra = {"azure": {"background": True}}
            assert (await client.ask("hi", extra=extra)).text == "abc"
    path = "/openai/v1/responses/resp-1?api-version=preview&stream=true&starting_after=1"
    assert server.requests[1].path == path


async def test_a_host_that_knows_it_no_more(wire):
    gone = wire.whole({"error": {"message": "no such response"}}, 404)
    done = wire.whole(wire.response(status="cancelled"))
    async with wire.client([part(wire, 0, 3), gone, done], api="responses") as (client, server):
        with pytest.raises(StreamInterrupted, match="ended before") as caught:
            await client.ask("hi", extra=ASKED)
    assert caught.value.partial.text == "ab"
    assert caught.value.partial.id == "resp-1"
    assert server.requests[2].path == "/responses/resp-1/cancel"


async def test_what_the_host_says_after_a_cut_counts(wire):
    error = {"type": "error", "code": "server_is_overloaded", "message": "busy"}
    failed = wire.stream(wire.numbered(error, first=3))
    async with wire.client([part(wire, 0, 3), failed], api="responses") as (client, server):
        with pytest.raises(Overloaded, match="busy") as caught:
            await client.ask("hi", extra=ASKED)
    assert caught.value.partial.text == "ab"
    assert len(server.requests) == 2  # it has ended: there is nothing to cancel


async def test_others_are_not_resumed(wire):
    cut = [part(wire, 0, 3)] * 2
    async with wire.client(cut, api="responses") as (client, server):
        with pytest.raises(StreamInterrupted):
            await client.ask("hi", listener=hear)
        assert len(server.requests) == 1
    async with wire.client(cut, "xai", api="responses") as (client, server):
        with pytest.raises(StreamInterrupted):
            await client.ask("hi", extra={"xai": {"background": True}})
        assert len(server.requests) == 1


async def hear(delta):
    pass


async def test_a_refused_beginning_is_an_error_as_ever(wire):
    answer = wire.whole({"error": {"message": "slow", "code": "rate_limit_exceeded"}}, 429)
    with pytest.raises(RateLimited, match="slow"):
        await ask(wire, answer)


@pytest.mark.parametrize("hangs", [False, True])
async def test_whoever_leaves_cancels_it(wire, hangs):
    """The host is told, within two seconds, and only then the call is left."""
    told = trio.Event()

    async def answer(received):
        if not received.path.endswith("/cancel"):
            return wire.stream(wire.numbered(*events(wire)[:2]), trio.sleep_forever)
        told.set()
        if hangs:
            await trio.sleep_forever()
        return wire.whole(wire.response(status="cancelled"))

    heard = trio.Event()

    async def listener(delta):
        if getattr(delta, "text", ""):
            heard.set()

    async with wire.client(answer, api="responses") as (client, server):
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:

                async def call():
                    await client.ask("hi", listener=listener, extra=ASKED)

                nursery.start_soon(call)
                await heard.wait()
                nursery.cancel_scope.cancel()
        assert told.is_set()
        assert [one.method for one in server.requests] == ["POST", "POST"]
        assert server.requests[1].path == "/responses/resp-1/cancel"


async def test_whoever_leaves_another_says_nothing(wire):
    heard = trio.Event()

    async def listener(delta):
        if getattr(delta, "text", ""):
            heard.set()

    answer = wire.stream(wire.numbered(*events(wire)[:2]), trio.sleep_forever)
    async with wire.client(answer, api="responses") as (client, server):
        async with trio.open_nursery() as nursery:

            async def call():
                await client.ask("hi", listener=listener)

            nursery.start_soon(call)
            await heard.wait()
            nursery.cancel_scope.cancel()
        assert len(server.requests) == 1
