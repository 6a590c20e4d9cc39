"""Ends of answers and errors: what is a success, and what is an error that keeps what came."""

from __future__ import annotations

import json

import pytest

from llmmw import Retry
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)

pytestmark = pytest.mark.plugins

OLD = {"object": "error", "message": "it went wrong", "type": "x", "param": None, "code": None}


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, OLD | {"type": "invalid_request_error"}, BadRequest),
        (400, OLD | {"message": "Invalid model: x", "type": "invalid_model"}, NotFound),
        (
            400,
            OLD | {"message": "Prompt contains 9 tokens, too large for model with 8 maximum"},
            ContextWindowExceeded,
        ),
        (400, OLD | {"message": "Image input is not enabled for this model"}, UnsupportedFeature),
        (401, {"message": "Unauthorized", "request_id": "r-1"}, AuthenticationFailed),
        (401, {"detail": "Unauthorized"}, AuthenticationFailed),
        (404, {"detail": "Not found"}, NotFound),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "too big", "type": "x"}]}, BadRequest),
        (429, OLD | {"message": "Requests rate limit exceeded", "code": "1300"}, RateLimited),
        (429, OLD | {"message": "monthly allowance exceeded", "code": "1300"}, QuotaExhausted),
        (429, OLD | {"message": "Service tier capacity exceeded for this model."}, Overloaded),
        (500, {"object": "error", "message": "x", "type": "internal_server_error"}, ServerError),
        (503, b"<html>busy</html>", Overloaded),
    ],
)
async def test_errors_by_status(wire, status, told, kind):
    reply = wire.whole(told, status=status, mistral_correlation_id="corr-1")
    with pytest.raises(kind) as caught:
        await wire.ask(reply)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.request_id) == (status, "corr-1")
    assert (caught.value.provider, caught.value.model) == ("mistral", "mistral-small-latest")


async def test_where_a_field_is_wrong_is_told(wire):
    told = {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "type": "m"}]}
    with pytest.raises(BadRequest, match="Field required"):
        await wire.ask(wire.whole(told, status=422))


def begun(wire):
    return wire.pieces("He", "llo")[:-1]


@pytest.mark.parametrize("tail", [b"data: [DONE]\n\n", b"data: [DONE]", b"", b": bye\n\n"])
async def test_an_end_with_a_reason_is_one(wire, tail):
    body = wire.sse(*wire.pieces("He", "llo"), done=False) + tail
    assert (await wire.ask(wire.stream(body))).text == "Hello"
    assert (await wire.ask(wire.stream(body, cut=True))).text == "Hello"


@pytest.mark.parametrize("done", [False])
async def test_an_end_without_a_reason_is_none(wire, done):
    with pytest.raises(StreamInterrupted, match="ended before the answer did") as caught:
        await wire.ask(wire.stream(wire.sse(*begun(wire), done=done)))
    assert caught.value.partial.text == "Hello"
    cut = wire.stream(wire.sse(*begun(wire), done=done), cut=True)
    with pytest.raises(StreamInterrupted) as caught:
        await wire.ask(cut)
    assert caught.value.partial.text == "Hello"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"error": {"message": "no room", "type": "rate_limit_error"}}, RateLimited),
        ({"object": "error", "message": "no room", "type": "internal_server_error"}, ServerError),
        ({"message": "no room", "request_id": "r-1"}, ServerError),
        ({"message": "no room", "type": "rate_limited", "raw_status_code": 429}, RateLimited),
    ],
)
@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n"])
async def test_errors_within_a_stream(wire, told, kind, tail):
    for head in ("", "event: error\n"):
        row = f"{head}data: {json.dumps(told)}\n\n".encode()
        body = wire.sse(*begun(wire), done=False) + row + tail
        with pytest.raises(kind, match="no room") as caught:
            await wire.ask(wire.stream(body))
        assert caught.value.partial.text == "Hello"
    with pytest.raises(kind, match="no room"):
        await wire.ask(wire.whole(told), stream=True)


async def test_an_error_at_each_place_of_a_stream(wire):
    rows = wire.pieces("He", "llo")
    error = {"message": "no room", "request_id": "r-1"}
    for at in range(len(rows) + 1):
        with pytest.raises(ServerError, match="no room") as caught:
            await wire.ask(wire.stream(wire.sse(*rows[:at], error, *rows[at:])))
        partial = caught.value.partial
        assert (partial.text if partial else "") == ["", "", "He", "Hello", "Hello"][at]


@pytest.mark.parametrize("data", ["{", "7", "[]", "no"])
async def test_what_is_no_piece(wire, data):
    body = wire.sse(*begun(wire), done=False) + f"data: {data}\n\n".encode()
    with pytest.raises(ProtocolError) as caught:
        await wire.ask(wire.stream(body))
    assert caught.value.partial.text == "Hello"


async def test_an_answer_that_comes_whole_though_a_stream_was_asked(wire):
    assert (await wire.ask(wire.whole(wire.chat("Hello")), stream=True)).text == "Hello"


async def test_an_interrupted_answer_is_asked_for_again(wire):
    cut = wire.stream(wire.sse(*begun(wire), done=False))
    async with wire.client([cut, wire.streamed("Hello")], stack=[Retry(2, base=0.001)]) as told:
        client, server = told
        async with client.stream("hi", on_interrupt="restart") as stream:
            assert (await stream.wait_response()).text == "Hello"
    assert len(server.requests) == 2
