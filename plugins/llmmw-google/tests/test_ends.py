"""Ends of streams: what is a success, and what is an error that keeps what came."""

from __future__ import annotations

import json

import pytest
import trio

from llmmw import Retry, Timeout
from llmmw.errors import (
    LLMError,
    Overloaded,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing import Answer

pytestmark = pytest.mark.plugins


def pieces(wire):
    return [wire.piece("He"), wire.piece("llo")]


@pytest.mark.parametrize("framing", ["events", "array"])
async def test_a_line_that_breaks_is_no_end(wire, framing):
    """Even behind a reason: older models tell one with each piece."""
    array = framing == "array"
    kind = "application/json" if array else "text/event-stream"
    rows = [*pieces(wire), wire.piece("!", finish="STOP")]
    body = wire.array(*rows)[:-1] if array else wire.sse(*rows)
    for at in [1, len(body) // 2, len(body)]:
        with pytest.raises(StreamInterrupted, match="the line broke") as caught:
            await wire.ask(wire.stream(body[:at], kind=kind, cut=True))
    assert caught.value.partial.text == "Hello!"


async def test_all_candidates_must_end(wire):
    one, other = wire.piece("a", finish="STOP", index=0), wire.piece("b", finish="STOP", index=1)
    with pytest.raises(StreamInterrupted) as caught:
        await wire.ask(wire.events(one), n=2)
    assert caught.value.partial.text == "a"
    response = await wire.ask(wire.events(one, other), n=2)
    assert [c.message.text for c in response.candidates] == ["a", "b"]
    extra = {"google": {"generationConfig": {"candidateCount": 2}}}
    with pytest.raises(StreamInterrupted):
        await wire.ask(wire.events(one), extra=extra)


async def test_a_reason_with_each_piece(wire):
    told = [wire.piece(one, finish="STOP") for one in ("a", "b", "c")]
    assert (await wire.ask(wire.events(*told))).text == "abc"


async def test_slow_pieces_with_a_reason_each_are_all_heard(wire, monkeypatch):
    """None of these reasons is known to be the end before the stream ends."""
    monkeypatch.setattr("llmmw_google._provider._GRACE", 0.0)
    heard = trio.Event()

    async def listener(delta):
        if getattr(delta, "text", "") == "b":
            heard.set()

    rows = [wire.sse(wire.piece(one, finish="STOP")) for one in ("a", "b", "c")]
    answer = wire.stream(rows[0], rows[1], heard.wait, rows[2])
    async with wire.client(answer) as (client, _):
        assert (await client.ask("hi", listener=listener)).text == "abc"


@pytest.mark.parametrize("limit", ["idle", "total"])
async def test_a_line_that_stays_open_takes_no_answer_away(wire, limit):
    """A deadline comes before its time is over."""
    answer = wire.stream(wire.sse(*pieces(wire), wire.piece(finish="STOP")), trio.sleep_forever)
    async with wire.client(answer, stack=[Timeout(**{limit: 0.5})]) as (client, _):
        async with client.stream("hi") as told:
            assert (await told.wait_response()).text == "Hello"


async def test_a_reason_that_says_nothing_is_none(wire):
    told = wire.events(*pieces(wire), wire.piece(finish="FINISH_REASON_UNSPECIFIED"))
    with pytest.raises(StreamInterrupted):
        await wire.ask(told)


OVERLOADED = {"error": {"code": 503, "message": "no room", "status": "UNAVAILABLE"}}
SHAPES = {
    "an event": f"data: {json.dumps(OVERLOADED)}\r\n\r\n",
    "a list in an event": f"data: {json.dumps([OVERLOADED])}\r\n\r\n",
    "bare, printed with care": json.dumps(OVERLOADED, indent=2) + "\r\n",
    "bare, in one line": json.dumps(OVERLOADED),
    "a bare list": json.dumps([OVERLOADED], indent=2).replace("\n", "\r\n"),
    "an event of that name": f"event: error\r\ndata: {json.dumps(OVERLOADED)}\r\n\r\n",
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("finished", [False, True])
async def test_errors_within_a_stream(wire, name, finished):
    last = [wire.piece(finish="STOP")] if finished else []
    body = wire.sse(*pieces(wire), *last) + SHAPES[name].encode()
    for split in (len(body), len(body) - 20, 1):
        with pytest.raises(Overloaded, match="no room") as caught:
            await wire.ask(wire.stream(body[:split], body[split:]))
        assert caught.value.partial.text == "Hello"
        assert caught.value.provider == "google"


async def test_errors_within_an_array(wire):
    delay = {"@type": "…RetryInfo", "retryDelay": "34s"}
    limited = wire.error(429, "RESOURCE_EXHAUSTED", "slow", delay)
    with pytest.raises(RateLimited, match="slow") as caught:
        await wire.ask(wire.stream(wire.array(*pieces(wire), limited), kind="application/json"))
    assert caught.value.partial.text == "Hello"
    assert caught.value.retry_after == 34
    alone = wire.whole([OVERLOADED], status=503)
    with pytest.raises(Overloaded, match="no room"):
        await wire.ask(alone, stream=True)


@pytest.mark.parametrize("event", ["{", "hello", "7", '"text"', "[]"])
async def test_an_event_that_cannot_be_understood(wire, event):
    body = wire.sse(*pieces(wire)) + f"data: {event}\r\n\r\n".encode()
    with pytest.raises(ProtocolError) as caught:
        await wire.ask(wire.stream(body + wire.sse(wire.piece(finish="STOP"))))
    assert caught.value.partial.text == "Hello"


@pytest.mark.parametrize(
    ("kind", "body", "error", "said"),
    [
        ("application/json", b'{"error":{"message":"no room"}}', ServerError, "no room"),
        ("text/html", b"<html><body>login</body></html>", ProtocolError, "JSON"),
        ("application/json", b"", ProtocolError, "nothing"),
        ("application/json", b'{"this": "is none"}', ProtocolError, "without any candidate"),
        ("application/json", b'{"candidates": []}', ProtocolError, "without any candidate"),
        ("application/json", b'"text"', ProtocolError, "str where an object"),
        ("application/json", b"[]", StreamInterrupted, "ended"),
        ("application/json", b"[1]", ProtocolError, "int where an object"),
        ("text/event-stream", b"", StreamInterrupted, "ended"),
        ("text/event-stream", b": ping\r\n\r\n", StreamInterrupted, "ended"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_200_that_is_no_answer(wire, kind, body, error, said, stream):
    with pytest.raises(error, match=said) as caught:
        await wire.ask(Answer(headers={"Content-Type": kind}, body=body), stream=stream)
    assert type(caught.value) is error
    assert caught.value.partial is None


async def test_the_form_that_came_counts_not_the_one_asked_for(wire):
    rows = [*pieces(wire), wire.piece(finish="STOP")]
    whole = wire.whole(wire.piece("Hello", finish="STOP"))
    assert (await wire.ask(whole, stream=True)).text == "Hello"
    assert (await wire.ask(wire.events(*rows), stream=False)).text == "Hello"
    array = Answer(headers={"Content-Type": "application/json"}, body=wire.array(*rows))
    assert (await wire.ask(array, stream=False)).text == "Hello"


BLOCKED = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": [{"probability": "HIGH"}]}}


@pytest.mark.parametrize("form", ["whole", "events", "array"])
async def test_a_prompt_that_is_refused(wire, form):
    if form == "whole":
        answer = wire.whole(BLOCKED)
    elif form == "events":
        answer = wire.events(BLOCKED)
    else:
        answer = wire.stream(wire.array(BLOCKED), kind="application/json")
    response = await wire.ask(answer)
    assert (response.text, response.finish_reason, response.finish.raw) == (
        "",
        "content_filter",
        None,
    )
    assert response.finish.detail == BLOCKED


async def test_a_policy_asks_again_after_a_cut(wire):
    good = wire.events(*pieces(wire), wire.piece(finish="STOP"))
    cut = wire.events(*pieces(wire))
    async with wire.client([cut, good], stack=[Retry(1, base=0)]) as (client, server):
        assert (await client.ask("hi")).text == "Hello"
        assert len(server.requests) == 2
    async with wire.client([cut, good], stack=[Retry(1, base=0)]) as (client, server):
        with pytest.raises(LLMError) as caught:
            async with client.stream("hi") as stream:
                await stream.wait_response()
        assert isinstance(caught.value, StreamInterrupted)
        assert len(server.requests) == 1  # the caller had heard a part of it
