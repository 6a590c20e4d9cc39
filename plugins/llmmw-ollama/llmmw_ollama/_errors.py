"""Errors that this host tells in its own way, as data: a text is all that it gives."""

from __future__ import annotations

from llmmw.errors import (
    BadRequest,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    QuotaExhausted,
    UnsupportedFeature,
)
from llmmw.wire import ErrorRow

__all__ = ["ROWS"]

ROWS: tuple[ErrorRow, ...] = (
    ErrorRow(
        ContextWindowExceeded,
        text=(
            "exceeds the context length",
            "exceeds maximum context length",
            "exceeded max context length",
        ),
    ),
    # A model lacks what others have, or an older server what newer ones know.
    ErrorRow(
        UnsupportedFeature,
        text=(
            "does not support",
            "invalid think value",
            "think must be a boolean",
            "cannot run this remote model",
        ),
    ),
    ErrorRow(QuotaExhausted, status=429, text="usage limit"),
    # Of a model that is not on the server, and of one that its registry lacks.
    ErrorRow(
        NotFound, text=("' not found", '" not found', "file does not exist", "manifest unknown")
    ),
    ErrorRow(Overloaded, text=("server busy", "requires more system memory")),
    ErrorRow(BadRequest, text=("must be of type", "invalid model name", "invalid format")),
)
