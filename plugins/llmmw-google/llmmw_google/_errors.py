"""Errors that Google tells in its own way, as data: what the common table does not say already."""

from __future__ import annotations

import re

from llmmw.errors import (
    AuthenticationFailed,
    ContextWindowExceeded,
    LLMError,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    UnsupportedFeature,
)
from llmmw.wire import ErrorRow

__all__ = ["ROWS", "with_told_wait"]

ROWS: tuple[ErrorRow, ...] = (
    ErrorRow(AuthenticationFailed, status=400, text=("api key not valid", "api key expired")),
    ErrorRow(AuthenticationFailed, status=403, text="reported as leaked"),
    ErrorRow(PermissionDenied, status=400, text="free tier is not available"),
    # 429 like the pace, but no waiting of seconds helps: nothing is left, or the plan has none.
    ErrorRow(
        QuotaExhausted,
        status=429,
        text=("credits are depleted", "spending cap", "limit: 0,"),
    ),
    ErrorRow(ContextWindowExceeded, status=400, text="payload size exceeds the limit"),
    # A model lacks what others have: another target may take it.
    ErrorRow(
        UnsupportedFeature,
        status=400,
        text=("is not enabled for models/", "is not enabled for this model"),
    ),
)

_RETRY = re.compile(
    r"retry in (?:([0-9]{1,3})h)?(?:([0-9]{1,3})m)?([0-9]{1,6}(?:[.][0-9]{1,12})?)(m?)s"
)


def with_told_wait(error: LLMError) -> None:
    """Give an error the wait that its message asks for, where no field of it does."""
    found = _RETRY.search(error.message)
    if isinstance(error, (RateLimited, QuotaExhausted)) and found and error.retry_after is None:
        hours, minutes, seconds, milli = found.groups()
        wait = float(seconds) / (1000 if milli else 1)
        told = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + wait
        error.retry_after = told or None
