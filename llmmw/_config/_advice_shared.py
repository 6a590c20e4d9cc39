"""What is doubtful about layers that let calls share an answer, or a request."""

from __future__ import annotations

from llmmw._config._subject import Found, Subject
from llmmw.policies import Batch, BatchApi, Cache, Coalesce, Concurrency, RateLimit, Timeout

__all__ = ["batch_api_inside", "batch_inside", "cache_inside", "coalesce_inside"]

_DAY = 86_400.0
"""Seconds in which hosts answer a batch."""


def coalesce_inside(subject: Subject) -> Found:
    """A `Coalesce` stands inside of what makes attempts or holds places, so that each call has its
    own; or inside of a limit that moves with what is told, which a flight can't foresee."""
    for one in subject.top:
        if not isinstance(one.layer, Coalesce):
            continue
        for other in subject.top[: one.at]:
            if other.bound > 1:
                what = f"each attempt of {other} on its own: a hedge joins what it should overtake"
            elif isinstance(other.layer, Concurrency):
                what = f"what holds a place of {other} for each call"
            elif isinstance(other.layer, Timeout) and (other.layer.first_token or other.layer.idle):
                what = f"calls whose deadlines {other} moves: who is slow to listen may lose them"
            else:
                continue
            yield f"{one} shares {what}; put it outside of that", [other, one]


def cache_inside(subject: Subject) -> Found:
    """A `Cache` stands inside of what makes attempts, holds places or takes tokens, which it could
    have spared; inside of a `Batch`, which it then only sees as a whole; or of a `Coalesce`, which
    does what it does itself."""
    for one in subject.top:
        for other in subject.top[: one.at] if isinstance(one.layer, Cache) else ():
            if isinstance(other.layer, Batch):
                what = f"answers to whole batches of {other}, which hardly come again"
            elif other.bound > 1:
                what = f"what each attempt of {other} gets, so that a hedge may join what it is to"
                what += " overtake"
            elif isinstance(other.layer, (Concurrency, RateLimit)):
                what = f"answers that {other} has made wait or pay for"
            elif isinstance(other.layer, Coalesce) and one.layer.coalesce:
                yield f"{one} lets identical calls share one by itself; leave {other} out", [other]
                continue
            else:
                continue
            yield f"{one} keeps {what}; put it outside of that", [other, one]


def batch_inside(subject: Subject) -> Found:
    """A `Batch` stands inside of a limit, which then has each call take a place, or pay, by
    itself, and lets no more into one batch than it lets through at once."""
    for one in subject.top:
        for other in subject.top[: one.at] if isinstance(one.layer, Batch) else ():
            if isinstance(other.layer, (Concurrency, RateLimit)):
                yield (
                    f"{other} is met by each call before {one} puts them together; put it inside "
                    "of that, so that a batch is one request to it",
                    [other, one],
                )


def batch_api_inside(subject: Subject) -> Found:
    """A `BatchApi` stands inside of a limit of time that is shorter than its batches may take; of
    what makes attempts, each of which rides a batch of its own; or of a limit whose places it
    holds all that time."""
    for one in subject.top:
        for other in subject.top[: one.at] if isinstance(one.layer, BatchApi) else ():
            if isinstance(other.layer, Timeout):
                what = _too_short(one.layer, other.layer)
            elif other.bound > 1:
                what = f"makes up to {other.bound} attempts, and each waits for a batch of its own"
            elif isinstance(other.layer, (Concurrency, RateLimit)):
                what = "is met by calls before they wait for their batch"
            else:
                continue
            if what:
                yield f"{other} {what} in {one}; put it inside of that", [other, one]


def _too_short(layer: BatchApi, timeout: Timeout) -> str:
    """What a limit of time does to batches, if anything."""
    if timeout.total is not None and timeout.total < layer.least_time:
        return f"lets no call ride a batch: total={timeout.total:g} is less than the least_time"
    most = _DAY if layer.live_after is None else layer.live_after
    for name in ("total", "first_token", "idle"):
        after = getattr(timeout, name)
        if after is not None and after <= most:
            return f"ends calls by {name}={after:g} that may wait {most:g} s for a batch"
    return ""
