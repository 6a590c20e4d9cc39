"""The laws of balancing, each a function of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from llmmw._ledger import TargetChosen, TargetPassedOver
from llmmw.errors import (
    AuthenticationFailed,
    CallShed,
    ConnectionFailed,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.policies import Balance
from llmmw.testing._calls import CallTrace, Entry
from llmmw.testing._laws import demand
from llmmw.testing._trace import Trace

__all__ = ["BALANCE_LAWS"]

_SHORT = (
    CallShed, ConnectionFailed, DeadlineExceeded, PermissionDenied, ProtocolError, RateLimited,
    ServerError, StreamInterrupted,
)  # fmt: skip
_LONG = (AuthenticationFailed, NotFound, QuotaExhausted)
_FEW = 3


@attrs.frozen(eq=False)
class _Pass:
    """A call that came to a balancer once: what was chosen, and what became of it."""

    call: CallTrace
    entry: Entry
    chosen: list[TargetChosen]


@attrs.frozen(eq=False)
class _Site:
    """A balancer and the calls that it balanced."""

    layer: Any
    passes: list[_Pass]

    @property
    def visits(self) -> list[Entry]:
        """The calls that it sent on, in order."""
        found = (visit for one in self.passes for visit in one.entry.children)
        return sorted(found, key=lambda visit: visit.opened_order)

    @property
    def now(self) -> dict[str, dict[str, Any]]:
        """What it says of its targets at the end."""
        found: dict[str, dict[str, Any]] = self.layer.statistics()
        return found

    def well(self, target: str, order: int) -> bool:
        """Whether nothing had ever failed there."""
        here = (v for v in self.visits if v.target == target and v.ended_order < order)
        return not any(isinstance(visit.error, (*_SHORT, *_LONG)) for visit in here)

    def excluded(self, target: str, visit: Entry) -> bool:
        """Whether the first failure there was too short a time before, and nothing says that it
        is well again."""
        here = [
            v for v in self.visits if v.target == target and v.opened_order < visit.opened_order
        ]
        ended = [v for v in here if v.ended_order < visit.opened_order]
        failed = [v for v in ended if isinstance(v.error, (*_SHORT, *_LONG))]
        if not failed:
            return False
        first = min(failed, key=lambda v: v.ended_order)
        after = [v for v in ended if v.outcome == "ok" and v.opened_order > first.ended_order]
        return not after and visit.opened < first.ended + self._seconds(first.error)

    def _seconds(self, error: Any) -> float:
        hint = error.retry_after
        if hint is not None and (hint > 0 or not isinstance(error, CallShed)):
            return float(hint)
        layer = self.layer
        least = min(layer.exclude_for, layer.exclude_max)
        if isinstance(error, CallShed):
            least = layer.exclude_for
        return float(layer.hold if isinstance(error, _LONG) else least)


def _sites(trace: Trace) -> Iterator[_Site]:
    """The balancer. With two of them, nobody could tell whose an event is."""
    depths = [depth for depth, layer in enumerate(trace.stack) if type(layer) is Balance]
    for depth in depths if len(depths) == 1 else ():
        entries = [(call, e) for call in trace.calls for e in call.entries if e.depth == depth]
        yield _Site(trace.stack[depth], [_Pass(c, e, _chosen(c, e)) for c, e in entries])


def _chosen(call: CallTrace, entry: Entry) -> list[TargetChosen]:
    number, order = entry.call.attempt.number, call.order
    return [
        event
        for event in entry.call.ledger.events
        if isinstance(event, TargetChosen) and event.parent == number
        if entry.opened_order < order[id(event)] < entry.ended_order
    ]


def law_58(trace: Trace) -> None:
    """The chosen target costs no more than the other that was looked at; it has not just failed,
    and its call has not been there, if another is well and new to the call."""
    for site in _sites(trace):
        for one in site.passes:
            _check_choices(site, one)


def _check_choices(site: _Site, one: _Pass) -> None:
    went = [visit.target for visit in one.entry.children]
    passed = {e.target for e in one.call.events if isinstance(e, TargetPassedOver)}
    if not one.chosen and went == [one.entry.target]:
        return  # none of its targets
    demand("L58", [e.target for e in one.chosen] == went, f"chose {one.chosen}, went to {went}")
    for event, visit in zip(one.chosen, one.entry.children, strict=True):
        demand("L58", event.cost <= event.other_cost, f"{event}")
        demand("L58", event.other != event.target, f"{event.target} compared with itself")
        order = visit.opened_order
        well = [name for name in site.now if name != event.target and site.well(name, order)]
        well = [name for name in well if name not in passed]
        excluded = site.excluded(event.target, visit)
        demand("L58", not (well and excluded), f"{event.target} has failed, {well} are well")
        before = _before(one, visit)
        new = [name for name in well if name not in before]
        demand("L58", not (new and event.target in before), f"back at {event.target}, not {new}")


def _before(one: _Pass, visit: Entry) -> set[str]:
    """Where earlier attempts of the same call, numbered by the same engines, were sent."""
    number = visit.call.attempt.number
    events = [event for event in one.entry.call.ledger.events if isinstance(event, TargetChosen)]
    order = one.call.order
    return {
        event.target
        for event in events
        if event.parent and event.parent != number and order[id(event)] < visit.opened_order
    }


def law_59(trace: Trace) -> None:
    """A target that fails at once gets no more than its part of the calls, if another is well:
    one of k, or by its weight, and a few."""
    for site in _sites(trace):
        visits, layer = site.visits, site.layer
        names = [name for name in site.now if name not in trace.world.unable]
        total = sum(layer.weights.get(name, 1.0) for name in names)
        if not any(site.well(name, 1 << 60) for name in names):
            continue
        for name in names:
            here = [visit for visit in visits if visit.target == name]
            quick = all(v.ended == v.opened and isinstance(v.error, _SHORT) for v in here)
            share = max(1 / len(names), layer.weights.get(name, 1.0) / total)
            most = share * len(visits) + _FEW
            few = f"{name} fails at once and had {len(here)} of {len(visits)} calls"
            demand("L59", len(here) <= most or not quick, few)


def law_60(trace: Trace) -> None:
    """A call that was cut short never lowers an estimate: it is no less than the quickest answer,
    or than what was waited for in vain."""
    for site in _sites(trace):
        for name, now in site.now.items():
            here = [v for v in site.visits if v.target == name and v.call.attempt.sent is not None]
            took = [_first(visit) - _since(visit) for visit in here if _first(visit) is not None]
            vain = [visit.ended - _since(visit) for visit in here if _first(visit) is None]
            least = min(took) if took else max(vain, default=0.0)
            demand("L60", now["seconds"] >= least - 1e-9, f"{name}: {now['seconds']} < {least}")


def _since(visit: Entry) -> float:
    sent = visit.call.attempt.sent
    return visit.opened if sent is None else max(sent, visit.opened)


def _first(visit: Entry) -> Any:
    content = [told.begun for told in visit.told if told.content]
    if content:
        return content[0]
    return visit.ended if visit.outcome == "ok" else None


def law_61(trace: Trace) -> None:
    """A call that is under way stays so whatever becomes of the balancer's targets, and when all
    is quiet, none is."""
    for site in _sites(trace):
        for one in site.passes:
            cut = any(visit.outcome == "cancelled" for visit in one.entry.children)
            demand("L61", not cut or one.entry.outcome == "cancelled", "a call was dropped")
        for name, now in site.now.items():
            demand("L61", now["in_flight"] == 0, f"{now['in_flight']} calls stay at {name}")


BALANCE_LAWS: tuple[Callable[[Trace], None], ...] = (law_58, law_59, law_60, law_61)
