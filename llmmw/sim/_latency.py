"""How long things take: distributions of seconds, drawn by their quantiles.

A draw is a pure function of numbers from (0, 1), so that the same numbers give the same draw,
whatever else was drawn before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from math import exp, log
from statistics import NormalDist
from typing import Protocol

import attrs

__all__ = ["Constant", "Distribution", "LogNormal", "Measured", "Mixture", "Pareto"]

_NORMAL = NormalDist()


class Distribution(Protocol):
    """Something that can be drawn."""

    def draw(self, part: float, share: float) -> float:
        """The value below which a `share` of all values lie; of a mixture, in the component that
        `part` chooses. Both numbers are from (0, 1), and independent."""


@attrs.frozen
class Constant:
    """Always the same."""

    value: float

    def draw(self, part: float, share: float) -> float:
        return self.value


@attrs.frozen
class LogNormal:
    """Half of all values are below `median`; `sigma` is the deviation of their logarithm."""

    median: float
    sigma: float

    def draw(self, part: float, share: float) -> float:
        return self.median * exp(self.sigma * _NORMAL.inv_cdf(share))


@attrs.frozen
class Pareto:
    """At least `least`, with a tail that falls as the power `alpha`."""

    least: float
    alpha: float

    def draw(self, part: float, share: float) -> float:
        return self.least * exp(-log(1.0 - share) / self.alpha)


def _sorted(given: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(given))


@attrs.frozen
class Measured:
    """One of these values, each as likely as any other."""

    values: tuple[float, ...] = attrs.field(converter=_sorted)

    def draw(self, part: float, share: float) -> float:
        return self.values[int(share * len(self.values))]


@attrs.frozen
class Mixture:
    """Several distributions, each with its share; shares are taken as parts of their sum."""

    shares: tuple[float, ...]
    parts: tuple[Distribution, ...]
    _ends: tuple[float, ...] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        whole = sum(self.shares)
        ends = tuple(end / whole for end in accumulate(self.shares))
        object.__setattr__(self, "_ends", ends)

    def draw(self, part: float, share: float) -> float:
        place = min(bisect_right(self._ends, part), len(self.parts) - 1)
        return self.parts[place].draw(part, share)
