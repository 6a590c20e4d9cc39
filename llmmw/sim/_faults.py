"""What goes wrong on the way to a host and back, as data.

The same rows drive the simulated provider, in virtual time, and a server that speaks HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from llmmw._call import Call
from llmmw._request import Generate
from llmmw._response import Usage
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    CallShed,
    ConfigError,
    ConnectionFailed,
    ContentFiltered,
    ContextWindowExceeded,
    LLMError,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.sim._script import Script, Scripted

__all__ = ["KINDS", "Fault", "Kind", "WireFault", "wire_faults"]


@attrs.frozen
class Kind:
    """One way to fail: the error that it is, and the status and the word of a host that says so
    (no status: the line says it, not the host)."""

    error: type[LLMError]
    status: int | None = None
    code: str | None = None


KINDS: Mapping[str, Kind] = {
    "net": Kind(ConnectionFailed),  # the line is reset
    "busy": Kind(Overloaded, 503, "server_is_overloaded"),
    "server": Kind(ServerError, 500),
    "rate": Kind(RateLimited, 429, "rate_limit_exceeded"),
    "cut": Kind(StreamInterrupted),  # the line breaks
    "unfinished": Kind(StreamInterrupted),  # the stream ends, and its terminator is missing
    "garbled": Kind(ProtocolError),  # a piece of the stream can't be understood
    "quota": Kind(QuotaExhausted, 429, "insufficient_quota"),
    "auth": Kind(AuthenticationFailed, 401, "invalid_api_key"),
    "bad": Kind(BadRequest, 400, "invalid_request_error"),
    "long": Kind(ContextWindowExceeded, 400, "context_length_exceeded"),
    "refused": Kind(ContentFiltered, 400, "content_filter"),
    "shed": Kind(CallShed),  # by a policy; no host does it
}


def _known(item: object, field: object, kind: str) -> None:
    if kind not in KINDS:
        raise ConfigError(f"Fault({kind!r}): expected one of {', '.join(KINDS)}")


@attrs.frozen
class Fault:
    """An error of some kind, for scripts.

    Args:
        kind: `net`, `busy`, `server`, `rate`, `cut`, `unfinished`, `garbled`, `quota`, `auth`,
            `bad`, `long`, `refused` or `shed`.
        retry_after: seconds that the host asks to wait.
    """

    kind: str = attrs.field(validator=_known)
    retry_after: float | None = None

    def __call__(self) -> LLMError:
        kind = KINDS[self.kind]
        return kind.error(
            f"scripted: {self.kind}",
            status=kind.status,
            code=kind.code,
            retry_after=self.retry_after,
        )


@attrs.frozen
class WireFault:
    """What a primary does wrong, and what its fallback does, as scripts of two models."""

    primary: Scripted
    fallback: Scripted = "answered by the fallback"

    @property
    def scripts(self) -> dict[str, Scripted]:
        """For a provider or a server with the models `primary` and `fallback`."""
        return {"primary": self.primary, "fallback": self.fallback}


_WORDS = ("This ", "is ", "the ", "whole ", "of ", "it.")
_WHOLE = Script(first=0.25, gap=0.25, pieces=_WORDS)
_TWO_THIRDS = _WORDS[: len(_WORDS) * 2 // 3]


def _fails(kind: str, retry_after: float | None = None, *pieces: str) -> Script:
    return Script(first=0.25, gap=0.25, pieces=pieces, error=Fault(kind, retry_after))


def _refuses_prefill(call: Call, count: int) -> Scripted:
    """Asked to go on with what an answer has begun with, it says no."""
    request = call.request
    last = request.messages[-1:] if isinstance(request, Generate) else ()
    return _fails("bad") if last and last[0].role == "assistant" else _WHOLE


wire_faults: Mapping[str, WireFault] = {
    "429 with a hint": WireFault([_fails("rate", 2.0), _WHOLE]),
    "429 for ever": WireFault(_fails("rate")),
    "500 once": WireFault([_fails("server"), _WHOLE]),
    "503 for ever": WireFault(_fails("busy")),
    "connection reset": WireFault(_fails("net")),
    "never answers": WireFault(Script(pieces=(), hangs=True)),
    "first token after 20 s": WireFault(attrs.evolve(_WHOLE, first=20.0)),
    "cut at two thirds": WireFault(_fails("cut", None, *_TWO_THIRDS)),
    "stall of 30 s": WireFault(attrs.evolve(_WHOLE, gap=(0.25, 0.25, 30.0, 0.25, 0.25, 0.25))),
    "malformed chunk": WireFault(_fails("garbled", None, *_TWO_THIRDS)),
    "no terminator": WireFault(_fails("unfinished", None, *_WORDS)),
    "context too long": WireFault(_fails("long")),
    "content filtered": WireFault(_fails("refused")),
    "cut, prefill refused": WireFault(_fails("cut", None, *_TWO_THIRDS), _refuses_prefill),
    "flapping": WireFault([*[_fails("busy")] * 6, *[_WHOLE] * 2] * 500),
    "failover is paid for": WireFault(
        _fails("busy"), attrs.evolve(_WHOLE, usage=Usage(input_tokens=7, output_tokens=5))
    ),
}
"""What every client should survive: each is answered, or fails clean, by the default stack of two
targets. Nothing here depends on the wire of a host."""
