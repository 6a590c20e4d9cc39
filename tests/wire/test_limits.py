"""Headers about limits, from every host under one set of names."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.wire._limits import limits_of, seconds_of

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        (
            {
                "X-RateLimit-Limit-Requests": "500",
                "x-ratelimit-remaining-requests": "499",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29984",
                "x-ratelimit-reset-tokens": "6m0s",
                "openai-processing-ms": "12",
            },
            {
                "requests_limit": 500,
                "requests_remaining": 499,
                "requests_reset": 0.12,
                "tokens_limit": 30_000,
                "tokens_remaining": 29_984,
                "tokens_reset": 360,
            },
        ),
        (
            {
                "anthropic-ratelimit-requests-limit": "4000",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:20Z",
                "anthropic-ratelimit-input-tokens-remaining": "400000",
                "anthropic-ratelimit-output-tokens-reset": "2026-01-01T01:00:00+00:00",
                "anthropic-ratelimit-tokens-limit": "1",
            },
            {
                "requests_limit": 4000,
                "requests_remaining": 0,
                "requests_reset": 20,
                "input_tokens_remaining": 400_000,
                "output_tokens_reset": 3600,
                "tokens_limit": 1,
            },
        ),
        (
            {
                "x-ratelimit-limit-requests-day": "14400",
                "x-ratelimit-remaining-tokens-minute": "59000",
                "x-ratelimit-reset-tokens-minute": "26.5",
            },
            {
                "requests_per_day_limit": 14_400,
                "tokens_per_minute_remaining": 59_000,
                "tokens_per_minute_reset": 26.5,
            },
        ),
        (  # OpenRouter: milliseconds since 1970
            {
                "X-RateLimit-Limit": "20",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1767225645000",
            },
            {"requests_limit": 20, "requests_remaining": 0, "requests_reset": 45},
        ),
        (  # Together
            {
                "x-ratelimit-reset": "1",
                "x-tokenlimit-limit": "66666",
                "x-tokenlimit-remaining": "9",
            },
            {"requests_reset": 1, "tokens_limit": 66_666, "tokens_remaining": 9},
        ),
        (  # Mistral
            {
                "ratelimitbysize-limit": "500000",
                "ratelimitbysize-reset": "28",
                "ratelimitbysize-query-cost": "32",
                "x-ratelimitbysize-remaining-month": "10",
                "x-ratelimit-remaining-req-minute": "49",
            },
            {
                "tokens_limit": 500_000,
                "tokens_reset": 28,
                "tokens_per_month_remaining": 10,
                "requests_per_minute_remaining": 49,
            },
        ),
        (  # Azure, where it counts nothing
            {
                "x-ratelimit-limit-tokens": "-1",
                "x-ratelimit-remaining-tokens": "-1",
                "x-ratelimit-limit-requests": "0",
                "x-ratelimit-remaining-requests": "0",
            },
            {},
        ),
        (
            {
                "x-ratelimit-limit-requests": "many",
                "x-ratelimit-remaining-requests": "nan",
                "x-ratelimit-remaining-tokens": "",
                "x-ratelimit-reset-tokens": "soon",
                "ratelimit-limit": "100, 100;w=60",
                "x-ratelimit-limit-tokens": "1e400",
                "x-speed-limit": "3",
            },
            {},
        ),
    ],
)
def test_each_host_is_read_under_the_same_names(
    headers: dict[str, str], limits: dict[str, float]
) -> None:
    assert limits_of(headers, now=NOW) == pytest.approx(limits)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4ms", 0.004),
        ("0s", 0),
        ("1h2m3.5s", 3723.5),
        ("1m26.4s", 86.4),
        ("250us", 0.00025),
        (" 7.25 ", 7.25),
        ("1767225601", 1),
        ("1767225601500", 1.5),
        ("2026-01-01T00:00:05.5Z", 5.5),
        ("2026-01-01T01:00:05+01:00", 5),
        ("2026-01-01T00:00:05", 5),
        ("1999-01-01T00:00:00Z", 0),
        ("-5", None),
        ("inf", None),
        ("NaN", None),
        ("1_000", None),
        ("٣", None),
        ("5 minutes", None),
        ("s", None),
        ("1" * 1000, None),
    ],
)
def test_every_form_of_a_reset(text: str, seconds: float | None) -> None:
    assert seconds_of(text, now=NOW) == (None if seconds is None else pytest.approx(seconds))


NAMES = st.sampled_from(
    [
        "x-ratelimit-reset-tokens",
        "x-ratelimit-remaining",
        "anthropic-ratelimit-tokens-reset",
        "x-ratelimit-limit-requests-day",
        "X-RATELIMIT-LIMIT",
        "ratelimitbysize-reset",
    ]
)
VALUES = (
    st.text(max_size=80)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.datetimes().map(lambda when: when.isoformat() + "+23:59")
    | st.from_regex(r"([0-9.]{1,20}(h|ms|m|s|us|ns|d)?){1,4}", fullmatch=True)
)


@settings(deadline=None, database=None)
@given(st.dictionaries(NAMES | st.text(), VALUES))
def test_any_headers_are_read_and_no_number_is_beyond_reason(headers: dict[str, str]) -> None:
    for value in limits_of(headers, now=NOW).values():
        assert 0 <= value < math.inf
