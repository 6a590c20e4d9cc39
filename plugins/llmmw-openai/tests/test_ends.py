"""Ends of streams: what is a success, and what is an error that keeps what came."""

from __future__ import annotations

import json

import pytest

from llmmw import Retry
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


def pieces(wire):
    return [wire.chunk({"content": "He"}), wire.chunk({"content": "llo"})]


@pytest.mark.parametrize(
    "end",
    [
        "data: [DONE]\n\n",
        "data: [DONE]   \n\n",
        "data:[DONE]\r\n\r\n",
        "data: [DONE]",
        'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
        'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}',
        'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: {"choi',
    ],
)
async def test_ends_that_are_good(wire, end):
    body = wire.sse(*pieces(wire), done=False) + end.encode()
    assert (await wire.ask(wire.stream(body))).text == "Hello"


@pytest.mark.parametrize(
    "end",
    [
        "",
        "data: [DON",
        'data: {"choices":[{"delta":{},"finish_reason":"sto',
        'data: {"choices":[{"delta":{},"finish_reason":null}]}\n\n',
        'data: {"choices":[{"delta":{},"finish_reason":""}]}\n\n',
        'data: {"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}\n\n',
    ],
)
async def test_ends_that_are_none(wire, end):
    body = wire.sse(*pieces(wire), done=False) + end.encode()
    with pytest.raises(StreamInterrupted, match="ended before the answer did") as caught:
        await wire.ask(wire.stream(body))
    assert caught.value.partial.text == "Hello"
    assert (caught.value.provider, caught.value.model) == ("openai", "m")


async def test_a_candidate_that_never_began(wire):
    body = wire.sse(*pieces(wire), wire.chunk({}, "stop"), done=False)
    with pytest.raises(StreamInterrupted):
        await wire.ask(wire.stream(body), n=2)
    assert (await wire.ask(wire.stream(body + wire.sse()), n=2)).text == "Hello"


async def test_the_number_of_candidates_counts_wherever_it_is_asked_for(wire):
    body = wire.sse(*pieces(wire), wire.chunk({}, "stop"), done=False)
    with pytest.raises(StreamInterrupted):
        await wire.ask(wire.stream(body), extra={"openai": {"n": 2}})


@pytest.mark.parametrize("broken", [{"audio": {"data": "YXU"}}, {"audio": {"data": "é"}}])
async def test_an_end_that_cannot_be_understood_keeps_what_came(wire, broken):
    with pytest.raises(ProtocolError, match="base64") as caught:
        await wire.ask(wire.events(*pieces(wire), wire.chunk(broken, "stop")))
    assert caught.value.partial.text == "Hello"


async def test_a_break_of_the_line_after_the_end_is_none(wire):
    body = wire.sse(*pieces(wire), wire.chunk({}, "stop"), done=False)
    for more in (b"", wire.sse()):
        assert (await wire.ask(wire.stream(body + more, cut=True))).text == "Hello"


async def test_a_whole_answer_that_breaks_off(wire):
    body = json.dumps(wire.chat({"content": "Hello"})).encode()
    headers = {"Content-Type": "application/json"}
    with pytest.raises(StreamInterrupted, match="the line broke") as caught:
        await wire.ask(Answer(headers=headers, pieces=[body[:20]], cut=True), stream=False)
    assert caught.value.partial is None


ERRORS = {
    "an object": ('{"error":{"message":"no room","code":"rate_limit_exceeded"}}', RateLimited),
    "a text": ('{"error":"no room"}', ServerError),
    "beside choices": (
        '{"error":{"code":503,"message":"no room"},'
        '"choices":[{"delta":{"content":"!"},"finish_reason":"error"}]}',
        Overloaded,
    ),
    "in a choice": (
        '{"choices":[{"delta":{},"error":{"code":400,"message":"no room"}}]}',
        BadRequest,
    ),
    "in a list": ('[{"error":{"code":503,"message":"no room"}}]', Overloaded),
    "flat": ('{"object":"error","message":"no room","code":400}', BadRequest),
    "of a gateway": (
        '{"request_id":"r","error":{"status_code":429,"content":{"error":"no room"}}}',
        RateLimited,
    ),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_errors_within_a_stream(wire, name):
    told, kind = ERRORS[name]
    for tail in ("data: [DONE]\n\n", ""):
        body = wire.sse(*pieces(wire), done=False) + f"data: {told}\n\n{tail}".encode()
        with pytest.raises(kind, match="no room") as caught:
            await wire.ask(wire.stream(body, headers={"x-request-id": "r-1"}))
        assert type(caught.value) is kind
        assert caught.value.partial.text.startswith("Hello")
        assert caught.value.request_id == "r-1"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (
            'event: error\ndata: {"error":{"message":"no room","status_code":400,'
            '"code":"tool_use_failed","failed_generation":"x"}}\n\n',
            BadRequest,
        ),
        ("event: error\ndata: no room\n\n", ServerError),
        ('event: error\ndata: {"message":"no room"}\n\n', ServerError),
        ('{\n "error": {\n  "code": 503,\n  "message": "no room"\n }\n}\n', Overloaded),
        ('error: {"code":503,"message":"no room"}\n\n', Overloaded),
    ],
)
async def test_errors_beside_the_events(wire, told, kind):
    body = wire.sse(*pieces(wire), done=False) + told.encode()
    with pytest.raises(kind, match="no room") as caught:
        await wire.ask(wire.stream(body))
    assert caught.value.partial.text == "Hello"


async def test_an_error_of_a_host_after_the_finish_is_one(wire):
    body = wire.sse(*pieces(wire), wire.chunk({}, "stop"), {"error": "no room"})
    with pytest.raises(ServerError, match="no room"):
        await wire.ask(wire.stream(body))


@pytest.mark.parametrize("event", ["{", '{"choices":[{"delta"', "hello", "7", '"text"', "[]"])
async def test_an_event_that_cannot_be_understood(wire, event):
    with pytest.raises(ProtocolError) as caught:
        await wire.ask(wire.events(*pieces(wire), event, wire.chunk({}, "stop")))
    assert caught.value.partial.text == "Hello"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "kind", "body", "error", "said"),
    [
        (200, "application/json", b'{"error":{"message":"no room"}}', ServerError, "no room"),
        (200, "application/json", b'{"detail":"no room"}', ServerError, "no room"),
        (200, "text/html", b"<html><body>login</body></html>", ProtocolError, "JSON"),
        (200, "application/json", b"", ProtocolError, "nothing"),
        (200, "text/event-stream", b"", StreamInterrupted, "ended"),
        (200, "text/event-stream", b"data: [DONE]\n\n", ProtocolError, "without any choice"),
        (202, "application/json", b"", ProtocolError, "nothing"),
        (202, "", b"", ProtocolError, "nothing"),
        (200, "application/json", b"[]", ProtocolError, "list where an object"),
        (200, "application/json", b'{"id":"x"}', ProtocolError, "without any choice"),
        (200, "application/json", b'{"choices":[]}', ProtocolError, "without any choice"),
    ],
)
async def test_a_200_that_is_no_answer(wire, stream, status, kind, body, error, said):
    headers = {"Content-Type": kind} if kind else {}
    with pytest.raises(error, match=said) as caught:
        await wire.ask(Answer(status=status, headers=headers, body=body), stream=stream)
    assert type(caught.value) is error
    assert caught.value.partial is None


async def test_the_form_that_came_counts_not_the_one_asked_for(wire):
    whole = wire.whole(wire.chat({"content": "Hello"}))
    assert (await wire.ask(whole, stream=True)).text == "Hello"
    streamed = wire.events(*pieces(wire))
    assert (await wire.ask(streamed, stream=False)).text == "Hello"


async def test_an_answer_larger_than_any(wire, monkeypatch):
    monkeypatch.setattr("llmmw.wire._reply._MOST_BYTES", 10_000)
    body = wire.chat({"content": "x" * 20_000})
    with pytest.raises(ProtocolError, match="larger than 10000 bytes"):
        await wire.ask(wire.whole(body))
    row = wire.sse(wire.chunk({"content": "x" * 900}), done=False)
    with pytest.raises(ProtocolError, match="larger") as caught:
        await wire.ask(wire.stream(*[row] * 20))
    assert len(caught.value.partial.text) > 5_000


async def test_json_that_nests_too_deeply(wire):
    body = b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(ProtocolError, match="no JSON"):
        await wire.ask(wire.whole(body))


async def test_a_policy_asks_again_after_a_cut(wire):
    good = wire.events(*pieces(wire))
    cut = wire.events(*pieces(wire), done=False)
    async with wire.client([cut, good], stack=[Retry(1, base=0)]) as (client, server):
        assert (await client.ask("hi")).text == "Hello"
        assert len(server.requests) == 2
    async with wire.client([cut, good], stack=[Retry(1, base=0)]) as (client, server):
        with pytest.raises(LLMError) as caught:
            async with client.stream("hi") as stream:
                await stream.wait_response()
        assert isinstance(caught.value, StreamInterrupted)
        assert len(server.requests) == 1  # the caller had heard a part of it


async def test_groq_says_beside_the_choices_that_it_stopped(wire):
    stopped = wire.chunk({}, x_groq={"id": "r", "error": "over capacity"})
    body = wire.events(*pieces(wire), stopped)
    with pytest.raises(LLMError, match="over capacity") as caught:
        await wire.ask(body, preset="groq")
    assert caught.value.partial.text == "Hello"
    fine = wire.chunk({}, "stop", x_groq={"id": "r", "error": None})
    assert (await wire.ask(wire.events(*pieces(wire), fine), preset="groq")).text == "Hello"
