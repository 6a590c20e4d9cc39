"""A quantile of waiting times, learned as they come, where some were cut short.

A wait that was cut short after t seconds says only that it would have been longer than t. To take
it for t, or to leave it out, makes the quantile smaller than it is, and a hedge that waits so long
fires more often than it should. (Kaplan and Meier, "Nonparametric Estimation from Incomplete
Observations", JASA 53, 1958.)
"""

from __future__ import annotations

import math

import attrs

__all__ = ["Quantile"]

_STEP = math.log(1.02)
"""Times are counted in buckets 2 % wide."""
_LEAST = 1e-4
_HALF = 2000
_OLD = 600.0
_FEW = 100
_NONE = (0, 0)
_CAUTION = 4.0
"""Times the median: more than most percentiles of most latencies."""


def _buckets() -> dict[int, list[int]]:
    return {}


@attrs.define(eq=False)
class Quantile:
    """The `share` quantile of what was added last: 2000 to 4000 times, or those of the last 10 to
    20 minutes, where they are 100 or more. Pure; its clock is `now`.

    Its counts are kept in two halves, the older of which is forgotten when the newer is full.
    """

    share: float
    _new: dict[int, list[int]] = attrs.field(factory=_buckets, init=False)
    _old: dict[int, list[int]] = attrs.field(factory=_buckets, init=False)
    _count: int = attrs.field(default=0, init=False)
    _before: int = attrs.field(default=0, init=False)
    _began: float = attrs.field(default=math.nan, init=False)
    _value: float | None = attrs.field(default=None, init=False)
    _due: int = attrs.field(default=0, init=False)
    """So many more times are added before the value is computed anew."""

    @property
    def count(self) -> int:
        """How many times it knows."""
        return self._count + self._before

    def add(self, seconds: float, now: float, *, cut_short: bool = False) -> None:
        """A wait has ended after so many seconds, or was cut short then."""
        if not self._count:
            self._began = now
        bucket = math.ceil(math.log(max(seconds, _LEAST)) / _STEP)
        self._new.setdefault(bucket, [0, 0])[cut_short] += 1
        self._count += 1
        self._due -= 1
        old = self._count >= _FEW and now - self._began >= _OLD
        if self._count >= _HALF or old:
            self._old, self._new = self._new, {}
            self._before, self._count = self._count, 0

    def value(self) -> float | None:
        """The quantile in seconds; while too few times are known, 4 times their median; `None`
        while nothing is."""
        if self._value is None or self._due <= 0:
            self._value = self._compute()
            self._due = 1 + self.count // 64
        return self._value

    def _compute(self) -> float | None:
        # One more than have come, which outlasts all: without it, the greatest of 20 would be
        # exceeded in 1 of 21 cases and pass for one that is in 1 of 20.
        at_risk = self.count + 1
        longer = 1.0
        median: float | None = None
        for bucket in sorted({*self._new, *self._old}):
            new, old = self._new.get(bucket, _NONE), self._old.get(bucket, _NONE)
            ended = new[0] + old[0]
            longer *= 1.0 - ended / at_risk
            at_risk -= ended + new[1] + old[1]
            middle = math.exp((bucket - 0.5) * _STEP)
            if median is None and longer <= 0.5 + 1e-12:
                median = middle
            if longer <= 1.0 - self.share + 1e-12:
                return middle
        return None if median is None else max(middle, _CAUTION * median)
