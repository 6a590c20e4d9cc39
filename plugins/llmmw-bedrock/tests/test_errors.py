"""Errors of the host, as a caller gets them."""

from __future__ import annotations

import pytest

from llmmw import Retry
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    ServerError,
    UnsupportedFeature,
)

pytestmark = pytest.mark.plugins

BAD = "ValidationException"
SIGNS = [
    (400, BAD, "messages.0: text content blocks must be non-empty", BadRequest),
    (400, BAD, "Input is too long for requested model.", ContextWindowExceeded),
    (400, BAD, "prompt is too long: 200001 tokens > 200000 maximum", ContextWindowExceeded),
    (400, BAD, "Too many input tokens. Max input tokens: 8192", ContextWindowExceeded),
    (400, BAD, "The provided model identifier is invalid.", NotFound),
    (
        400,
        BAD,
        "Invocation of model ID x with on-demand throughput isn't supported.",
        UnsupportedFeature,
    ),
    (400, BAD, "This model doesn't support tool use.", UnsupportedFeature),
    (403, "AccessDeniedException", "You don't have access to the model", PermissionDenied),
    (403, "ExpiredTokenException", "The security token is expired", AuthenticationFailed),
    (403, "UnrecognizedClientException", "The token is invalid.", AuthenticationFailed),
    (403, "InvalidSignatureException", "Signature expired: 2026", AuthenticationFailed),
    (403, "MissingAuthenticationTokenException", "Missing", AuthenticationFailed),
    (403, "", "Authentication failed: invalid API Key", AuthenticationFailed),
    (404, "ResourceNotFoundException", "Could not resolve the model", NotFound),
    (408, "ModelTimeoutException", "too slow", ServerError),
    (424, "ModelErrorException", "it broke", ServerError),
    (429, "ThrottlingException", "Too many requests", RateLimited),
    (429, "ModelNotReadyException", "not yet", Overloaded),
    (400, "ServiceQuotaExceededException", "no more", QuotaExhausted),
    (500, "InternalServerException", "oh", ServerError),
    (503, "ServiceUnavailableException", "full", Overloaded),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "word", "message", "kind"), SIGNS)
async def test_each_sign_is_one_error(wire, status, word, message, kind, stream):
    """The word stands in a header, with the address of its description behind it at times."""
    header = f"{word}:http://internal.amazon.com/coral/" if word else ""
    answer = wire.whole(
        {"message": message}, status, x_amzn_errortype=header, x_amzn_requestid="req-9"
    )
    with pytest.raises(kind, match=r"bedrock:us\.anthropic") as caught:
        await wire.ask(answer, stream=stream)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.request_id) == (status, "req-9")
    assert error.code == (word or None)
    assert error.message == message
    assert error.partial is None


@pytest.mark.parametrize(
    "body", [{"Message": "no"}, {"__type": "com.amazon#ThrottlingException", "message": "no"}]
)
async def test_other_ways_to_say_it(wire, body):
    with pytest.raises(RateLimited, match="no"):
        await wire.ask(wire.whole(body, 429))


async def test_who_is_too_fast_is_asked_again(wire):
    slow = wire.whole({"message": "slow"}, 429, x_amzn_errortype="ThrottlingException")
    answers = [slow, wire.whole(wire.message("a"))]
    async with wire.client(answers, stack=[Retry(2, base=0.001)]) as (client, server):
        assert (await client.ask("hi")).text == "a"
    assert len(server.requests) == 2
