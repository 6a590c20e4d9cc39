"""The laws of circuit breakers and of limits of concurrency, each a function of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import attrs

from llmmw._ledger import CircuitChanged
from llmmw.errors import CallShed, DeadlineExceeded, LLMError, RateLimited, ServerError
from llmmw.policies import Breaker, Concurrency
from llmmw.testing._laws import demand
from llmmw.testing._trace import CallTrace, Entry, Trace

__all__ = ["LIMIT_LAWS", "Site", "law_41", "law_55", "sites"]

_STEPS = {("closed", "open"), ("open", "half-open"), ("half-open", "closed"), ("half-open", "open")}
_END = 1 << 60


@attrs.frozen(eq=False)
class _Change:
    """A change of a circuit, and the visit to the breaker that brought it about."""

    event: CircuitChanged
    order: int
    visit: Entry | None


@attrs.define(eq=False)
class Site:
    """What a layer saw of one destination: the calls that came to it there."""

    layer: Any
    name: str
    visits: list[Entry] = attrs.field(factory=list)
    changes: list[_Change] = attrs.field(factory=list)

    @property
    def inside(self) -> list[Entry]:
        """The calls that were let through, in order."""
        passed = [visit.children[0] for visit in self.visits if visit.children]
        return sorted(passed, key=lambda entry: entry.opened_order)

    @property
    def refused(self) -> list[Entry]:
        """The calls that the layer itself shed."""
        return [v for v in self.visits if isinstance(v.error, CallShed) and not v.children]

    def statistics(self) -> dict[str, Any]:
        """What the layer says of it at the end."""
        found: dict[str, Any] = self.layer.statistics().get(self.name, {})
        return found


def sites(trace: Trace, kind: type) -> Iterator[Site]:
    """What each layer of a kind saw of each destination."""
    depths = [depth for depth, layer in enumerate(trace.stack) if type(layer) is kind]
    for depth in depths:
        found: dict[str, Site] = {}
        layer = trace.stack[depth]
        for call in trace.calls:
            for entry in call.entries:
                if entry.depth == depth:
                    name = _name(layer.scope, entry.target)
                    found.setdefault(name, Site(layer, name)).visits.append(entry)
            if kind is Breaker:
                for name, change in _changes(call, depth):
                    found[name].changes.append(change)
        for site in found.values():
            site.changes.sort(key=lambda change: change.order)
        yield from found.values()


def _name(scope: str, target: str) -> str:
    return {"model": target, "provider": target.partition(":")[0]}.get(scope, "all")


def _changes(call: CallTrace, depth: int) -> Iterator[tuple[str, _Change]]:
    for event in call.events:
        if isinstance(event, CircuitChanged):
            order = call.order[id(event)]
            here = [e for e in call.entries if e.depth == depth and e.opened_order < order]
            mine = [e for e in here if e.ended_order > order]  # the breaker writes, then it ends
            mine = [e for e in mine if event.destination in {e.target, _name("provider", e.target)}]
            mine = [e for e in mine if e.call.attempt.number == event.parent]
            yield event.destination, _Change(event, order, mine[-1] if mine else None)


def _circuits(trace: Trace) -> Iterator[Site]:
    """The sites of the breaker. With two of them, nobody could tell whose an event is."""
    if sum(type(layer) is Breaker for layer in trace.stack) == 1:
        yield from sites(trace, Breaker)


def _between(site: Site, at: int) -> list[Entry]:
    """What was let through between one change and the next."""
    begin = site.changes[at].order
    end = site.changes[at + 1].order if at + 1 < len(site.changes) else _END
    return [entry for entry in site.inside if begin < entry.opened_order < end]


def law_37(trace: Trace) -> None:
    """An open circuit lets nothing through before its time."""
    for site in _circuits(trace):
        for at, change in enumerate(site.changes):
            if change.event.state == "open":
                demand("L37", not _between(site, at), "a call through an open circuit")
                after = site.changes[at + 1 : at + 2]
                for visit in (later.visit for later in after if later.visit is not None):
                    early = (change.event.until or 0.0) - visit.opened
                    demand("L37", early <= 0, f"half-open {early} s before its time")


def law_38(trace: Trace) -> None:
    """A half-open circuit has no more probes under way than it may; one too old is none."""
    for site in _circuits(trace):
        for at, change in enumerate(site.changes):
            for probe in _between(site, at) if change.event.state == "half-open" else ():
                young = [
                    other
                    for other in _between(site, at)
                    if other.opened_order <= probe.opened_order < other.ended_order
                    and probe.opened - other.opened < site.layer.probe_limit
                ]
                demand("L38", len(young) <= site.layer.probes, f"{len(young)} probes at once")


def law_39(trace: Trace) -> None:
    """A circuit goes closed, open, half-open, then closed or open."""
    for site in _circuits(trace):
        states = ["closed", *(change.event.state for change in site.changes)]
        for step in pairwise(states):
            demand("L39", step in _STEPS, f"from {step[0]} to {step[1]}")


def law_40(trace: Trace) -> None:
    """Only a failure opens a circuit and only an answer closes it; a cancelled call does
    nothing, nor (L42) does one that began before the last change."""
    for site in _circuits(trace):
        before = 0
        for change in site.changes:
            if change.event.state != "half-open":
                demand("L40", change.visit and change.visit.children, "a change out of the blue")
                assert change.visit is not None
                _check_cause(change.event.state, change.visit.children[0], before)
            before = change.order


def _check_cause(state: str, cause: Entry, before: int) -> None:
    error = cause.error
    answered = cause.outcome == "ok" or (isinstance(error, LLMError) and not error.retryable)
    fits = answered if state == "closed" else isinstance(error, LLMError)
    demand("L40", fits, f"{state} after {error!r}")
    demand("L42", cause.opened_order > before, "changed by a call of before the last change")


def law_41(trace: Trace) -> None:
    """Every permit is given back."""
    for site in _circuits(trace):
        probes = site.statistics().get("probes", 0)
        demand("L41", probes == 0, f"{probes} probes of {site.name} were never given back")


def law_43(trace: Trace) -> None:
    """A circuit opens after enough calls within its window, or because it was told to."""
    for site in _circuits(trace):
        before, state = 0, "closed"
        for change in site.changes:
            event = change.event
            held = event.why in {"QuotaExhausted", "AuthenticationFailed"}
            if (state, event.state) == ("closed", "open") and not held:
                recent = [
                    entry
                    for entry in site.inside
                    if before < entry.opened_order and entry.ended_order < change.order
                    if entry.ended > event.time - site.layer.window
                ]
                few = f"opened after {len(recent)} calls"
                demand("L43", len(recent) >= site.layer.calls, few)
            before, state = change.order, event.state


def law_44(trace: Trace) -> None:
    """To be refused takes no time, and tells how long it will be so."""
    for site in _circuits(trace):
        for visit in site.refused:
            demand("L44", visit.ended == visit.opened, "refused after a wait")
            told = getattr(visit.error, "retry_after", None)
            demand("L44", told is not None and told > 0, f"refused for {told} s")


def law_53(trace: Trace) -> None:
    """An adaptive limit stays within its bounds, answers never lower it, drops never raise it,
    and (L56) what says nothing of it changes nothing."""
    for site in sites(trace, Concurrency):
        layer, limit = site.layer, site.statistics()["limit"]
        if layer.limit is not None:
            demand("L53", limit == layer.limit, f"a fixed limit of {layer.limit} became {limit}")
            continue
        begin = layer.initial or min(layer.most, max(layer.least, 20))
        demand("L53", layer.least <= limit <= layer.most, f"a limit of {limit}")
        full = (DeadlineExceeded, RateLimited, ServerError)
        drops = any(isinstance(entry.error, full) for entry in site.inside)
        answers = any(entry.outcome == "ok" for entry in site.inside)
        demand("L56", drops or answers or limit == begin, "changed by nothing")
        demand("L53", drops or limit >= begin, "lowered without a drop")
        demand("L53", answers or limit <= begin, "raised without an answer")


def law_54(trace: Trace) -> None:
    """Never more calls inside than there are places."""
    for site in sites(trace, Concurrency):
        places = site.layer.limit or site.layer.most
        for entry in site.inside:
            now = entry.opened_order
            there = sum(e.opened_order <= now < e.ended_order for e in site.inside)
            demand("L54", there <= places, f"{there} calls in {places} places")


def law_55(trace: Trace) -> None:
    """When all is quiet no place is held and nobody waits."""
    for site in sites(trace, Concurrency):
        left = site.statistics()
        demand("L55", left["in_flight"] == 0, f"{left['in_flight']} places were never given back")
        demand("L55", left["waiting"] == 0, f"{left['waiting']} wait for ever")


def law_57(trace: Trace) -> None:
    """Places are given in the order of coming; nobody waits while one is free, and nobody is
    shed while the queue has room."""
    for site in sites(trace, Concurrency):
        came = sorted((v for v in site.visits if v.children), key=lambda v: v.opened_order)
        for before, after in pairwise(came):
            late = before.children[0].opened - after.children[0].opened
            demand("L57", late <= 0, f"overtaken by {late} s")
        for visit in site.visits if site.layer.limit is not None else ():
            if visit not in site.refused:
                demand("L57", not _idle(site, visit), "waited while a place was free")
        for visit in site.refused:
            now = visit.opened_order
            waiting = [v for v in site.visits if v.opened_order < now < _began(v)]
            demand("L57", len(waiting) >= site.layer.queue, "shed while the queue had room")
            demand("L57", visit.ended == visit.opened, "shed after a wait")


def _began(visit: Entry) -> int:
    return visit.children[0].opened_order if visit.children else visit.ended_order


def _idle(site: Site, visit: Entry) -> bool:
    """Whether there was a free place for some time while this one waited."""
    begin, end = visit.opened, visit.children[0].opened if visit.children else visit.ended
    ends = {t for e in site.inside for t in (e.opened, e.ended) if begin < t < end}
    times = sorted({begin, end, *ends})
    for since, until in pairwise(times):
        there = sum(e.opened <= since and until <= e.ended for e in site.inside)
        if there < site.layer.limit:
            return True
    return False


LIMIT_LAWS: tuple[Callable[[Trace], None], ...] = (
    law_37, law_38, law_39, law_40, law_41, law_43, law_44, law_53, law_54, law_55, law_57,
)  # fmt: skip
