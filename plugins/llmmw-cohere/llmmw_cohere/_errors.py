"""Errors that this host tells in its own way, as data: what the common table does not say."""

from __future__ import annotations

from llmmw.errors import (
    ContentFiltered,
    ContextWindowExceeded,
    QuotaExhausted,
    UnsupportedFeature,
)
from llmmw.wire import ErrorRow

__all__ = ["ROWS"]

_BAD = (400, 422)

ROWS: tuple[ErrorRow, ...] = (
    # The host has no words for its errors, only texts beside the status.
    ErrorRow(UnsupportedFeature, status=_BAD, text="max tokens must be less than"),
    ErrorRow(ContextWindowExceeded, status=_BAD, text="too many tokens"),
    ErrorRow(QuotaExhausted, status=429, text=("calls / month", "calls per month")),
    # A text that is on a list of what is not said.
    ErrorRow(ContentFiltered, status=498),
    # A model lacks what others have: another target may take it.
    ErrorRow(
        UnsupportedFeature,
        status=_BAD,
        text=(
            "is not supported by the",
            "is not supported for this model",
            "are not supported for this model",
            "is not supported with",
            "are not supported with",
            "can be specified for this model",
            "cannot specify both frequency_penalty and presence_penalty",
            "is not compatible with rag",
        ),
    ),
)
