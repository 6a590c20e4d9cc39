"""The laws of shared flights, each a function of a trace, and those that compare two runs.

They look at `Coalesce` wherever it stands outside of all that makes attempts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import attrs

from llmmw._deltas import Restarted
from llmmw._ledger import FlightJoined, FlightStarted
from llmmw.errors import ListenerFailed, LLMError, StreamInterrupted
from llmmw.policies import Cache, Coalesce, Timeout
from llmmw.testing._calls import CallTrace, Entry, Told
from llmmw.testing._engines import engine_of
from llmmw.testing._laws import demand
from llmmw.testing._laws_stream import law_79, law_85, law_98, law_99, law_100
from llmmw.testing._trace import Trace
from llmmw.testing._world import Caller, MakeStack, Tired, World, run_world

__all__ = ["FLIGHT_LAWS", "check_flights", "law_64_pair", "law_101_shared"]

_CLEANUP = 2.0


@attrs.frozen(eq=False)
class _Flight:
    """A flight as it was seen: what the layers inside did, and who waited."""

    work: Entry
    waiters: list[_Waiter] = attrs.field(factory=list)

    @property
    def restarts(self) -> list[Told]:
        return [told for told in self.work.told if isinstance(told.delta, Restarted)]


@attrs.frozen(eq=False)
class _Waiter:
    """A call that waited for a flight."""

    call: CallTrace
    entry: Entry

    @property
    def firm(self) -> bool:
        """Whether it will not hear anything twice."""
        return self.entry.call.listener is not None and self.entry.call.firm


def _flights(trace: Trace) -> Iterator[_Flight]:
    """The flights of a trace, if its one `Coalesce` is outside of all attempts, and of limits
    that move with what is told, and nothing else makes flights."""
    places = [d for d, layer in enumerate(trace.stack) if isinstance(layer, Coalesce)]
    if len(places) != 1 or any(_moves(layer) for layer in trace.stack[: places[0]]):
        return
    if any(isinstance(layer, Cache) for layer in trace.stack):
        return
    found: dict[int, _Flight] = {}
    joined: list[tuple[int, _Waiter]] = []
    for call in trace.calls:
        for entry in call.entries:
            if entry.depth != places[0]:
                continue
            events = [e for e in call.events if isinstance(e, (FlightStarted, FlightJoined))]
            for event in events:
                joined.append((event.number, _Waiter(call, entry)))
                if isinstance(event, FlightStarted) and entry.children:
                    found[event.number] = _Flight(entry.children[0])
    for number, waiter in sorted(joined, key=lambda pair: pair[1].entry.opened_order):
        if number in found:
            found[number].waiters.append(waiter)
    yield from found.values()


def _moves(layer: object) -> bool:
    moving = isinstance(layer, Timeout) and (layer.first_token or layer.idle) is not None
    return moving or engine_of(0, layer) is not None


def _cut_at(flight: _Flight, waiter: _Waiter) -> tuple[float, int]:
    """When the flight began anew after a waiter that minds was told something."""
    for restart in flight.restarts if waiter.firm else ():
        if any(t.begun_order < restart.begun_order for t in waiter.entry.told):
            return restart.begun, restart.begun_order
    return math.inf, 1 << 60


def _left(flight: _Flight, waiter: _Waiter) -> float:
    """When it began to leave."""
    entry, call = waiter.entry, waiter.call
    return min(entry.deadline, call.stopped, entry.ended, _cut_at(flight, waiter)[0])


def law_63(trace: Trace) -> None:
    """At most one living flight for a question; its waiters are told what it tells, from the
    start and without a gap, and get its answer."""
    flights = list(_flights(trace))
    for flight in flights:
        for other in flights:
            later = flight.work.opened_order < other.work.opened_order < flight.work.ended_order
            if later and _asked(flight) == _asked(other):
                gone = max(_left(flight, waiter) for waiter in flight.waiters)
                demand("L63", gone <= other.work.opened, "two flights for one question")
        for waiter in flight.waiters:
            demand("L63", _asked(flight) == _question(waiter), "joined another question")
            _same_story(flight, waiter)
        _one_pays(flight)


def _question(waiter: _Waiter) -> tuple[str, str]:
    """What it asks, and where: what stands outside may send equal ones to several targets."""
    call = waiter.call
    return call.caller.asks or str(call.index), waiter.entry.call.request.model


def _asked(flight: _Flight) -> tuple[str, str]:
    return _question(flight.waiters[0])


def _rows(told: Sequence[Told]) -> list[list[int]]:
    """What was told between restarts, by identity."""
    rows: list[list[int]] = [[]]
    for one in told:
        if isinstance(one.delta, Restarted):
            rows.append([])
        else:
            rows[-1].append(id(one.delta))
    return rows


def _same_story(flight: _Flight, waiter: _Waiter) -> None:
    if flight.work.call.listener is not None:
        told = _rows(flight.work.told)
        for row in _rows(waiter.entry.told):
            fits = any(row == one[: len(row)] for one in told)
            demand("L63", fits, "a waiter was told something else than its flight")
    if waiter.entry.outcome == "ok":
        demand("L63", flight.work.outcome == "ok", "an answer without its flight's")
        same = waiter.entry.response == flight.work.response
        demand("L63", same, "another answer than that of the flight")


def _one_pays(flight: _Flight) -> None:
    """The answer is booked to who had waited longest when it came."""
    over = flight.work.ended_order
    aboard = [w for w in flight.waiters if w.entry.ended_order > over < _cut_at(flight, w)[1]]
    for waiter in flight.waiters:
        if waiter.entry.outcome == "ok" and waiter.entry.response is not None:
            pays = waiter is aboard[0]
            said = waiter.entry.response.joined
            demand("L63", said != pays, "the answer does not say who pays for it")


def law_64(trace: Trace) -> None:
    """A flight is cancelled when the last waiter leaves and not before, and is seen to its end."""
    for flight in _flights(trace):
        gone = max(_left(flight, waiter) for waiter in flight.waiters)
        last = max(waiter.entry.ended for waiter in flight.waiters)
        if flight.work.outcome == "cancelled":
            ended = flight.work.ended
            demand("L64", gone <= ended, "a flight was cancelled while a call waited for it")
            for waiter in flight.waiters:
                own = waiter.entry.outcome == "cancelled" or _own_end(flight, waiter)
                demand("L64", own, f"a call lost its flight: {waiter.entry.error!r}")
        over = min(flight.work.ended, gone + _CLEANUP)
        demand("L64", over <= last, "the last to leave did not wait for the end of its flight")
        if flight.work.ended <= gone + _CLEANUP:
            order = max(waiter.entry.ended_order for waiter in flight.waiters)
            demand("L64", flight.work.ended_order < order, "a flight outlives its waiters")


def _own_end(flight: _Flight, waiter: _Waiter) -> bool:
    """Whether a waiter ended by what it said or did itself."""
    error = waiter.entry.error
    cut = isinstance(error, StreamInterrupted) and _cut_at(flight, waiter)[0] < math.inf
    return cut or isinstance(error, (ListenerFailed, Tired)) or waiter.call.outcome == "left"


def law_65(trace: Trace) -> None:
    """Nobody joins a flight that has ended, or that nobody waits for any more."""
    for flight in _flights(trace):
        for k, waiter in enumerate(flight.waiters[1:], 1):
            entry = waiter.entry
            alive = entry.opened_order < flight.work.ended_order
            demand("L65", alive, "joined a flight that had ended")
            before = [w for w in flight.waiters[:k] if w.entry.opened_order < entry.opened_order]
            wanted = any(_left(flight, w) >= entry.opened for w in before)
            demand("L65", wanted, "joined a flight that was cancelled")


def law_70(trace: Trace) -> None:
    """The error of a flight is that of each waiter, each its own copy; whoever was told something
    and minds gets `StreamInterrupted` with it, be it by an error or by a restart."""
    for flight in _flights(trace):
        seen = {id(flight.work.error)}
        for waiter in flight.waiters:
            raised = waiter.entry.error
            if not isinstance(raised, LLMError):
                continue
            demand("L70", id(raised) not in seen, "two calls were given one error")
            seen.add(id(raised))
            told = waiter.firm and bool(waiter.entry.told)
            cut = isinstance(raised, StreamInterrupted)
            if told:
                demand(
                    "L70",
                    cut and raised.partial is not None,
                    f"{raised!r} after something was told",
                )
            elif waiter.entry.call.listener is None or not waiter.firm or not cut:
                same = type(raised) is type(flight.work.error)
                demand("L70", same, f"{raised!r}, but that of the flight {flight.work.error!r}")
        for waiter in flight.waiters:
            restarted = [t for t in waiter.entry.told if isinstance(t.delta, Restarted)]
            demand("L70", not (waiter.firm and restarted), "Restarted told to who minds")


def law_71(trace: Trace) -> None:
    """No waiter slows another: each is told at once, but for what it does itself."""
    for flight in _flights(trace):
        first = {id(told.delta): told.begun for told in flight.work.told}
        for told in flight.work.told:
            demand("L71", told.heard in {told.begun, math.inf}, "a flight waited for a listener")
        for waiter in flight.waiters:
            if waiter.entry.call.on_interrupt == "buffer":
                continue
            free = waiter.entry.opened
            for told in waiter.entry.told:
                if told.content and id(told.delta) in first:
                    due = max(first[id(told.delta)], free)
                    demand("L71", told.begun <= due, f"told {told.begun - due} s late")
                free = told.heard


def law_104(trace: Trace) -> None:
    """The deadline of every attempt is the latest of those of the waiters."""
    for flight in _flights(trace):
        inner = any(isinstance(layer, Timeout) for layer in trace.stack[flight.work.depth :])
        for visit in flight.work.below():
            order = visit.opened_order
            aboard = [
                w
                for w in flight.waiters
                if w.entry.opened_order < order < min(w.entry.ended_order, _cut_at(flight, w)[1])
            ]
            sure = [w for w in aboard if w.call.stopped_order > order]
            most = max((w.entry.deadline for w in aboard), default=math.inf)
            least = max((w.entry.deadline for w in sure), default=-math.inf)
            demand("L104", visit.deadline <= most, "an attempt has more time than its waiters")
            fits = inner or visit.deadline >= least or visit.deadline == -math.inf
            demand("L104", fits, "an attempt has less time than a waiter")


def law_105_shared(trace: Trace) -> None:
    """What a listener raises ends its own call, as itself."""
    for call in trace.calls:
        if call.tired:
            demand("L105", isinstance(call.error, Tired), f"became {call.error!r}")
            demand("L105", call.done <= call.stopped + _CLEANUP, "a failed listener is waited for")


FLIGHT_LAWS: tuple[Callable[[Trace], None], ...] = (
    law_63, law_64, law_65, law_70, law_71, law_104, law_105_shared,
)  # fmt: skip


def check_flights(trace: Trace) -> None:
    """The laws of flights, and those others that speak of calls which share one."""
    for law in (*FLIGHT_LAWS, law_79, law_85, law_98, law_99, law_100):
        law(trace)


def law_64_pair(world: World, make_stack: MakeStack, leaver: Caller) -> bool:
    """Whether the last caller stays or leaves is nothing to the others, as long as all share
    one flight: if not, nothing is compared."""
    others = world.callers[:-1]
    stays = attrs.evolve(leaver, patience=1000.0, by_hand=False, raises_at=None, leaves_at=None)
    runs = [
        run_world(attrs.evolve(world, callers=(*others, last)), make_stack)
        for last in (stays, leaver)
    ]
    stories = [[_heard(call) for call in trace.calls[:-1]] for trace in runs]
    one = all(len(list(_flights(trace))) == 1 for trace in runs)
    same = not one or stories[0] == stories[1]
    demand("L64", same, f"{stories[1]}, but {stories[0]} where the last one stays")
    return one


def _heard(call: CallTrace) -> tuple[object, ...]:
    return call.outcome, str(call.error), call.response, call.done, call.heard


def law_101_shared(world: World, make_stack: MakeStack) -> int:
    """Cancel the first caller at every step of its run: the laws hold for all who share its
    flight. Returns the steps."""
    first, *others = world.callers
    first = attrs.evolve(first, by_hand=False, raises_at=None, leaves_at=None)
    world = attrs.evolve(world, callers=(first, *others))
    steps = run_world(world, make_stack, stop_at=1 << 30).steps
    for step in range(1, steps + 1):
        try:
            check_flights(run_world(world, make_stack, stop_at=step))
        except AssertionError as broken:
            raise AssertionError(f"L101: cancelled at step {step} of {steps}: {broken}") from broken
    return steps
