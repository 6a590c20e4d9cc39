"""What hosts answer when they do not, and which errors that must be."""

from __future__ import annotations

from typing import TypeAlias

from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectionFailed,
    LLMError,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing._server import Answer

__all__ = ["ERRORS", "FAILURES"]

Row: TypeAlias = tuple[Answer, tuple[type[LLMError], ...], float | None]
"""An answer; the errors of which it must be one; and the wait that must be told."""

_HTML = b"<html><body><h1>Sorry</h1></body></html>"
_JSON = {"Content-Type": "application/json"}


def _status(
    status: int, kind: type[LLMError], body: bytes = b"{}", wait: float | None = None
) -> Row:
    hint = {} if wait is None else {"Retry-After": f"{wait:g}"}
    return Answer(status=status, headers=_JSON | hint, body=body), (kind,), wait


ERRORS: tuple[Row, ...] = (
    _status(400, BadRequest),
    _status(401, AuthenticationFailed),
    _status(403, PermissionDenied),
    _status(404, NotFound),
    _status(404, NotFound, _HTML),
    _status(429, RateLimited, wait=7.0),
    _status(500, ServerError),
    _status(500, ServerError, b""),
    _status(500, ServerError, b'{"error": {"message": "' + b"a" * 2**20 + b'"}}'),
    _status(502, ServerError, _HTML),
    _status(503, Overloaded, wait=2.5),
    _status(529, Overloaded),
    _status(500, ServerError, b"\xff\xfe\x00{[garbage"),
)
"""By status, with bodies as hosts and proxies have them."""

_RUBBISH = (ProtocolError, StreamInterrupted)
FAILURES: tuple[Row, ...] = (
    (Answer(headers=_JSON, body=b""), _RUBBISH, None),
    (Answer(headers=_JSON, body=b"{]"), _RUBBISH, None),
    (Answer(headers=_JSON, body=b"[[1]]"), _RUBBISH, None),
    (Answer(headers={"Content-Type": "text/html"}, body=_HTML), _RUBBISH, None),
    (Answer(headers=_JSON, body=b'{"a": ', cut=True), _RUBBISH, None),
    (Answer(reset=True), (ConnectionFailed,), None),
)
"""What has a status of success, and is none."""
