"""Errors that the host tells in its own way: what the common table does not say already."""

from __future__ import annotations

from llmmw.errors import QuotaExhausted, UnsupportedFeature
from llmmw.wire import ErrorRow

__all__ = ["ROWS"]

ROWS = (
    # The endpoint is of another kind: another target may do it.
    ErrorRow(
        UnsupportedFeature,
        status=400,
        text=("unsupported inference type", "endpoint does not support request"),
    ),
    ErrorRow(QuotaExhausted, status=400, text="fine-tuned endpoints per user"),
)
