"""How streams end: well, with an error, or not at all."""

from __future__ import annotations

import pytest

from llmmw.errors import (
    BadRequest,
    LLMError,
    Overloaded,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing import Answer

pytestmark = pytest.mark.plugins


def begun(wire):
    return [wire.start(), *wire.block(0, "Hel", stop=False)]


async def test_without_what_it_cost(wire):
    events = [wire.start(), *wire.block(0, "x"), wire.end()[0]]
    told = await wire.ask(wire.events(*events))
    assert (told.text, told.usage) == ("x", None)


async def test_what_comes_after_the_end_of_an_answer_loses_nothing(wire):
    body = wire.frames(wire.start(), *wire.block(0, "x"), *wire.end())
    late = wire.frames(*wire.block(1, "late"))
    for rest in (late, b"rubbish that is no message", wire.exception("internalServerException")):
        for pieces in ([body, rest], [body + rest]):
            told = await wire.ask(wire.stream(*pieces))
            assert (told.text, told.usage.output_tokens) == ("x", 5)


async def test_what_fails_between_the_end_and_what_it_cost_loses_nothing(wire):
    body = wire.frames(wire.start(), *wire.block(0, "x"), wire.end()[0])
    junk = wire.frame({":message-type": "event", ":event-type": "metadata"}, b"{")
    for rest in (junk, wire.exception("internalServerException", message="no")):
        for pieces in ([body, rest], [body + rest]):
            told = await wire.ask(wire.stream(*pieces))
            assert (told.text, told.usage) == ("x", None)


async def test_a_line_that_breaks_between_the_end_and_what_it_cost(wire):
    body = wire.frames(wire.start(), *wire.block(0, "x"), *wire.end())
    told = await wire.ask(wire.stream(body[:-9], cut=True))
    assert (told.text, told.finish.reason, told.usage) == ("x", "stop", None)


@pytest.mark.parametrize("cut", [True, False])
async def test_a_line_that_breaks_before_the_end(wire, cut):
    body = wire.frames(*begun(wire))
    for rest in (b"", wire.frames(*wire.end())[:20]):
        with pytest.raises(StreamInterrupted) as caught:
            await wire.ask(wire.stream(body + rest, cut=cut))
        assert caught.value.partial.text == "Hel"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttlingException", RateLimited),
        ("serviceUnavailableException", Overloaded),
        ("internalServerException", ServerError),
        ("modelStreamErrorException", ServerError),
        ("modelTimeoutException", ServerError),
        ("validationException", BadRequest),
        ("newException", ServerError),
    ],
)
async def test_exceptions(wire, kind, error):
    """Before the first word the error itself; behind it the stream is interrupted by it."""
    fields = {"message": "it went wrong", "originalMessage": "deep down"}
    broken = wire.exception(kind, **fields)
    with pytest.raises(error, match="it went wrong: deep down") as caught:
        await wire.ask(wire.events(broken))
    assert type(caught.value) is error
    assert caught.value.code == kind
    with pytest.raises(LLMError, match="it went wrong") as caught:
        await wire.ask(wire.events(*begun(wire), broken))
    assert caught.value.partial.text == "Hel"
    assert type(caught.value.__cause__ or caught.value) is error


async def test_an_error_in_the_headers(wire):
    names = {":message-type": "error", ":error-code": "Boom", ":error-message": "no more"}
    with pytest.raises(ServerError, match="no more") as caught:
        await wire.ask(wire.stream(wire.frame(names, b"")))
    assert caught.value.code == "Boom"


async def test_a_message_that_is_broken(wire):
    body = wire.frames(*begun(wire))
    broken = bytearray(wire.frames(*wire.block(0, "lo", stop=False)))
    broken[-1] ^= 1
    for pieces in ([body, bytes(broken)], [body + bytes(broken)]):
        with pytest.raises(LLMError, match="checksum of the message") as caught:
            await wire.ask(wire.stream(*pieces))
        assert isinstance(caught.value.__cause__ or caught.value, ProtocolError)
        assert caught.value.partial.text == "Hel"


@pytest.mark.parametrize("payload", [b"[1]", b"text", b'"a"', b"{"])
async def test_events_that_are_none(wire, payload):
    names = {":message-type": "event", ":event-type": "contentBlockDelta"}
    with pytest.raises(ProtocolError):
        await wire.ask(wire.stream(wire.frame(names, payload)))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output": {}}', b"<html>no</html>"])
async def test_bodies_that_are_no_answer(wire, body):
    with pytest.raises(ProtocolError):
        await wire.ask(wire.whole(body))


async def test_an_error_with_a_status_of_success(wire):
    with pytest.raises(LLMError, match="boom"):
        await wire.ask(wire.whole({"error": {"message": "boom"}}))


async def test_the_line_is_used_again(wire):
    events = wire.events(wire.start(), *wire.block(0, "x"), *wire.end())
    async with wire.client([events, events]) as (client, server):
        for _ in range(2):
            async with client.stream("hi") as told:
                assert (await told.wait_response()).text == "x"
    assert server.connections == 1


async def test_an_answer_without_a_type_is_read_as_it_was_asked_for(wire):
    body = wire.frames(wire.start(), *wire.block(0, "x"), *wire.end())
    assert (await wire.ask(Answer(pieces=[body]))).text == "x"
