"""What happened to the caches of a trace, in words."""

from __future__ import annotations

from collections.abc import Iterator

from llmmw._ledger import CacheHit, CacheStored, FlightJoined
from llmmw.testing._laws_cache import caches
from llmmw.testing._trace import Trace

__all__ = ["about_caches", "of_caches"]


def about_caches(trace: Trace) -> Iterator[str]:
    """What a stack has of caches that laws speak of."""
    for cached in caches(trace):
        yield "Cache outside"
        if cached.cache.coalesce:
            yield "Cache coalesces"
        if cached.cache.ttl is not None:
            yield "Cache ages"
        if cached.cache.stale_while_revalidate:
            yield "Cache revalidates"


def of_caches(trace: Trace) -> Iterator[str]:
    """What happened at them."""
    for event in (event for cached in caches(trace) for event in cached.events):
        if isinstance(event, CacheStored):
            yield "stored"
        elif isinstance(event, CacheHit):
            yield "hit"
            if event.stale == "revalidate":
                yield "asked anew"
        elif isinstance(event, FlightJoined):
            yield "missed together"
