"""Errors of the host, each as the class that says what to do."""

from __future__ import annotations

import json

import pytest

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

TYPE = "type.googleapis.com/google.rpc."
INFO = {"@type": TYPE + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
DELAY = {"@type": TYPE + "RetryInfo", "retryDelay": "34.074824224s"}


def quota(id_):
    return {"@type": TYPE + "QuotaFailure", "violations": [{"quotaId": id_}]}


ERRORS = {
    "a bad key": (400, "INVALID_ARGUMENT", "API key not valid.", [INFO], AuthenticationFailed),
    "a bad key, shortly": (400, "INVALID_ARGUMENT", "API key expired.", [], AuthenticationFailed),
    "no key": (401, "UNAUTHENTICATED", "missing credential", [], AuthenticationFailed),
    "a leak": (403, "PERMISSION_DENIED", "Your key was reported as leaked.", [],
        AuthenticationFailed),
    "not allowed": (403, "PERMISSION_DENIED", "not enabled", [], PermissionDenied),
    "a place": (400, "FAILED_PRECONDITION", "User location is not supported for the API use.",
        [], PermissionDenied),
    "a state": (400, "FAILED_PRECONDITION", "not now", [], BadRequest),
    "no such model": (404, "NOT_FOUND", "models/x is not found", [], NotFound),
    "too long": (400, "INVALID_ARGUMENT",
        "The input token count (9) exceeds the maximum number of tokens allowed (8).", [],
        ContextWindowExceeded),
    "too large": (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20 bytes.",
        [], ContextWindowExceeded),
    "a lack": (400, "INVALID_ARGUMENT", "Penalty is not enabled for models/gemini-x", [],
        UnsupportedFeature),
    "wrong": (400, "INVALID_ARGUMENT", "Unknown name", [], BadRequest),
    "the pace": (429, "RESOURCE_EXHAUSTED", "quota",
        [quota("GenerateRequestsPerMinutePerProject"), DELAY], RateLimited),
    "the day": (429, "RESOURCE_EXHAUSTED", "quota",
        [quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), DELAY], QuotaExhausted),
    "no plan": (429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0, model: y", [],
        QuotaExhausted),
    "no money": (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", [],
        QuotaExhausted),
    "cancelled": (499, "CANCELLED", "gone", [], ServerError),
    "broken": (500, "INTERNAL", "oh", [], ServerError),
    "busy": (503, "UNAVAILABLE", "The model is overloaded.", [], Overloaded),
    "late": (504, "DEADLINE_EXCEEDED", "late", [], ServerError),
}  # fmt: skip


@pytest.mark.parametrize("host", ["google", "vertex"])
@pytest.mark.parametrize("name", ERRORS)
async def test_errors(wire, name, host):
    code, status, message, details, kind = ERRORS[name]
    told = wire.error(code, status, message, *details)
    answers = [wire.whole(told, status=code), wire.whole([told], status=code)]
    answers += [wire.whole(told), wire.events(wire.piece("a"), told)]
    for answer in answers:
        with pytest.raises(kind) as caught:
            await wire.ask(answer, host=host, stream=True)
        error = caught.value
        assert type(error) is kind
        assert (error.status, error.provider) == (code, host)
        assert message in str(error)
        assert error.retry_after == (34.074824224 if DELAY in details else None)
        assert (error.partial is not None) == (answer.pieces is not None)


@pytest.mark.parametrize(
    ("told", "wait"),
    [("34.5s", 34.5), ("250ms", 0.25), ("1m2s", 62), ("1h0m3.5s", 3603.5), ("never", None)],
)
async def test_a_wait_that_only_the_message_tells(wire, told, wait):
    message = f"You exceeded your current quota. Please retry in {told}."
    answer = wire.whole(wire.error(429, "RESOURCE_EXHAUSTED", message), status=429)
    with pytest.raises(RateLimited) as caught:
        await wire.ask(answer)
    assert caught.value.retry_after == wait


async def test_a_page_in_place_of_an_error(wire):
    page = b"<html><title>404</title><body>That's an error.</body></html>"
    with pytest.raises(NotFound, match="That's an error"):
        await wire.ask(wire.whole(page, status=404, **{"Content-Type": "text/html"}))
    with pytest.raises(ServerError):
        await wire.ask(wire.whole(b"", status=502))
    with pytest.raises(Overloaded):
        await wire.ask(wire.whole(json.dumps({"error": "x"}).encode(), status=503))
