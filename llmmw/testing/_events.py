"""What happened in a trace, in words: by them the table says when a law had something to say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

from llmmw._deltas import Delta, PartStart
from llmmw._ledger import (
    CacheHit,
    CircuitChanged,
    FlightJoined,
    FlightStarted,
    LimitReached,
    QueueEntered,
    StreamResumed,
    TargetPassedOver,
    WaitStarted,
)
from llmmw._parts import ToolCallPart
from llmmw.errors import CallShed, ListenerFailed, LLMError, StreamInterrupted
from llmmw.policies import (
    Attempts,
    Balance,
    Breaker,
    Cache,
    Coalesce,
    Concurrency,
    Guard,
    RateLimit,
    Timeout,
)
from llmmw.testing._calls import CallTrace, Entry, Told
from llmmw.testing._events_cache import about_caches, of_caches
from llmmw.testing._trace import Group, Trace

__all__ = ["EVENTS", "about", "events_of", "joined"]

EVENTS: Mapping[str, str] = {
    "again": "a call had a further attempt",
    "retry": "a target was asked again",
    "backoff": "a call waited to ask a target again, without a hint",
    "fallback": "another target was asked after a failure",
    "hedge": "an attempt was started beside another",
    "hedge lost": "a hedge lost to the attempt beside it",
    "lost": "an attempt lost to another",
    "hedge queued": "an attempt queued that might be hedged",
    "hint": "an error said how long to wait",
    "wait": "a call waited for its next attempt",
    "gave up": "all attempts that a policy made have failed",
    "gave up after several": "several attempts, and all have failed",
    "final": "an error came that another target would share",
    "charged": "a budget was asked for a further attempt",
    "answered again": "an answer came from a further attempt",
    "told": "the caller heard some of an answer",
    "told in pieces": "the caller heard an answer in several pieces",
    "told and broken": "the caller heard some of an answer and did not get it whole",
    "folded": "a caller that listens got its answer",
    "cut": "an answer broke off",
    "cut after told": "an answer broke off that the caller had heard some of",
    "cut unheard": "an answer broke off, and nobody listened",
    "resumed": "an answer was continued that the caller had heard some of",
    "tool cut": "a tool call broke off that a caller had heard some of who wants to go on",
    "held back": "an answer broke off within what is held back",
    "passed over": "a target was passed over, for it can't serve the call",
    "error": "a call ended with an error",
    "pause": "the caller's listener took its time",
    "idle pause": "the caller's listener took its time, with a limit of idleness",
    "tired": "the caller's listener raised",
    "left": "the caller left early, or its listener raised",
    "time ran out": "a limit or a deadline ended something",
    "limit": "a limit ran out",
    "cut short": "an attempt was cancelled",
    "nested": "a limit stood within a deadline",
    "opened": "a circuit opened",
    "half-open": "a circuit let probes through",
    "closed": "a circuit closed again",
    "refused": "a circuit refused a call",
    "place": "a call waited for a place, or was shed",
    "held": "a place was held by a call that was cancelled or failed",
    "adapted": "an adaptive limit heard of a drop or an answer",
    "ignored": "a call that says nothing of an adaptive limit",
    "chosen": "a balancer chose a target",
    "chosen failed": "a target failed that a balancer had chosen",
    "chosen cut": "an attempt was cancelled that a balancer had sent on",
    "guarded": "a guard accepted an answer or rejected it",
    "guarded told": "a guard told an answer that it had accepted",
    "guard raised": "the check of a guard raised",
    "rate": "a call waited for its turn, or was shed",
    "rate shed": "a call could not have its turn in time",
    "rate charged": "several attempts were charged to one account",
    "rate hint": "an account was told to wait",
    "stored": "a cache has kept an answer",
    "hit": "a call was given what a cache has kept",
    "asked anew": "a stale answer was given, and asked anew meanwhile",
    "missed together": "of calls that ask the same one shared the answer of another",
    "joined": "a call joined a flight",
    "joined and left": "one of those who share a flight left it early",
    "joined and failed": "a flight failed that several calls shared",
    "joined and paused": "one of those who share a flight took its time",
    "joined in time": "one of those who share a flight had a deadline",
}
"""What may happen, by name."""

_CHANGES = {"open": "opened", "half-open": "half-open", "closed": "closed"}


def about(trace: Trace) -> set[str]:
    """What a stack is made of, in the words of the table."""
    found = {type(layer).__name__ for layer in trace.stack}
    for layer in trace.stack:
        if isinstance(layer, Attempts):
            found |= {type(policy).__name__ for policy in layer.policies}
        elif isinstance(layer, Concurrency) and layer.limit is None:
            found.add("adaptive")
        elif isinstance(layer, Timeout) and layer.idle is not None:
            found.add("idle")
    engines = trace.engines
    if engines:
        found.add("engine")
        found |= _about_resuming(trace)
    found.update(about_caches(trace))
    if trace.world.unable and (found & {"Fallback", "Hedge", "Balance"}):
        found.add("unable")
    if any(engine.budget for engine in engines):
        found.add("Budget")
    if len(trace.calls) == 1 and trace.calls[0].caller.mode == "listen" and not trace.shares:
        found.add("listener")
    return found


def _about_resuming(trace: Trace) -> set[str]:
    found = {"hold_back"} if any(engine.hold_back for engine in trace.engines) else set()
    goes_on = any(engine.retry or engine.fallback for engine in trace.engines)
    holds = trace.shares or any(isinstance(layer, Guard) for layer in trace.stack)
    if goes_on and trace.world.prefill and not holds:
        found |= {"resumer" for call in trace.calls if call.resumes}
    return found


def events_of(trace: Trace) -> set[str]:
    """Which of `EVENTS` happened in a trace."""
    found: set[str] = set()
    for call in trace.calls:
        found.update(_of_call(trace, call))
        for entry in call.entries:
            if entry.depth < trace.bottom:
                found.update(_of_layer(trace, call, entry))
    found.update(_of_attempts(trace))
    found.update(of_caches(trace))
    if any(isinstance(layer, Coalesce) for layer in trace.stack):
        found.update(_of_flights(trace))
    return found


def _of_call(trace: Trace, call: CallTrace) -> Iterator[str]:
    visits = trace.visits(call)
    yield from _of_ledger(call)
    if call.outcome == "cancelled" and call.done == call.deadline:
        yield "time ran out"
    if any(visit.outcome == "cancelled" and not call.lost(visit) for visit in visits):
        yield "cut short"
    if call.outcome == "error":
        yield "error"
    if call.tired:
        yield "tired"
    if call.tired or call.outcome == "left":
        yield "left"
    if call.outcome == "ok" and len(visits) > 1:
        yield "answered again"
    yield from _of_told(trace, call, visits)


def _of_ledger(call: CallTrace) -> Iterator[str]:
    for event in call.events:
        if isinstance(event, CircuitChanged):
            yield _CHANGES[event.state]
        elif isinstance(event, WaitStarted):
            yield "wait"
            yield event.why
        elif isinstance(event, StreamResumed):
            yield "resumed"
        elif isinstance(event, TargetPassedOver):
            yield "passed over"
        elif isinstance(event, LimitReached):
            yield "limit"
            yield "time ran out"


def _of_told(trace: Trace, call: CallTrace, visits: list[Entry]) -> Iterator[str]:
    cut = any(v.outcome == "error" and any(t.content for t in v.told) for v in visits)
    if not call.listens:
        if any(isinstance(visit.error, StreamInterrupted) for visit in visits):
            yield "cut unheard"
            yield "cut"
        return
    told = call.told if call.entries else []
    if cut:
        yield "cut"
        if call.told_before(1 << 60):
            yield "cut after told"
    if told:
        yield "told" if call.outcome == "ok" else "told and broken"
        yield "told"
    if len(told) > 1:
        yield "told in pieces"
    if call.resumes and cut and any(_is_tool(one.delta) for one in told):
        yield "tool cut"
    if call.outcome == "ok":
        yield "folded"
    yield from _of_pauses(trace, told)


def _of_pauses(trace: Trace, told: list[Told]) -> Iterator[str]:
    if any(t.heard > t.begun for t in told):
        yield "pause"
        if any(isinstance(layer, Timeout) and layer.idle for layer in trace.stack):
            yield "idle pause"


def _is_tool(delta: Delta) -> bool:
    return isinstance(delta, PartStart) and isinstance(delta.part, ToolCallPart)


def _of_attempts(trace: Trace) -> Iterator[str]:
    for group in trace.groups():
        attempts = group.attempts
        reasons = {a.call.attempt.reason for a in attempts[1:]}
        yield from reasons & {"retry", "fallback", "hedge"}
        if len(attempts) > 1:
            yield "again"
        if group.engine.hedge and any(isinstance(e, QueueEntered) for e in group.call.events):
            yield "hedge queued"
        most = group.engine.hold_back
        cut = [sum(t.content for t in a.told) for a in attempts if a.outcome == "error"]
        if group.entry.call.listener is not None and any(0 < n <= most for n in cut):
            yield "held back"
        lost = [a for a in attempts if group.call.lost(a)]
        if lost:
            yield "lost"
        if any(a.call.attempt.reason == "hedge" for a in lost):
            yield "hedge lost"
        yield from _of_errors(group)
        again = [a for k, a in enumerate(attempts) if _asked_before(attempts[:k], a)]
        if group.engine.budget and again:
            yield "charged"
        if isinstance(group.entry.error, LLMError):
            yield "gave up"
            if len(attempts) > 1:
                yield "gave up after several"


def _of_errors(group: Group) -> Iterator[str]:
    errors = [error for error in map(group.error, group.attempts) if error is not None]
    if any(not error.elsewhere for error in errors):
        yield "final"
    if any(error.retry_after for error in errors):
        yield "hint"


def _asked_before(earlier: list[Entry], attempt: Entry) -> bool:
    return any(one.target == attempt.target for one in earlier)


def _of_layer(trace: Trace, call: CallTrace, entry: Entry) -> Iterator[str]:
    layer = trace.stack[entry.depth]
    kind = type(layer)
    if kind is Timeout:
        if entry.deadline < math.inf:
            yield "nested"
    elif kind is Breaker:
        if not entry.children and isinstance(entry.error, CallShed):
            yield "refused"
    elif kind is Concurrency:
        yield from _of_places(layer, entry)
    elif kind is RateLimit:
        yield from _of_rate(entry)
    elif kind is Balance and entry.children:
        yield "chosen"
        yield {"error": "chosen failed", "cancelled": "chosen cut"}.get(entry.outcome, "chosen")
    elif kind is Guard:
        yield from _of_guard(entry)


def _waited(entry: Entry) -> bool:
    begun = entry.children[0].opened if entry.children else entry.ended
    return begun > entry.opened or not entry.children


def _of_places(layer: Concurrency, entry: Entry) -> Iterator[str]:
    if _waited(entry):
        yield "place"
    if entry.children and entry.outcome != "ok":
        yield "held"
    if layer.limit is None and entry.children:
        yield "ignored" if entry.outcome == "cancelled" else "adapted"


def _of_rate(entry: Entry) -> Iterator[str]:
    if _waited(entry):
        yield "rate"
    if not entry.children and isinstance(entry.error, CallShed):
        yield "rate shed"
    if entry.children and getattr(entry.error, "retry_after", None):
        yield "rate hint"
    if entry.call.attempt.number > 1:
        yield "rate charged"


def joined(trace: Trace) -> bool:
    """Whether calls shared a flight, or the answer that a cache has kept."""
    some = sum(isinstance(layer, (Cache, Coalesce)) for layer in trace.stack)
    if some != 1:  # of one flight in another the inner one may go on a step before that hears of it
        return some > 1
    events = (event for call in trace.calls for event in call.events)
    return any(isinstance(event, (CacheHit, FlightJoined)) for event in events)


def _of_guard(entry: Entry) -> Iterator[str]:
    if entry.children and entry.children[-1].outcome == "ok":
        yield "guarded"
        if entry.told:
            yield "guarded told"
        if isinstance(entry.error, ListenerFailed):
            yield "guard raised"


def _of_flights(trace: Trace) -> Iterator[str]:
    aboard: dict[int, list[CallTrace]] = {}
    for call in trace.calls:
        for event in call.events:
            if isinstance(event, (FlightStarted, FlightJoined)):
                aboard.setdefault(event.number, []).append(call)
    for calls in aboard.values():
        if len(calls) < 2:
            continue
        yield "joined"
        outcomes = {call.outcome for call in calls}
        if outcomes & {"left", "cancelled"} or any(call.tired for call in calls):
            yield "joined and left"
        if "error" in outcomes:
            yield "joined and failed"
        if any(t.heard > t.begun for call in calls for t in call.told):
            yield "joined and paused"
        if any(a.deadline != b.deadline for a, b in pairwise(calls)):
            yield "joined in time"
