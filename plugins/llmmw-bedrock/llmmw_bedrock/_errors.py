"""Errors that this host tells in its own way, as data: what the common table does not say."""

from __future__ import annotations

from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    ServerError,
    UnsupportedFeature,
)
from llmmw.wire import ErrorRow

__all__ = ["ROWS"]

_INVALID = "ValidationException"

ROWS: tuple[ErrorRow, ...] = (
    ErrorRow(
        ContextWindowExceeded,
        text=(
            "too many input tokens",
            "input is too long",
            "prompt is too long",
            "maximum context length",
            "exceed context limit",
            "exceeds maximum input length",
            "input length and `max_tokens` exceed",
            "context window",
        ),
    ),
    ErrorRow(NotFound, text=("model identifier is invalid", "reached the end of its life")),
    # A model lacks what others have: another target may take it.
    ErrorRow(
        UnsupportedFeature,
        code=_INVALID,
        text=(
            "doesn't support",
            "does not support",
            "is not supported",
            "isn't supported",
            "extraneous key",
            "cannot both be specified for this model",
            "is deprecated for this model",
        ),
    ),
    ErrorRow(UnsupportedFeature, status=400, text=("extraneous key", "this model doesn't support")),
    ErrorRow(
        AuthenticationFailed,
        code=(
            *("MissingAuthenticationTokenException", "IncompleteSignatureException"),
            *("InvalidClientTokenId", "RequestExpired", "NotAuthorizedException"),
        ),
    ),
    ErrorRow(AuthenticationFailed, status=403, text=("security token", "bearer token", "api key")),
    ErrorRow(RateLimited, code=("ThrottlingException", "TooManyRequestsException")),
    ErrorRow(Overloaded, code=("ServiceUnavailableException", "ModelNotReadyException")),
    ErrorRow(PermissionDenied, code="AccessDeniedException"),
    ErrorRow(NotFound, code="ResourceNotFoundException"),
    ErrorRow(BadRequest, code=(_INVALID, "ConflictException")),
    ErrorRow(
        ServerError,
        code=(
            *("InternalServerException", "ModelTimeoutException", "ModelErrorException"),
            "ModelStreamErrorException",
        ),
    ),
)
