"""Errors that this host tells in its own way, as data: what the common table does not say."""

from __future__ import annotations

from llmmw.errors import ContextWindowExceeded, NotFound, QuotaExhausted, UnsupportedFeature
from llmmw.wire import ErrorRow

__all__ = ["ROWS"]

ROWS: tuple[ErrorRow, ...] = (
    # The monthly allowance comes as the same 429, code 1300, as the pace does.
    ErrorRow(QuotaExhausted, status=429, text=("monthly", "per month")),
    ErrorRow(NotFound, status=400, code="invalid_model"),
    ErrorRow(ContextWindowExceeded, status=(400, 422), text="too large for model"),
    # A model lacks what others have: another target may take it.
    ErrorRow(
        UnsupportedFeature,
        status=(400, 422),
        text=(
            "is not enabled for this model",
            "not supported for this model",
            "not supported by this model",
            "does not support",
        ),
    ),
)
