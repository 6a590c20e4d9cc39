"""Errors that this host tells in its own way, as data: what the common table does not say."""

from __future__ import annotations

from llmmw.errors import (
    ContentFiltered,
    ContextWindowExceeded,
    QuotaExhausted,
    ServerError,
    UnsupportedFeature,
)
from llmmw.wire import ErrorRow

__all__ = ["ROWS"]

ROWS: tuple[ErrorRow, ...] = (
    # Most of these come as a plain invalid_request_error: only their text tells them apart.
    ErrorRow(ContextWindowExceeded, text=("prompt is too long", "exceed context limit")),
    ErrorRow(QuotaExhausted, text=("credit balance is too low", "api usage limits")),
    ErrorRow(ContentFiltered, text="blocked by content filtering policy"),
    # A model lacks what others have: another target may take it.
    ErrorRow(
        UnsupportedFeature,
        code="invalid_request_error",
        text=(
            "does not support",
            "is not supported on this model",
            "not supported for this model",
            "not supported by this model",
            "cannot both be specified for this model",
            "is deprecated for this model",
        ),
    ),
    ErrorRow(ServerError, code="timeout_error"),
)
