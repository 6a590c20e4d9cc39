"""What a simulation has shown."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import attrs

from llmmw.sim._hosts import Meter

__all__ = ["Percentiles", "Report"]


@attrs.frozen(kw_only=True)
class Percentiles:
    """Seconds within which so many in a hundred calls were done; `None` where none was."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    mean: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> Percentiles:
        """Those of the values that are numbers; each is one of them."""
        known = sorted(value for value in values if not math.isnan(value))
        if not known:
            return cls(p50=None, p90=None, p95=None, p99=None, p999=None, mean=None)

        def at(share: float) -> float:
            return known[max(math.ceil(share * len(known) - 1e-9) - 1, 0)]

        mean = math.fsum(known) / len(known)
        return cls(p50=at(0.5), p90=at(0.9), p95=at(0.95), p99=at(0.99), p999=at(0.999), mean=mean)


@attrs.frozen(kw_only=True)
class Report:
    """What became of the calls of a simulation.

    Attributes:
        stack: the layers, outermost first.
        seconds: how long it took, in virtual time.
        errors: how many calls ended with each error; `GaveUp` is the callers' patience.
        targets: what each target has seen.
        events: how often each event of the ledger was written, by its detail: the reason of an
            `AttemptStarted`, the limit of a `LimitReached`; `""` where it has none.
        waited: virtual seconds that attempts waited, by the cause.
        policies: the statistics of each policy at the end.
        first_tokens: of each call, the seconds to the first token of its answer, else not a
            number.
        completions: of each call, the seconds to its answer, else not a number.
    """

    stack: tuple[str, ...]
    world: str
    requests: int
    rate: float
    seed: int
    seconds: float
    errors: Mapping[str, int]
    targets: Mapping[str, Meter] = attrs.field(repr=False)
    events: Mapping[str, Mapping[str, int]] = attrs.field(repr=False)
    waited: Mapping[str, float]
    policies: tuple[tuple[str, Mapping[str, Any]], ...] = attrs.field(repr=False)
    first_tokens: array[float] = attrs.field(repr=False)
    completions: array[float] = attrs.field(repr=False)
    first_token: Percentiles = attrs.field(init=False)
    completion: Percentiles = attrs.field(init=False)

    @first_token.default
    def _first_token(self) -> Percentiles:
        return Percentiles.of(self.first_tokens)

    @completion.default
    def _completion(self) -> Percentiles:
        return Percentiles.of(self.completions)

    @property
    def answered(self) -> float:
        """The share of calls that were answered."""
        return 1.0 - sum(self.errors.values()) / self.requests

    @property
    def attempts(self) -> int:
        """How often a target was asked."""
        return sum(meter.attempts for meter in self.targets.values())

    @property
    def extra_load(self) -> float:
        """Attempts beyond one for each call, as a share of the calls; negative where some were
        never sent."""
        return self.attempts / self.requests - 1.0

    @property
    def money(self) -> Decimal | None:
        """US dollars for all attempts; `None` where the price of a target is unknown."""
        return _sum(meter.cost for meter in self.targets.values())

    @property
    def money_lost(self) -> Decimal | None:
        """The part of `money` that brought no answer: attempts cancelled or broken off."""
        return _sum(meter.lost for meter in self.targets.values())

    @property
    def did(self) -> dict[str, int]:
        """What the policies did, in a word for each."""
        started, ended = self.events.get("AttemptStarted", {}), self.events.get("AttemptEnded", {})
        return {
            "retries": started.get("retry", 0),
            "fallbacks": started.get("fallback", 0),
            "hedges": started.get("hedge", 0),
            "sheds": ended.get("CallShed", 0) if started else self.errors.get("CallShed", 0),
            "limits": sum(self.events.get("LimitReached", {}).values()),
            "waits": sum(self.events.get("WaitStarted", {}).values()),
            "queued": sum(self.events.get("QueueEntered", {}).values()),
            "refused": sum(self.events.get("BudgetRefused", {}).values()),
            "restarts": sum(self.events.get("StreamRestarted", {}).values()),
        }

    def data(self) -> dict[str, Any]:
        """All of it but the single calls, as plain values for JSON."""
        return {
            "stack": list(self.stack),
            "world": self.world,
            "requests": self.requests,
            "rate": self.rate,
            "seed": self.seed,
            "seconds": self.seconds,
            "answered": self.answered,
            "errors": dict(self.errors),
            "attempts": self.attempts,
            "extra_load": self.extra_load,
            "first_token": attrs.asdict(self.first_token),
            "completion": attrs.asdict(self.completion),
            "money": _float(self.money),
            "money_lost": _float(self.money_lost),
            "did": self.did,
            "waited": dict(self.waited),
            "events": {kind: dict(counts) for kind, counts in self.events.items()},
            "targets": {name: _metered(meter) for name, meter in self.targets.items()},
            "policies": [{"policy": name, "statistics": told} for name, told in self.policies],
        }


def _sum(parts: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def _float(money: Decimal | None) -> float | None:
    return None if money is None else float(money)


def _metered(meter: Meter) -> dict[str, Any]:
    return {
        "attempts": meter.attempts,
        "ends": dict(meter.ends),
        "input_tokens": meter.input_tokens,
        "output_tokens": meter.output_tokens,
        "money": _float(meter.cost),
        "money_lost": _float(meter.lost),
    }
