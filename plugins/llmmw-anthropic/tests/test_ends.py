"""Ends of streams: what is a success, and what is an error that keeps what came."""

from __future__ import annotations

import json

import pytest

from llmmw import Retry
from llmmw.errors import (
    AuthenticationFailed,
    ContextWindowExceeded,
    Overloaded,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)

pytestmark = pytest.mark.plugins


def begun(wire):
    """A stream in the midst of its text."""
    return [wire.start(), *wire.text("He", "llo")[:-1]]


@pytest.mark.parametrize("blank", ["\n\n", "\n", ""])
async def test_the_last_blank_line_may_be_missing(wire, blank):
    body = wire.sse(*begun(wire), *wire.end()).rstrip() + blank.encode()
    told = await wire.ask(wire.stream(body))
    assert (told.text, told.finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize("kept", [0, 1])
async def test_ends_that_are_none(wire, kept):
    """The host's reason to end is no end."""
    with pytest.raises(StreamInterrupted, match="ended before the answer did") as caught:
        await wire.ask(wire.events(*begun(wire), *wire.end()[:kept]))
    assert caught.value.partial.text == "Hello"
    assert caught.value.partial.finish is None
    assert (caught.value.provider, caught.value.model) == ("anthropic", "claude-sonnet-4-5")


async def test_a_line_that_breaks_after_the_end_breaks_nothing(wire):
    body = wire.sse(*begun(wire), *wire.end())
    assert (await wire.ask(wire.stream(body, cut=True))).text == "Hello"


ERRORS = {
    "overloaded_error": Overloaded,
    "rate_limit_error": RateLimited,
    "api_error": ServerError,
    "timeout_error": ServerError,
    "authentication_error": AuthenticationFailed,
    "novel_error": ServerError,
}


@pytest.mark.parametrize(("word", "kind"), ERRORS.items())
@pytest.mark.parametrize("named", [False, True])
async def test_errors_within_a_stream(wire, word, kind, named):
    told = {"type": "error", "error": {"type": word, "message": "no room"}, "request_id": "req_2"}
    head = "event: error\n" if named else ""
    body = wire.sse(*begun(wire)) + f"{head}data: {json.dumps(told)}\n\n".encode()
    with pytest.raises(kind, match="no room") as caught:
        await wire.ask(wire.stream(body))
    assert type(caught.value) is kind
    assert caught.value.partial.text == "Hello"
    assert (caught.value.request_id, caught.value.code) == ("req_2", word)


async def test_an_error_in_the_place_of_a_stream(wire):
    told = {"type": "error", "error": {"type": "overloaded_error", "message": "no room"}}
    for answer in (wire.whole(told), wire.stream(wire.sse(told))):
        with pytest.raises(Overloaded, match="no room") as caught:
            await wire.ask(answer, stream=True)
        assert caught.value.partial is None


async def test_a_prompt_too_long_is_told_as_that_in_a_stream(wire):
    error = {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}
    with pytest.raises(ContextWindowExceeded):
        await wire.ask(wire.events(wire.start(), {"type": "error", "error": error}))


@pytest.mark.parametrize("data", ["{", "7", "[]", "no"])
async def test_what_is_no_event(wire, data):
    body = wire.sse(*begun(wire)) + f"event: x\ndata: {data}\n\n".encode()
    with pytest.raises(ProtocolError) as caught:
        await wire.ask(wire.stream(body))
    assert caught.value.partial.text == "Hello"


async def test_what_follows_the_end_is_no_part_of_the_answer(wire):
    late = {"type": "error", "error": {"type": "api_error", "message": "late"}}
    for tail in (wire.sse(late), b"data: [DONE]\n\n", b"data: {\n\n", wire.sse(*wire.text("!"))):
        body = wire.sse(*begun(wire), *wire.end()) + tail
        assert (await wire.ask(wire.stream(body))).text == "Hello"


async def test_a_message_after_the_end_must_end_too(wire):
    more = [wire.start(id="msg_2"), *wire.text("more")]
    with pytest.raises(StreamInterrupted):
        await wire.ask(wire.events(*begun(wire), *wire.end(), *more))


async def test_an_interrupted_answer_is_asked_for_again(wire):
    cut = wire.events(*begun(wire))
    good = wire.events(*begun(wire), *wire.end())
    async with wire.client([cut, good], stack=[Retry(2, base=0.001)]) as (client, server):
        async with client.stream("hi", on_interrupt="restart") as stream:
            assert (await stream.wait_response()).text == "Hello"
    assert len(server.requests) == 2
