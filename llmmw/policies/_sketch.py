"""Quantiles of any number of durations in little memory."""

from __future__ import annotations

import math

import attrs

__all__ = ["QUANTILES", "Sketch"]

_STEP = math.log(1.02)
_LEAST, _MOST = 1e-5, 1e6
"""Seconds between which durations are told apart, in buckets 2 % wide: 1280 of them."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@attrs.define(eq=False)
class Sketch:
    """Durations by their size, each taken for the middle of its bucket, at most 1 % wrong."""

    count: int = attrs.field(default=0, init=False)
    total: float = attrs.field(default=0.0, init=False)
    _buckets: dict[int, int] = attrs.field(factory=dict, init=False)

    def add(self, seconds: float) -> None:
        """Another one."""
        bucket = math.ceil(math.log(min(max(seconds, _LEAST), _MOST)) / _STEP)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds

    def quantile(self, share: float) -> float | None:
        """The duration that this share of all does not exceed; `None` where there is none."""
        rank = math.ceil(share * self.count - 1e-9)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return math.exp((bucket - 0.5) * _STEP)
        return None

    def statistics(self) -> dict[str, float | None]:
        """Quantiles and mean, in seconds."""
        mean = self.total / self.count if self.count else None
        return {**{name: self.quantile(q) for name, q in QUANTILES.items()}, "mean": mean}
