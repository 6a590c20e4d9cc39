"""Errors of the host, as a caller gets them."""

from __future__ import annotations

import pytest

from llmmw import Retry
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentFiltered,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    UnsupportedFeature,
)

pytestmark = pytest.mark.plugins

BAD = "invalid_request_error"
SIGNS = [
    (400, BAD, "messages: at least one message is required", BadRequest),
    (400, BAD, "prompt is too long: 200001 tokens > 200000 maximum", ContextWindowExceeded),
    (
        400,
        BAD,
        "input length and `max_tokens` exceed context limit: 1 + 2 > 3",
        ContextWindowExceeded,
    ),
    (400, BAD, "Your credit balance is too low to access the Anthropic API.", QuotaExhausted),
    (400, BAD, "You have reached your specified API usage limits.", QuotaExhausted),
    (400, BAD, "Output blocked by content filtering policy", ContentFiltered),
    (400, BAD, "This model does not support effort level 'xhigh'.", UnsupportedFeature),
    (400, BAD, "adaptive thinking is not supported on this model", UnsupportedFeature),
    (
        400,
        BAD,
        "`temperature` and `top_p` cannot both be specified for this model.",
        UnsupportedFeature,
    ),
    (401, "authentication_error", "invalid x-api-key", AuthenticationFailed),
    (402, "billing_error", "pay", QuotaExhausted),
    (403, "permission_error", "not yours", PermissionDenied),
    (404, "not_found_error", "model: claude-sonet", NotFound),
    (409, "conflict_error", "again", ServerError),
    (413, "request_too_large", "Request exceeds the maximum size", ContextWindowExceeded),
    (422, BAD, "no", BadRequest),
    (429, "rate_limit_error", "This request would exceed your rate limit", RateLimited),
    (500, "api_error", "Internal server error", ServerError),
    (504, "timeout_error", "too slow", ServerError),
    (529, "overloaded_error", "Overloaded", Overloaded),
]


def body(word, message):
    error = {"type": word, "message": message}
    return {"type": "error", "error": error, "request_id": "req_9"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "word", "message", "kind"), SIGNS)
async def test_each_sign_is_one_error(wire, status, word, message, kind, stream):
    answer = wire.whole(body(word, message), status)
    with pytest.raises(kind, match="anthropic:claude-sonnet-4-5") as caught:
        await wire.ask(answer, stream=stream)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, word, "req_9")
    assert error.partial is None


@pytest.mark.parametrize("told", [b"", b"<html><h1>413</h1></html>", b"too large"])
async def test_errors_of_what_stands_before_the_host(wire, told):
    with pytest.raises(ContextWindowExceeded):
        await wire.ask(wire.whole(told, 413))


async def test_the_wait_that_the_host_asks_for(wire):
    answer = wire.whole(body("rate_limit_error", "slow"), 429, retry_after="7")
    with pytest.raises(RateLimited) as caught:
        await wire.ask(answer)
    assert caught.value.retry_after == 7.0


async def test_who_is_overloaded_is_asked_again(wire):
    answers = [wire.whole(body("overloaded_error", "full"), 529), wire.whole(wire.message("a"))]
    async with wire.client(answers, stack=[Retry(2, base=0.001)]) as (client, server):
        assert (await client.ask("hi")).text == "a"
    assert len(server.requests) == 2


async def test_what_is_no_answer(wire):
    for told in (b"", b"{", b"<html>"):
        with pytest.raises(ProtocolError):
            await wire.ask(wire.whole(told))
