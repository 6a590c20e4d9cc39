"""Law: a destination that fails too often is left alone for a time; then a few calls try it, and
what they meet decides. A call that was cancelled says nothing.

::

    closed   ✓ ✗ ✓ ✗ ✗ ✗│                                │✓ ✓ ✓
    open                │ shed · shed ·│                 │
    half-open           │              │ probe ✓ (others shed)
                        ├─ open_for ───┤
                        ✗ of a probe: open again, twice as long, up to open_max

Source: the pattern is that of M. Nygard, "Release It!", 2007. That a cancelled probe closes
nothing, and that one that hangs holds its place for a time only, was learned from what
established libraries do otherwise.
"""

from __future__ import annotations

import math
import random
from typing import Any, Literal

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._ledger import CircuitChanged
from llmmw._response import Response
from llmmw.errors import (
    AuthenticationFailed,
    CallShed,
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    LLMError,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.policies import _options
from llmmw.policies._circuit import Circuit, Verdict
from llmmw.policies._destinations import Destinations, shed

__all__ = ["Breaker"]

_FAILED = (ConnectionFailed, DeadlineExceeded, ProtocolError, ServerError, StreamInterrupted)
_HELD = (AuthenticationFailed, QuotaExhausted)
_IGNORED = (CallShed, RateLimited, UnsupportedFeature)
"""Ours, the rate limiter's business, and the request's own fault, told before it was sent."""


def _verdict(error: LLMError) -> Verdict:
    if isinstance(error, _FAILED):
        return "failed"
    if isinstance(error, _HELD):
        # A key that is missing here says nothing of the host, and is soon mended.
        return "ignored" if error.processed is False else "held"
    # Any other error is an answer, if it came from there; of a check of ours, it is nothing.
    answered = error.status is not None or error.code is not None or error.request_id is not None
    return "ok" if answered and not isinstance(error, _IGNORED) else "ignored"


@attrs.frozen(kw_only=True)
class Breaker:
    """Shed calls to a destination that fails; other targets are asked at once.

    It opens when within `window` at least `calls` calls ended and `share` of them failed: not
    reached, failed or overloaded servers, answers cut off or garbled, limits of attempts run out.
    Too high a rate is no failure, and a request that was refused was answered.
    `QuotaExhausted` and `AuthenticationFailed` open it at once.

    Put it inside of the attempts, so that each of them counts.

    Args:
        share: the share of calls that must fail, above 0 up to 1.
        calls: how many must have ended within the window.
        window: seconds; what is older is forgotten, in steps of a tenth.
        open_for: seconds until the first probe; doubled whenever a probe fails.
        open_max: seconds; the longest such time.
        jitter: the share of such a time that chance may take off it, so that programs which met
            the same outage do not probe as one.
        probes: how many calls may probe at once. The first that ends decides.
        probe_limit: seconds after which a probe that has not ended makes room for another.
        hold: seconds that it stays open after `QuotaExhausted` or `AuthenticationFailed`, where
            the provider names no time.
        scope: what breaks by itself: each `model`, or each `provider`.
    """

    share: float = attrs.field(default=0.5, validator=_options.share)
    calls: int = attrs.field(default=10, validator=_options.whole(1))
    window: float = attrs.field(default=30.0, validator=_options.seconds(0.001))
    open_for: float = attrs.field(default=5.0, validator=_options.seconds(0))
    open_max: float = attrs.field(default=60.0, validator=_options.seconds(0))
    jitter: float = attrs.field(default=0.25, validator=_options.seconds(0))
    probes: int = attrs.field(default=1, validator=_options.whole(1))
    probe_limit: float = attrs.field(default=30.0, validator=_options.seconds(0.001))
    hold: float = attrs.field(default=300.0, validator=_options.seconds(0))
    scope: Literal["model", "provider"] = attrs.field(
        default="model", validator=_options.one_of("model", "provider")
    )
    _circuits: Destinations[Circuit] = attrs.field(init=False, eq=False, repr=False)

    @_circuits.default
    def _make_circuits(self) -> Destinations[Circuit]:
        def make() -> Circuit:
            return Circuit(
                share=self.share,
                calls=self.calls,
                window=self.window,
                open_for=self.open_for,
                open_max=self.open_max,
                probes=self.probes,
                probe_limit=self.probe_limit,
                jitter=self.jitter,
            )

        return Destinations(self.scope, make)

    async def __call__(self, call: Call, next: Handler) -> Response:
        now = trio.current_time()
        name = self._circuits.name(call)
        circuit = self._circuits.of(name, now)
        changes = circuit.changes
        permit = circuit.enter(now)
        if circuit.changes != changes:
            _tell(call, name, circuit)
        if permit is None:
            raise _refused(call, name, circuit, now)
        verdict: Verdict = "ignored"
        hold, why = 0.0, ""
        try:
            response = await next(call)
            verdict = "ok"
            return response
        except LLMError as error:
            verdict, why = _verdict(error), type(error).__name__
            hold = self._hold(error)
            raise
        finally:
            changes = circuit.changes
            chance = random.random if call.host is None else call.host.random.random
            circuit.leave(permit, verdict, trio.current_time(), hold, chance)
            if circuit.changes != changes:
                _tell(call, name, circuit, why)

    def _hold(self, error: LLMError) -> float:
        told = error.retry_after
        return told if told is not None and 0 <= told < math.inf else self.hold

    def __attrs_post_init__(self) -> None:
        if self.jitter > 1:
            raise ConfigError(f"Breaker(jitter={self.jitter!r}): expected a number from 0 to 1")

    def isolate(self, destination: str) -> None:
        """Shed all calls to a model or provider until `close`, in a running trio program."""
        now = trio.current_time()
        self._circuits.of(destination, now).isolate(now)

    def close(self, destination: str) -> None:
        """Let calls through again, and forget what was counted, in a running trio program."""
        now = trio.current_time()
        self._circuits.of(destination, now).close(now)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Of each destination: `state` (`closed`, `open`, `half-open`, `isolated`), `since` and
        `until` (trio's time), and as of the last call `calls`, `failed` and `probes`."""
        return self._circuits.statistics()


def _tell(call: Call, name: str, circuit: Circuit, why: str = "") -> None:
    until = circuit.until if circuit.state == "open" else None
    number = call.attempt.number
    call.ledger.write(CircuitChanged, circuit.since, name, circuit.state, until, why, number)


def _refused(call: Call, name: str, circuit: Circuit, now: float) -> CallShed:
    wait = circuit.wait(now)
    if circuit.state == "isolated":
        what = "isolated by hand, until it is closed by hand"
    elif circuit.state == "open":
        what = f"open for another {wait:g} s, since too much failed there"
    else:
        what = "half-open, and is being probed by another call"
    return shed(call, f"the circuit of {name!r} is {what}; ask another target", wait)
