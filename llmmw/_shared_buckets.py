"""Buckets of a rate limit that several processes take from: what a store may offer besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import attrs

__all__ = ["Levels", "SharedBuckets"]


@attrs.frozen
class Levels:
    """How full the buckets of an account are."""

    taken: bool
    """Whether what was asked for was taken."""
    full: Mapping[str, float]
    """In how many seconds each bucket is full; what was taken counts; 0 and below: it is."""
    frozen: float
    """Seconds in which nothing may start; 0 and below: none."""


@runtime_checkable
class SharedBuckets(Protocol):
    """Accounts with buckets, in a place that several processes reach.

    All amounts are seconds: what a bucket gets in a second is a second, and it has room for
    `burst` of them. Each method is atomic, by one clock for all, and ends within a second or so;
    it may raise any `Exception`, and a policy goes on with what it knows itself.
    """

    async def take(self, account: str, costs: Mapping[str, float], burst: float) -> Levels:
        """Take so much of all buckets at once, or of none, if that is not there. A cost above the
        burst needs a full bucket."""

    async def settle(
        self,
        account: str,
        burst: float,
        changes: Mapping[str, float],
        *,
        left: Mapping[str, float] | None = None,
        ago: float = 0.0,
        frozen: float = 0.0,
    ) -> None:
        """Add so much to what was taken, or give it back; no bucket had more than `left` seconds'
        worth `ago` seconds ago, and nothing starts for `frozen` seconds."""
