"""Errors of hosts as data: one table from what a host says to the error that a caller gets.

The first row that fits wins: the rows of the host, then `COMMON`, whose last row fits anything. So
each answer, however broken, is one error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import attrs

from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentFiltered,
    ContextWindowExceeded,
    LLMError,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    ServerError,
    UnsupportedFeature,
)
from llmmw.wire._limits import limits_of, seconds_of
from llmmw.wire._told import clean, is_error, told_by

__all__ = ["COMMON", "ErrorRow", "error_of", "in_band_error", "request_id_of"]


def _statuses(given: int | Sequence[int]) -> Sequence[int]:
    return (given,) if isinstance(given, int) else given


def _words(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in ((given,) if isinstance(given, str) else given))


@attrs.frozen
class ErrorRow:
    """One sign by which hosts tell an error. What is given must all fit; cases do not matter.

    Args:
        error: the class of the error.
        status: the HTTP status, or several.
        code: a word that the host has for the error (its code, type, status or reason, at any
            depth), or several of which one is enough.
        text: a part of the message or of such a word, or several of which one is enough.
    """

    error: type[LLMError]
    status: Sequence[int] = attrs.field(default=(), converter=_statuses, kw_only=True)
    code: tuple[str, ...] = attrs.field(default=(), converter=_words, kw_only=True)
    text: tuple[str, ...] = attrs.field(default=(), converter=_words, kw_only=True)

    def fits(self, status: int | None, words: frozenset[str], text: str) -> bool:
        """Whether an error with these signs, in lower case, is meant."""
        return (
            (not self.status or (status is not None and status in self.status))
            and (not self.code or not words.isdisjoint(self.code))
            and (not self.text or any(part in text for part in self.text))
        )


COMMON: tuple[ErrorRow, ...] = (
    # What a host says in so many words counts more than the status.
    ErrorRow(
        ContextWindowExceeded,
        code=("context_length_exceeded", "exceed_context_size_error", "request_too_large"),
    ),
    ErrorRow(
        ContextWindowExceeded,
        text=(
            "maximum context length",
            "prompt is too long",
            "input is too long",
            "exceeds the maximum number of tokens",
            "exceeds the context window",
            "exceeds the available context size",
            "exceed context limit",
        ),
    ),
    ErrorRow(
        QuotaExhausted,
        code=(
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "enforced_spend_limit_reached",
            "billing_error",
            "quota_exceeded",
            "payment_required",
            "ServiceQuotaExceededException",
        ),
    ),
    ErrorRow(QuotaExhausted, status=(400, 403, 429), text=("credit balance", "spend limit")),
    ErrorRow(QuotaExhausted, code="RESOURCE_EXHAUSTED", text="PerDay"),
    ErrorRow(
        AuthenticationFailed,
        code=(
            "invalid_api_key",
            "API_KEY_INVALID",
            "UnrecognizedClientException",
            "ExpiredTokenException",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
        ),
    ),
    ErrorRow(PermissionDenied, text="location is not supported"),
    ErrorRow(NotFound, code=("model_not_found", "DeploymentNotFound")),
    ErrorRow(
        ContentFiltered,
        code=(
            "content_filter",
            "content_policy_violation",
            "ResponsibleAIPolicyViolation",
            "invalid_prompt",
        ),
    ),
    ErrorRow(RateLimited, code="slow_down"),
    ErrorRow(
        Overloaded,
        code=("overloaded_error", "server_is_overloaded", "UNAVAILABLE", "unavailable_error"),
    ),
    ErrorRow(Overloaded, code=("service_unavailable", "ModelNotReadyException")),
    ErrorRow(Overloaded, text=("service tier capacity exceeded", "loading model")),
    # Then the status counts.
    ErrorRow(NotFound, status=range(300, 400)),
    ErrorRow(AuthenticationFailed, status=401),
    ErrorRow(QuotaExhausted, status=402),
    ErrorRow(PermissionDenied, status=403),
    ErrorRow(NotFound, status=(404, 410)),
    ErrorRow(ServerError, status=(408, 409, 424, 425, 499)),
    ErrorRow(ContextWindowExceeded, status=413),
    ErrorRow(RateLimited, status=429),
    ErrorRow(Overloaded, status=(498, 503, 529)),
    ErrorRow(UnsupportedFeature, status=501),
    ErrorRow(ServerError, status=range(500, 600)),
    # General words: for 400 and the like, and for errors inside a 200, which have no status.
    ErrorRow(
        RateLimited,
        code=(
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limited",
            "rate_limit",
            "too_many_requests",
            "RESOURCE_EXHAUSTED",
            "ThrottlingException",
        ),
    ),
    ErrorRow(AuthenticationFailed, code=("authentication_error", "UNAUTHENTICATED")),
    ErrorRow(PermissionDenied, code=("permission_error", "permission_denied")),
    ErrorRow(NotFound, code=("not_found_error", "NOT_FOUND")),
    ErrorRow(
        BadRequest,
        code=("invalid_request_error", "INVALID_ARGUMENT", "FAILED_PRECONDITION"),
    ),
    ErrorRow(BadRequest, status=range(400, 500)),
    ErrorRow(ServerError),
)
"""What most hosts mean. Its words are in their own spelling."""

_WAITS = (RateLimited, ServerError, QuotaExhausted)
_MAYBE_PROCESSED = (408, 409, 499)
_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "mistral-correlation-id",
    "x-debug-trace-id",
    "x-substrate-request-id",
    "cf-ray",
)
_ID_NAMES = frozenset(_REQUEST_IDS)


def error_of(
    status: int | None,
    headers: Mapping[str, str],
    body: bytes | object,
    *,
    rows: Sequence[ErrorRow] = (),
    now: float,
    scrub: Callable[[str], str] = str,
) -> LLMError:
    """The error that an answer tells: there is one for any answer. It is returned, not raised.

    Args:
        status: the HTTP status; `None` or one of success if the error stands inside an answer
            that began well: then its own status counts, and the headers give no wait.
        headers: of the answer; upper and lower case are the same.
        body: its bytes, or the JSON that was read from them.
        rows: how this host tells errors in its own way; they go before `COMMON`.
        now: the time, in seconds since 1970.
        scrub: takes the secrets out of a text.
    """
    known = {name.lower(): text for name, text in headers.items()}
    told = told_by(body, scrub)
    inside = status is None or status < 300
    status = told.status if inside else status
    aws = clean(known.get("x-amzn-errortype", ""), scrub).partition(":")[0]
    words = (*told.words, aws) if aws else told.words
    error = _kind(rows, status, words, told.message)(
        _redirected(status, known.get("location", ""), scrub) or told.message or _silent(status),
        status=status,
        code=next((word for word in words if word != str(status)), words[0] if words else None),
        request_id=scrub(request_id_of(known) or told.request_id) or None,
        processed=False if _is_refused(status) and not inside else None,
    )
    signs = {} if inside else known
    if isinstance(error, _WAITS):
        error.retry_after = _hint(signs, told.delay, now)
    again = signs.get("x-should-retry", "").strip().lower()
    if again in {"true", "false"}:
        error.retryable = again == "true"
    return error


def in_band_error(
    data: object,
    headers: Mapping[str, str],
    *,
    rows: Sequence[ErrorRow] = (),
    now: float,
    scrub: Callable[[str], str] = str,
) -> LLMError | None:
    """The error that a body or an event tells inside an answer of status 200, or `None`.

    Args:
        data: the JSON of the body or event.
        headers: of the answer, for the id of the request.
        rows: as in `error_of`.
        now: the time, in seconds since 1970.
        scrub: takes the secrets out of a text.
    """
    if not is_error(data):
        return None
    return error_of(None, headers, data, rows=rows, now=now, scrub=scrub)


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The host's id of a request, by the names that hosts have for it; secrets are left in."""
    found = {n: text for name, text in headers.items() if (n := name.lower()) in _ID_NAMES}
    if not found:
        return None
    ids = [clean(found[name], str) for name in _REQUEST_IDS if name in found]
    return next(filter(None, ids), None)


def _kind(
    rows: Sequence[ErrorRow], status: int | None, words: Sequence[str], message: str
) -> type[LLMError]:
    lower = frozenset(word.lower() for word in words)
    text = "\n".join([message.lower(), *sorted(lower)])
    return next(row.error for row in (*rows, *COMMON) if row.fits(status, lower, text))


def _silent(status: int | None) -> str:
    where = "inside its answer" if status is None else f"with HTTP {status}"
    return f"the host tells an error {where}, but not which"


def _is_refused(status: int | None) -> bool:
    return status is not None and 400 <= status < 500 and status not in _MAYBE_PROCESSED


def _redirected(status: int | None, location: str, scrub: Callable[[str], str]) -> str:
    if status is None or not 300 <= status < 400:
        return ""
    try:
        url = urlsplit(location)
        port = f":{url.port}" if url.port else ""
        target = clean(f"{url.scheme}://{url.hostname}{port}", scrub) if url.hostname else ""
    except ValueError:
        target = ""
    return (
        f"the host redirects to {target or 'another address'}, and redirects are not followed "
        "since they would take the key along: set base_url to the address it should be"
    )


def _hint(headers: Mapping[str, str], delay: str, now: float) -> float | None:
    """The seconds that a host asks to wait: from its most exact word to its least."""
    limits = limits_of(headers, now=now)
    spent = [
        name.removesuffix("_remaining")
        for name, left in limits.items()
        if name.endswith("_remaining") and left == 0
    ]
    thousandths = seconds_of(headers.get("retry-after-ms", ""), now=now)
    hints = (
        None if thousandths is None else thousandths / 1000,
        _wait(headers.get("retry-after", ""), now),
        seconds_of(delay, now=now),
        max((limits.get(f"{dimension}_reset", 0.0) for dimension in spent), default=None),
    )
    return next((hint for hint in hints if hint is not None and 0 < hint < math.inf), None)


def _wait(text: str, now: float) -> float | None:
    """Seconds, or a date as HTTP writes it."""
    seconds = seconds_of(text, now=now)
    if seconds is not None:
        return seconds
    try:
        then = parsedate_to_datetime(text)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
