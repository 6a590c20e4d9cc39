"""What hosts say becomes one typed error: for every answer one, and never an exception."""

import copy
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentFiltered,
    ContextWindowExceeded,
    LLMError,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    ServerError,
    UnsupportedFeature,
)
from llmmw.wire._errors import COMMON, ErrorRow, error_of, in_band_error, request_id_of
from llmmw.wire._scrub import Scrubber

NOW = 1_767_225_600.0  # Thu, 01 Jan 2026 00:00:00 GMT


def openai(message: str = "m", **words: Any) -> dict[str, Any]:
    return {"error": {"message": message, **words}}


def google(code: int, status: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": "m", "status": status, "details": [*details]}}


def at_400(**words: Any) -> tuple[int, Any]:
    return 400, openai(type="invalid_request_error", **words)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        # the words of OpenAI and those who follow it
        (*at_400(code="context_length_exceeded"), ContextWindowExceeded, "context_length_exceeded"),
        (*at_400(code=None), BadRequest, "invalid_request_error"),
        (*at_400(code="invalid_value"), BadRequest, "invalid_value"),
        (*at_400(code="content_policy_violation"), ContentFiltered, "content_policy_violation"),
        (*at_400(code="invalid_prompt"), ContentFiltered, "invalid_prompt"),
        (401, openai(code="invalid_api_key"), AuthenticationFailed, "invalid_api_key"),
        (400, openai(code="invalid_api_key"), AuthenticationFailed, "invalid_api_key"),
        (404, openai(code="model_not_found"), NotFound, "model_not_found"),
        (400, openai(code="model_not_found"), NotFound, "model_not_found"),
        (403, openai(code="unsupported_country"), PermissionDenied, "unsupported_country"),
        (429, openai(type="tokens", code="slow"), RateLimited, "slow"),
        (429, openai(type="insufficient_quota", code=None), QuotaExhausted, "insufficient_quota"),
        (429, openai(code="insufficient_quota"), QuotaExhausted, "insufficient_quota"),
        (
            429,
            openai(type="insufficient_quota", code="project_spend_limit_exceeded"),
            QuotaExhausted,
            "project_spend_limit_exceeded",
        ),
        (429, openai(code="slow_down"), RateLimited, "slow_down"),
        (503, openai(code="slow_down"), RateLimited, "slow_down"),
        (503, openai(code="server_is_overloaded"), Overloaded, "server_is_overloaded"),
        (500, openai(type="server_error"), ServerError, "server_error"),
        (500, openai(type="invalid_request_error"), ServerError, "invalid_request_error"),
        # Azure
        (
            400,
            openai(code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
            ContentFiltered,
            "content_filter",
        ),
        (
            400,
            openai(innererror={"code": "ResponsibleAIPolicyViolation"}),
            ContentFiltered,
            "ResponsibleAIPolicyViolation",
        ),
        (404, openai(code="DeploymentNotFound"), NotFound, "DeploymentNotFound"),
        (401, openai(code="401"), AuthenticationFailed, "401"),
        (429, openai(code="429"), RateLimited, "429"),
        # Anthropic
        (529, openai(type="overloaded_error"), Overloaded, "overloaded_error"),
        (500, openai(type="api_error"), ServerError, "api_error"),
        (402, openai(type="billing_error"), QuotaExhausted, "billing_error"),
        (
            429,
            openai(type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
            QuotaExhausted,
            "rate_limit_error",
        ),
        (
            400,
            openai("Your credit balance is too low to go on", type="invalid_request_error"),
            QuotaExhausted,
            "invalid_request_error",
        ),
        (
            400,
            openai("prompt is too long: 9 tokens > 8 maximum", type="invalid_request_error"),
            ContextWindowExceeded,
            "invalid_request_error",
        ),
        (413, "Request Entity Too Large", ContextWindowExceeded, None),
        # Google
        (
            400,
            google(400, "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}),
            AuthenticationFailed,
            "INVALID_ARGUMENT",
        ),
        (400, google(400, "INVALID_ARGUMENT"), BadRequest, "INVALID_ARGUMENT"),
        (
            400,
            openai("User location is not supported for the API use.", status="FAILED_PRECONDITION"),
            PermissionDenied,
            "FAILED_PRECONDITION",
        ),
        (429, google(429, "RESOURCE_EXHAUSTED"), RateLimited, "RESOURCE_EXHAUSTED"),
        (
            429,
            google(
                429,
                "RESOURCE_EXHAUSTED",
                {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
            ),
            QuotaExhausted,
            "RESOURCE_EXHAUSTED",
        ),
        (402, google(402, "RESOURCE_EXHAUSTED"), QuotaExhausted, "RESOURCE_EXHAUSTED"),
        (503, [google(503, "UNAVAILABLE")], Overloaded, "UNAVAILABLE"),
        # Mistral, Groq, xAI, OpenRouter, Scale, Ollama, vLLM, llama.cpp, TGI
        (
            429,
            {"object": "error", "message": "Service tier capacity exceeded", "code": None},
            Overloaded,
            None,
        ),
        (429, {"message": "m", "type": "rate_limited", "code": "1300"}, RateLimited, "1300"),
        (498, openai(code="capacity_exceeded"), Overloaded, "capacity_exceeded"),
        (
            413,
            openai("Request too large … (TPM)", code="rate_limit_exceeded"),
            ContextWindowExceeded,
            "rate_limit_exceeded",
        ),
        (400, {"code": "bad", "error": "m"}, BadRequest, "bad"),
        (502, openai(code=502), ServerError, "502"),
        (410, {"detail": "gone"}, NotFound, None),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "m", "type": "int"}]}, BadRequest, None),
        (404, {"error": "model 'x' not found"}, NotFound, None),
        (400, {"object": "error", "message": "m", "type": "BadRequestError"}, BadRequest,
         "BadRequestError"),
        (400, openai("This model's maximum context length is 9"), ContextWindowExceeded, None),
        (400, openai(type="exceed_context_size_error"), ContextWindowExceeded,
         "exceed_context_size_error"),
        (503, openai("Loading model", type="unavailable_error"), Overloaded, "unavailable_error"),
        (500, "Loading model", Overloaded, None),
        (501, openai(type="not_supported_error"), UnsupportedFeature, "not_supported_error"),
        # by status alone, whatever the body
        *[(status, "", ServerError, None) for status in (408, 409, 424, 425, 499)],
        *[(status, "", ServerError, None) for status in (500, 502, 504, 599)],
        *[(status, "<html>", Overloaded, None) for status in (503, 529)],
        *[(status, "{", BadRequest, None) for status in (400, 405, 418, 422, 451)],
        (402, "", QuotaExhausted, None),
        (429, "", RateLimited, None),
        (302, "", NotFound, None),
        (None, {}, ServerError, None),
    ],
)  # fmt: skip
def test_each_sign_means_one_error(
    status: int | None, body: object, kind: type[LLMError], code: str | None
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = error_of(status, {}, raw, now=NOW)
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert error.processed is (
        False if status and 400 <= status < 500 and status not in {408, 409, 499} else None
    )
    if not isinstance(body, str):
        assert str(error_of(status, {}, body, now=NOW)) == str(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "a\n\tb\x1b[31m\x00 c"}}, "a b [31m c"),
        ({"error": "a", "message": "b"}, "a"),
        ({"message": "a"}, "a"),
        ({"Message": "a"}, "a"),
        ({"detail": "a"}, "a"),
        ({"detail": [{"loc": ["body", 0, "x"], "msg": "a"}, {"msg": "b"}]}, "body.0.x: a; b"),
        ({"detail": {"message": "a"}}, "a"),
        ({"errors": [{"message": "a"}]}, "a"),
        ([{"error": {"message": "a"}}], "a"),
        ({"error_message": "a"}, "a"),
        ({"error": {"status_code": 500, "content": {"error": "a", "timestamp": "t"}}}, "a"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "a"}}},
         "Provider returned error: a"),
        ({"other": 1}, '{"other":1}'),
        (b"<!doctype html><title>Not Found</title><style>p{x}</style><script>if (a<b) c()</script>"
         b"<p>The page&nbsp;&amp; all\n\n else", "Not Found The page & all else"),
        (b"\xef\xbb\xbf" + b'{"error": "a"}', "a"),
        (b"\xff\xfe upstream", "\ufffd\ufffd upstream"),
        (b'{"error": "\\ud800 a"}', "\ufffd a"),
        (b"a < b", "a < b"),
        (b"[" * 100_000, "[" * 500),
        (b"x" * 5_000, "x" * 500),
        ({"error": "x" * 5_000}, "x" * 2_000),
        (b"", "the host tells an error with HTTP 500, but not which"),
        (object(), "the host tells an error with HTTP 500, but not which"),
    ],
)  # fmt: skip
def test_the_message_is_the_hosts_own(body: object, message: str) -> None:
    error = error_of(500, {}, body, now=NOW)
    assert type(error) is ServerError
    assert error.message == message


def test_a_redirect_says_what_to_set() -> None:
    headers = {"Location": "https://user:pw@api.example.org:8443/v2?token=t"}
    error = error_of(307, headers, b"<html>moved</html>", now=NOW)
    assert "https://api.example.org:8443," in error.message
    assert "set base_url" in error.message
    assert not error.retryable
    for broken in ("https://[", "/v2", "https://h:99999999/", ""):
        assert "another address" in error_of(301, {"location": broken}, b"", now=NOW).message


RETRY_INFO = google(429, "x", {"reason": "y"}, {"retryDelay": "46s"})
SPENT = {
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "1m1s",
    "x-ratelimit-remaining-tokens": "7",
    "x-ratelimit-reset-tokens": "9h",
}


@pytest.mark.parametrize(
    ("headers", "body", "hint"),
    [
        ({"Retry-After-Ms": "1500", "retry-after": "20"}, RETRY_INFO, 1.5),
        ({"retry-after": "20.5", **SPENT}, RETRY_INFO, 20.5),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, {}, 30),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30"}, {}, 30),
        (SPENT, RETRY_INFO, 46),
        (SPENT, {}, 61),
        ({**SPENT, "x-ratelimit-remaining-tokens": "0"}, {}, 32_400),
        ({"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "9h"}, {}, None),
        ({"retry-after-ms": "0", "retry-after": "-1", **SPENT}, {}, 61),
        ({"retry-after": "NaN"}, {}, None),
        ({"retry-after": "inf"}, {}, None),
        ({"retry-after": "1e999"}, {}, None),
        ({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, {}, None),
        ({"retry-after": "Mon, 99 Foo 99999 99:99:99 GMT"}, {}, None),
        ({}, [RETRY_INFO], 46),
        ({}, google(429, "x", {"retryDelay": "-3s"}), None),
        ({}, {}, None),
    ],
)
def test_the_wait_is_taken_from_the_most_exact_sign(
    headers: dict[str, str], body: object, hint: float | None
) -> None:
    for status in (429, 402, 503, 500):
        told = error_of(status, headers, body, now=NOW).retry_after
        assert told == (None if hint is None else pytest.approx(hint))
    for status in (400, 401, 404, 413):
        assert error_of(status, headers, body, now=NOW).retry_after is None


def test_a_wait_beside_a_status_of_success_is_none_of_the_error() -> None:
    body = openai("m", type="overloaded_error")
    for status in (None, 200):
        error = error_of(status, {"retry-after": "25", "x-should-retry": "false"}, body, now=NOW)
        assert type(error) is Overloaded
        assert (error.retry_after, error.retryable, error.processed) == (None, True, None)


@pytest.mark.parametrize(("status", "word"), [(500, "false"), (400, "TRUE")])
def test_a_host_may_say_whether_to_ask_again(status: int, word: str) -> None:
    error = error_of(status, {"X-Should-Retry": word}, b"", now=NOW)
    assert error.retryable is (word == "TRUE")
    assert error.elsewhere is type(error).elsewhere
    for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert again.retryable is error.retryable
    assert error_of(status, {"x-should-retry": "maybe"}, b"", now=NOW).retryable is (status == 500)


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({"X-Request-Id": "a", "cf-ray": "b"}, {}, "a"),
        ({"cf-ray": "b", "request-id": "c"}, {"request_id": "d"}, "c"),
        ({}, {"request_id": "d", "error": {"message": "m"}}, "d"),
        ({"x-amzn-requestid": " e\x00f "}, {}, "e f"),
        ({}, {"request_id": 7}, None),
    ],
)
def test_the_id_of_the_request(headers: dict[str, str], body: object, told: str | None) -> None:
    assert error_of(500, headers, body, now=NOW).request_id == told
    assert request_id_of(headers) in {told, None}


def test_amazons_header_is_the_hosts_word() -> None:
    headers = {"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/"}
    error = error_of(400, headers, {"message": "slow"}, now=NOW)
    assert (type(error), error.code) == (RateLimited, "ThrottlingException")
    headers = {"x-amzn-errortype": "ExpiredTokenException"}
    assert type(error_of(403, headers, b"{}", now=NOW)) is AuthenticationFailed


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (openai("m", type="server_error"), ServerError, None, "server_error"),
        ({"error": "m"}, ServerError, None, None),
        ({"error": True}, ServerError, None, None),
        ({"object": "error", "message": "m", "code": 400}, BadRequest, 400, "400"),
        (openai(code="tool_use_failed", status_code=400), BadRequest, 400, "tool_use_failed"),
        (
            {"choices": [{"finish_reason": "error"}], **openai(code=502)},
            ServerError,
            502,
            "502",
        ),
        ({"choices": [{"index": 0}, openai(code=429)]}, RateLimited, 429, "429"),
        ([google(503, "UNAVAILABLE")], Overloaded, 503, "UNAVAILABLE"),
        ({"detail": "m"}, ServerError, None, None),
        ({"error": {"status_code": 429, "content": {"error": "m"}}}, RateLimited, 429, None),
        ({"error": {"status_code": "404"}}, NotFound, 404, None),
        ({"type": "error", **openai(type="overloaded_error")}, Overloaded, None,
         "overloaded_error"),
        ({"type": "error", **openai(type="rate_limit_error")}, RateLimited, None,
         "rate_limit_error"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, RateLimited, None,
         "rate_limit_exceeded"),
        ({"type": "error", "message": "m"}, ServerError, None, None),
        (openai(type="invalid_request_error"), BadRequest, None, "invalid_request_error"),
        (openai(type="authentication_error"), AuthenticationFailed, None, "authentication_error"),
        (openai(code="permission_denied"), PermissionDenied, None, "permission_denied"),
        (openai(type="not_found_error"), NotFound, None, "not_found_error"),
        (
            {"type": "response.failed", "response": openai(code="server_error")},
            ServerError,
            None,
            "server_error",
        ),
        ({"type": "response.failed", "response": {"error": None}}, ServerError, None,
         "response.failed"),
    ],
)  # fmt: skip
def test_an_error_inside_a_good_answer(
    data: object, kind: type[LLMError], status: int | None, code: str | None
) -> None:
    error = in_band_error(data, {"x-request-id": "r"}, now=NOW)
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, code, "r")
    assert error.processed is None


@pytest.mark.parametrize(
    "data",
    [
        {"choices": [{"delta": {"content": "error"}, "error": None}], "error": None},
        {"object": "chat.completion.chunk", "choices": None},
        {"type": "response.completed", "response": {"error": None}},
        {"choices": [], "detail": "a part of the answer"},
        {"object": "response", "status": "completed", "error": {}},
        {"message": {"role": "assistant", "content": "hi"}, "done": False},
        [[0.1, 0.2]],
        [],
        "error",
        None,
        7,
    ],
)
def test_a_good_answer_is_no_error(data: object) -> None:
    assert in_band_error(data, {}, now=NOW) is None


def test_a_hosts_own_row_goes_first() -> None:
    rows = [
        ErrorRow(QuotaExhausted, status=429, text="Monthly Allowance"),
        ErrorRow(ContentFiltered, status=(498, 499), code=("Blocked", "stopped")),
    ]
    body = openai("your monthly allowance is used up")
    assert type(error_of(429, {}, body, rows=rows, now=NOW)) is QuotaExhausted
    assert type(error_of(429, {}, body, now=NOW)) is RateLimited
    assert type(error_of(400, {}, body, rows=rows, now=NOW)) is BadRequest
    assert type(error_of(498, {}, openai(code="BLOCKED"), rows=rows, now=NOW)) is ContentFiltered
    assert type(error_of(498, {}, openai(code="x"), rows=rows, now=NOW)) is Overloaded


def test_no_secret_is_told() -> None:
    key = "sk-proj-Zx81kLmQ02pWnVbR7t"
    body = openai(f"bad key {key[:20]}", code=f"no-{key}", request_id="x") | {"request_id": key}
    for status, headers in [(401, {}), (307, {"location": f"https://{key}.org"})]:
        error = error_of(status, headers, body, now=NOW, scrub=Scrubber([key, key.lower()]))
        shown = f"{error} {error!r} {vars(error)}".lower()
        assert key[:10].lower() not in shown
        assert key[8:18].lower() not in shown


FIELDS = [
    "error",
    "message",
    "code",
    "type",
    "status",
    "details",
    "detail",
    "choices",
    "errors",
    "retryDelay",
    "loc",
    "metadata",
    "raw",
    "content",
    "response",
    "request_id",
    "object",
]
NAMES = [
    "retry-after",
    "Retry-After-Ms",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "location",
    "x-request-id",
    "x-amzn-errortype",
]
WORDS = st.sampled_from([w for row in COMMON for w in (*row.code, *row.text)]) | st.text(max_size=9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "message",
                    "code",
                    "type",
                    "status",
                    "details",
                    "detail",
                    "choices",
                    "errors",
                    "retryDelay",
                    "loc",
                    "metadata",
                    "raw",
                    "content",
                    "response",
                    "request_id",
                    "object",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODIES = st.binary() | JSON | JSON.map(lambda data: json.dumps(data).encode())
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "Retry-After-Ms",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
            "location",
            "x-request-id",
            "x-amzn-errortype",
        ]
    ),
    st.text() | st.floats().map(str) | st.datetimes().map(str),
)
STATUS = st.none() | st.integers(100, 599)


@settings(deadline=None, database=None)
@given(STATUS, HEADERS, BODIES, st.floats(0, 1e11))
@example(503, {"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, b"", 0.0)
def test_l90_l91_any_answer_is_one_error_with_a_wait_that_can_be_waited(
    status: int | None, headers: dict[str, str], body: object, now: float
) -> None:
    error = error_of(status, headers, body, now=now)
    again = error_of(status, headers, body, now=now)
    assert (type(again), vars(again)) == (type(error), vars(error))
    assert error.message.isprintable() or all(sign not in error.message for sign in "\r\n\x1b\0")
    assert 0 < len(error.message) <= 2_000
    str(error).encode()
    assert error.retry_after is None or 0 < error.retry_after < math.inf
    in_band_error(body, headers, now=now)


@settings(deadline=None, database=None)
@given(st.integers(300, 499), HEADERS, st.text(), st.sampled_from(["code", "type", "message"]))
def test_l92_an_unknown_word_makes_no_refusal_worth_repeating(
    status: int, headers: dict[str, str], word: str, place: str
) -> None:
    headers.pop("x-amzn-errortype", None)
    known = status in {408, 409, 424, 425, 429, 498, 499}
    assert error_of(status, headers, {"error": {place: word}}, now=NOW).retryable is known


@settings(deadline=None, database=None)
@given(STATUS, st.binary(max_size=200).filter(lambda body: not body.isascii()))
def test_a_body_that_can_not_be_read_leaves_the_meaning_of_its_status(
    status: int | None, body: bytes
) -> None:
    told = 500 if status is None or status < 300 else status
    assert type(error_of(status, {}, body, now=NOW)) is type(error_of(told, {}, b"", now=NOW))
