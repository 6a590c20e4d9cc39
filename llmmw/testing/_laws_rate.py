"""The laws of rate limits, each a function of a trace. Of limits of requests only, and without
priorities: what tokens were estimated a trace does not tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

from llmmw.errors import CallShed, RateLimited
from llmmw.policies import RateLimit
from llmmw.testing._calls import Entry
from llmmw.testing._laws import demand
from llmmw.testing._laws_limits import Site, sites
from llmmw.testing._trace import Trace

__all__ = ["RATE_LAWS"]

_NEAR = 1e-9


def _limited(trace: Trace) -> Iterator[Site]:
    for site in sites(trace, RateLimit):
        layer = site.layer
        others = (layer.input_tokens, layer.output_tokens, layer.money, layer.priority)
        if others == (None,) * 4 and not layer.only:
            yield site


def _left_us(trace: Trace, entry: Entry) -> bool:
    """Whether any of what was let through there was sent."""
    if entry.depth == trace.bottom:
        return entry.call.attempt.sent is not None
    return any(_left_us(trace, child) for child in entry.children)


def law_46(trace: Trace) -> None:
    """In no span do more start than its limit and a burst; one may always start."""
    for site in _limited(trace):
        cost, burst = site.layer.per / site.layer.requests, site.layer.burst
        starts = [entry.opened for entry in site.inside if _charged(trace, entry)]
        for first, begin in enumerate(starts):
            for count, end in enumerate(starts[first:], 1):
                over = count * cost - (end - begin) - max(burst, cost)
                demand("L46", over <= _NEAR, f"{count} starts within {end - begin} s")


def law_49(trace: Trace) -> None:
    """Calls start in the order of their coming."""
    for site in _limited(trace):
        came = sorted((v for v in site.visits if v.children), key=lambda v: v.opened_order)
        for before, after in pairwise(came):
            early, late = after.children[0], before.children[0]
            demand("L49", late.opened_order < early.opened_order, "overtaken")


def law_50(trace: Trace) -> None:
    """After a host has asked for a pause nothing starts before its end."""
    for site in _limited(trace):
        for told in site.inside:
            hint = told.error.retry_after if isinstance(told.error, RateLimited) else None
            if hint is None or not 0 < hint < math.inf:
                continue
            for entry in site.inside:
                if entry.opened_order > told.ended_order:
                    early = told.ended + hint - entry.opened
                    demand("L50", early <= _NEAR, f"started {early} s before the host allowed it")


def law_51(trace: Trace) -> None:
    """Who can't start in time is shed, with the time, and nobody else is; nobody waits for its
    turn until its deadline."""
    for site in _limited(trace):
        for visit in site.refused:
            error, now = visit.error, visit.ended_order
            assert isinstance(error, CallShed)
            wait = error.retry_after or 0.0
            late = visit.ended + wait >= visit.deadline_at_end - _NEAR
            waiting = [
                v for v in site.visits if v.opened_order < now < _began(v) and v is not visit
            ]
            full = len(waiting) >= site.layer.queue
            demand("L51", late or full, f"shed though it could start in {wait} s")
        for visit in site.visits if not trace.shares else ():
            vain = visit.outcome == "cancelled" and not visit.children
            if vain and visit.opened < visit.ended == visit.deadline:
                demand("L51", _stopped(trace, visit), "waited until its deadline, in vain")


def _began(visit: Entry) -> int:
    return visit.children[0].opened_order if visit.children else visit.ended_order


def _stopped(trace: Trace, visit: Entry) -> bool:
    """Whether something else may have cut it short in that instant."""
    calls = [call for call in trace.calls if visit in call.entries]
    return any(call.stopped <= visit.ended or call.lost(visit) for call in calls)


def _charged(trace: Trace, entry: Entry) -> bool:
    return _left_us(trace, entry) and not isinstance(entry.error, CallShed)


def law_52(trace: Trace) -> None:
    """Every attempt that was sent is charged, once, and no other is; when all is quiet nobody is
    in flight and nobody waits."""
    for site in _limited(trace):
        left = site.statistics()
        demand("L52", left["in_flight"] == left["waiting"] == 0, f"left over: {left}")
        sent = sum(_charged(trace, entry) for entry in site.inside)
        charged = left["charged"]["requests"]
        if not trace.shares:
            demand("L52", abs(charged - sent) < _NEAR * max(1, sent), f"{charged} for {sent}")


RATE_LAWS: tuple[Callable[[Trace], None], ...] = (law_46, law_49, law_50, law_51, law_52)
