"""The laws of time: limits, deadlines and cancellation, each a function of a trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from llmmw._deltas import Restarted
from llmmw._ledger import AttemptSent, LimitReached, QueueEntered, QueueLeft
from llmmw.errors import DeadlineExceeded, ListenerFailed, StreamInterrupted
from llmmw.policies import Cache, Coalesce, Timeout
from llmmw.testing._laws import demand
from llmmw.testing._trace import Entry, Trace, engine_of

__all__ = ["TIME_LAWS", "law_16", "law_18"]


def law_06(trace: Trace) -> None:
    """A deadline cuts work, never a wait whose length is known: a queue's is not."""
    for call in trace.calls:
        cuts = [e for e in call.entries if _own_limit(trace, e)]
        by_caller = call.outcome == "cancelled" and call.done == call.deadline
        if by_caller and call.entries and call.top.outcome == "cancelled":
            cuts.append(call.top)
        for entry in cuts:
            inside = list(entry.below())
            works = any(e.depth == trace.bottom and e.ended == entry.ended for e in inside)
            listens = any(t.heard == math.inf for e in inside for t in e.told)
            queues = any(isinstance(e, QueueLeft) and e.time == entry.ended for e in call.events)
            demand("L6", works or listens or queues, "a deadline cut a wait")


def law_16(trace: Trace) -> None:
    """Nothing is opened, read or told once the deadline is there, and the call ends with it."""
    for call in trace.calls:
        end = min(call.deadline, call.stopped)
        demand("L16", call.done <= max(end, call.arrived), f"ended {call.done - end} s late")
        for entry in call.entries:
            late = entry.opened > end
            if entry.parent is not None and entry.parent.children[0] is not entry:
                late |= entry.opened >= call.deadline
                # A flight, and what goes on beside the attempt that heard of it, hear of it in the
                # same instant, but their tasks may run first.
                beside = trace.shares or entry.call.attempt.reason == "hedge"
                late |= not beside and entry.opened_order > call.stopped_order
            demand("L16", not late, "opened after the deadline")
            for told in entry.told:
                demand("L16", told.begun <= end, "told after the deadline")
    for entry in _timed(trace):
        layer = trace.stack[entry.depth]
        over = entry.ended - _begun(entry) - (math.inf if layer.total is None else layer.total)
        demand("L16", over <= 0, f"a limit overrun by {over} s")
        for inside in entry.below():
            past = layer.total is not None and inside.opened >= _begun(entry) + layer.total
            demand("L16", not past, "opened after a limit had run out")


def law_17(trace: Trace) -> None:
    """An inner limit never extends an outer one."""
    for call in trace.calls:
        for entry in call.entries:
            demand("L17", entry.deadline <= call.deadline, "a deadline beyond the caller's")
            timed = trace.stack[entry.depth] if _is_timed(trace, entry) else None
            total = timed.total if timed else None
            for inside in entry.children:
                within = total is None or inside.deadline <= _begun(entry) + total
                demand("L17", within, "a deadline beyond the limit outside of it")


def law_18(trace: Trace) -> None:
    """A cancellation from outside is never turned into something else."""
    for call in trace.calls:
        for entry in call.entries:
            outside = entry.deadline_at_end == -math.inf
            cut = any(c.outcome == "cancelled" and not call.lost(c) for c in entry.children)
            kept = entry.outcome == "cancelled" or _cut_flight(trace, entry)
            # What ends all attempts that go on side by side.
            kept |= len(entry.children) > 1 and isinstance(entry.error, ListenerFailed)
            demand("L18", kept or not (outside and cut), f"a cancel became {entry.error!r}")
            own = _own_limit(trace, entry) or not _ours(trace, entry)
            demand("L18", kept or own or not cut, f"a cancelled attempt became {entry.error!r}")


def law_19(trace: Trace) -> None:
    """A limit is blamed if and only if it ran out, and no reply was complete."""
    for entry in _timed(trace):
        layer = trace.stack[entry.depth]
        child = entry.children[0] if entry.children else None
        if child is not None and child.outcome == "ok":
            demand("L19", entry.outcome == "ok", f"a complete reply became {entry.error!r}")
        if _own_limit(trace, entry):
            early = _due(layer, entry) - entry.ended
            demand("L19", early == 0, f"a limit was blamed {early} s before it ran out")
            end = layer.total is not None and entry.ended == _begun(entry) + layer.total
            total = entry.error.limit == "total"  # type: ignore[union-attr]
            demand("L19", end == total, "another limit was blamed")
        elif child is not None:
            over = entry.ended - _due(layer, entry)
            demand("L19", over <= 0, f"a limit ran out {over} s before the end and was not blamed")
    for call in trace.calls:
        limits = sum(isinstance(event, LimitReached) for event in call.events)
        late = sum(_own_limit(trace, entry) for entry in call.entries)
        demand("L19", limits == late, f"{limits} limits reached, {late} errors about one")


def law_21(trace: Trace) -> None:
    """A consumer that pauses never causes `late(idle)`: the stream itself was silent so long."""
    for entry in _timed(trace):
        if not _own_limit(trace, entry) or getattr(entry.error, "limit", "") != "idle":
            continue
        idle = trace.stack[entry.depth].idle
        since = entry.ended - idle
        for told in entry.children[0].told:
            demand("L21", told.heard <= since, "a slow consumer was taken for a slow provider")


def _cut_flight(trace: Trace, entry: Entry) -> bool:
    """Whether it waited for a flight that began anew, which it minds."""
    waits = entry.depth < trace.bottom and isinstance(trace.stack[entry.depth], (Cache, Coalesce))
    return waits and isinstance(entry.error, StreamInterrupted)


def _ours(trace: Trace, entry: Entry) -> bool:
    """Whether the layer at this place is one that cancels nothing by itself."""
    if entry.depth == len(trace.stack):
        return True
    return engine_of(entry.depth, trace.stack[entry.depth]) is not None


def _is_timed(trace: Trace, entry: Entry) -> bool:
    return entry.depth < len(trace.stack) and isinstance(trace.stack[entry.depth], Timeout)


def _timed(trace: Trace) -> Iterator[Entry]:
    """The calls that came to a `Timeout`."""
    for call in trace.calls:
        yield from (entry for entry in call.entries if _is_timed(trace, entry))


def _begun(entry: Entry) -> float:
    """From when on a limit counts: of an attempt that waited for a place or for its turn, from
    its sending, and not at all before."""
    number = entry.call.attempt.number
    events = entry.call.ledger.events if number else ()
    waited = [e for e in events if isinstance(e, QueueEntered) and e.parent == number]
    if not any(e.time >= entry.opened for e in waited):
        return entry.opened
    sent = [e.time for e in events if isinstance(e, AttemptSent) and e.number == number]
    return sent[0] if sent else math.inf


def _own_limit(trace: Trace, entry: Entry) -> bool:
    """Whether the `Timeout` at this place raised its own `DeadlineExceeded`."""
    if not _is_timed(trace, entry) or not isinstance(entry.error, DeadlineExceeded):
        return False
    return all(child.error is not entry.error for child in entry.children)


def _due(layer: Timeout, entry: Entry) -> float:
    """When a limit runs out by what was told through the layer; pauses of the listener are its
    own time."""
    begun = _begun(entry)
    end = math.inf if layer.total is None else begun + layer.total
    silent = entry.call.listener is None or entry.call.attempt.silent
    if silent and not layer.stream:
        return end
    first = math.inf if layer.first_token is None else begun + layer.first_token
    idle = math.inf if layer.idle is None else layer.idle
    due, content = first, False
    for told in entry.children[0].told if entry.children else ():
        content = content or told.content
        if told.heard == math.inf:
            return end
        if isinstance(told.delta, Restarted):
            content = False
            due = math.inf if layer.first_token is None else told.heard + layer.first_token
        elif content:
            due = told.heard + idle
        else:
            due += told.heard - told.begun
    return min(end, due)


TIME_LAWS: tuple[Callable[[Trace], None], ...] = (
    law_06, law_16, law_17, law_18, law_19, law_21,
)  # fmt: skip
