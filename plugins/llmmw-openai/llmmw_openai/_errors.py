"""Errors that a host tells in its own way, as data: what the common table does not say already."""

from __future__ import annotations

from collections.abc import Mapping

from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentFiltered,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    UnsupportedFeature,
)
from llmmw.wire import ErrorRow

__all__ = ["rows_of"]

# A model lacks a parameter that others have: another target may take it.
_LACKING = ErrorRow(
    UnsupportedFeature, status=400, code=("unsupported_value", "unsupported_parameter")
)

# How a response in the Responses API fails, in words of its own.
_FAILED = (
    ErrorRow(
        ContentFiltered,
        code=("bio_policy", "cyber_policy", "image_content_policy_violation"),
    ),
    ErrorRow(
        BadRequest,
        code=(
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
            "image_file_too_large",
            "image_parse_error",
            "image_too_large",
            "image_too_small",
            "invalid_base64_image",
            "invalid_image",
            "invalid_image_format",
            "invalid_image_mode",
            "invalid_image_url",
            "unsupported_image_media_type",
        ),
    ),
)

_ROWS: Mapping[str, tuple[ErrorRow, ...]] = {
    "openai": (_LACKING,),
    "azure": (
        _LACKING,
        # A hot pool or a full reservation: their capacity, not our pace.
        ErrorRow(Overloaded, status=429, text="high demand"),
    ),
    "openrouter": (
        # The money is there, but bound by requests in flight: it comes back.
        ErrorRow(RateLimited, code=("openrouter_in_flight_budget", "in_flight_budget_exhausted")),
        ErrorRow(QuotaExhausted, status=(402, 403), text=("_budget", "key_limit")),
        ErrorRow(ContentFiltered, status=403, text=("moderation", "flagged")),
        # The host behind the router is too busy; our own pace is fine.
        ErrorRow(Overloaded, status=429, text=("provider returned error", "rate-limited upstream")),
    ),
    "mistral": (
        # The monthly allowance comes as the same 429, code 1300, as the pace does.
        ErrorRow(QuotaExhausted, status=429, text=("monthly", "per month")),
    ),
    "xai": (
        ErrorRow(AuthenticationFailed, status=400, text="incorrect api key"),
        ErrorRow(QuotaExhausted, status=(403, 429), text="used all available credits"),
    ),
    "moonshot": (
        ErrorRow(Overloaded, code="engine_overloaded_error"),
        ErrorRow(QuotaExhausted, code="exceeded_current_quota_error"),
        ErrorRow(RateLimited, code="rate_limit_reached_error"),
    ),
}


def rows_of(host: str) -> tuple[ErrorRow, ...]:
    """The rows that go before the common ones at this host."""
    return (*_ROWS.get(host, ()), *_FAILED)
