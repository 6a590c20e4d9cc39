"""The laws that compare two runs of a world, or go through one run step by step."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from llmmw._budget import Budget
from llmmw._chain import Middleware
from llmmw._ledger import AttemptEnded, Event
from llmmw.policies import Attempts, Cache, Concurrency, Hedge, RateLimit, Timeout
from llmmw.sim import Script
from llmmw.testing._laws import demand
from llmmw.testing._laws_hedge import law_35
from llmmw.testing._laws_resume import law_97
from llmmw.testing._layers import Overhears, Passes
from llmmw.testing._table import Law, check_laws, law_table
from llmmw.testing._trace import Trace
from llmmw.testing._world import Caller, Fault, MakeStack, World, run_world

__all__ = [
    "PAIRS",
    "law_20",
    "law_84",
    "law_87",
    "law_89",
    "law_97",
    "law_101",
    "law_102",
    "law_107_pair",
    "story",
]


def story(trace: Trace, *, since: float = 0.0) -> list[Any]:
    """All that was decided and told, with times from `since`, to compare two runs by."""
    return [
        (
            call.outcome,
            type(call.error).__name__,
            str(call.error),
            call.response,
            [(time - since, delta) for time, delta in call.heard],
            sorted(repr(_fact(event, since)) for event in call.events),
        )
        for call in trace.calls
    ]


def _fact(event: Any, since: float) -> tuple[Any, ...]:
    fields = attrs.asdict(event)
    for name in {"time", "until", "began"}.intersection(fields):
        fields[name] = fields[name] and round(fields[name] - since, 9)
    return type(event).__name__, fields


def _foreseen(caller: Caller) -> Caller:
    """The same caller without what a tie of two tasks could decide either way."""
    return attrs.evolve(caller, by_hand=False, raises_at=None, leaves_at=None)


def _alone(world: World, **changes: Any) -> World:
    first = attrs.evolve(_foreseen(world.callers[0]), **changes)
    return attrs.evolve(world, callers=(first,))


def _untied(make_stack: MakeStack) -> MakeStack:
    """The same stack without hedges and turns that come in the instant when something else
    happens: which of the two is first would be the scheduler's choice."""
    return lambda: [_later(layer) for layer in make_stack()]


def _later(layer: Any) -> Any:
    if isinstance(layer, Attempts):
        policies = map(_later, layer.policies)
        return Attempts(*policies, budget=layer.budget, max_attempts=layer.max_attempts)
    if isinstance(layer, Hedge) and not isinstance(layer.delay, str):
        return attrs.evolve(layer, delay=layer.delay + 1 / 1024)
    return attrs.evolve(layer, per=layer.per + 1 / 512) if isinstance(layer, RateLimit) else layer


def law_20(world: World, make_stack: MakeStack, shift: float = 3 + 3 / 64) -> None:
    """No absolute time leaks in: a world that begins later has the same story."""
    make_stack = _untied(make_stack)
    one = _alone(world, arrive=0.0)
    later = _alone(world, arrive=shift)
    same = story(run_world(one, make_stack))
    moved = story(run_world(later, make_stack), since=shift)
    demand("L20", same == moved, f"{moved} is not {same}")


def _binds_streams_only(stack: Sequence[object]) -> bool:
    timed = [layer for layer in stack if isinstance(layer, Timeout)]
    return any((t.first_token or t.idle) is not None and not t.stream for t in timed)


def law_84(world: World, make_stack: MakeStack) -> bool:
    """A call without a stream is the stream, folded: the same reply, attempts and charges.

    With limits that bind streams only, it is another stack: then nothing is compared. A turn that
    comes in the instant of another start may be had or missed, which is a charge more or less.
    """
    make_stack = _untied(make_stack)
    if _binds_streams_only(make_stack()):
        return False
    silent = run_world(_alone(world, mode="ask", pauses=()), make_stack)
    changes = {"mode": "stream", "pauses": (), "on_interrupt": "restart"}
    stream = run_world(_alone(world, **changes), make_stack)
    for trace in (silent, stream):
        demand("L84", len(trace.calls[0].entries) > 0, "the call did not come to the stack")
    one, other = _tried(silent), _tried(stream)
    demand("L84", one == other, f"streamed, {other} were tried, else {one}")
    same = silent.calls[0].response == stream.calls[0].response
    demand("L84", same, "another reply when streamed")
    ends = [(t.calls[0].outcome, str(t.calls[0].error), t.calls[0].done) for t in (silent, stream)]
    demand("L84", ends[0] == ends[1], f"ended {ends[0]}, but streamed {ends[1]}")
    charges = [[b.statistics() for b in _budgets(trace)] for trace in (silent, stream)]
    same = charges[0] == charges[1] or _shed(silent) != _shed(stream)
    demand("L84", same, "other charges when streamed")
    return True


def _shed(trace: Trace) -> int:
    events = trace.calls[0].events
    return sum(isinstance(e, AttemptEnded) and e.outcome == "CallShed" for e in events)


def _budgets(trace: Trace) -> list[Budget]:
    found = [(e.budget, e.hedge.budget if e.hedge else None) for e in trace.engines]
    return [budget for pair in found for budget in pair if budget is not None]


def _tried(trace: Trace) -> list[tuple[str, str, float]]:
    visits = trace.visits(trace.calls[0])
    return [(v.target, v.call.attempt.reason, v.opened) for v in visits]


def law_87(world: World, make_stack: MakeStack) -> None:
    """Two neighbours in a stack may change places, and all laws of traces hold."""
    for place in range(len(make_stack()) - 1):

        def swapped(place: int = place) -> list[Middleware]:
            stack = list(make_stack())
            stack[place : place + 2] = reversed(stack[place : place + 2])
            return stack

        try:
            check_laws(run_world(world, swapped))
        except AssertionError as broken:
            raise AssertionError(f"L87: {place} and {place + 1} swapped: {broken}") from broken


def law_89(world: World, make_stack: MakeStack) -> None:
    """Whoever listens to the events changes nothing, not even by raising."""
    make_stack = _untied(make_stack)

    def fails(event: Event) -> None:
        raise RuntimeError("an instrument that fails")

    log = logging.getLogger("llmmw.instrument")
    before, log.disabled = log.disabled, True
    try:
        alone = _alone(world)
        one = story(run_world(alone, make_stack))
        other = story(run_world(alone, make_stack, instruments=[fails]))
    finally:
        log.disabled = before
    demand("L89", one == other, "an instrument changed the run")


def law_101(world: World, make_stack: MakeStack) -> int:
    """Cancel the first caller at every step of its run, one after the other: nothing stays
    open or held, nothing partial is given, every attempt is accounted for, and all other laws
    hold, for those too who share its flight. Returns the steps."""
    first, *others = world.callers
    world = attrs.evolve(world, callers=(_foreseen(first), *others))
    steps = run_world(world, make_stack, stop_at=1 << 30).steps
    for step in range(1, steps + 1):
        trace = run_world(world, make_stack, stop_at=step)
        try:
            check_laws(trace)
            call = trace.calls[0]
            whole = call.response is None or call.response.finish is not None
            demand("L101", whole, "something partial was given")
            real = call.outcome != "ok" or call.top.outcome == "ok"
            demand("L101", real, "a reply without the stack's")
            for budget in _budgets(trace):
                held = budget.statistics().values()
                right = all(0 <= balance <= budget.cap for balance in held)
                demand("L101", right, f"the budget holds {held}")
        except AssertionError as broken:
            raise AssertionError(f"L101: cancelled at step {step} of {steps}: {broken}") from broken
    return steps


def law_102(world: World, make_stack: MakeStack) -> None:
    """A pass-through layer anywhere changes nothing."""
    make_stack = _untied(make_stack)
    world = _alone(world)
    without = story(run_world(world, make_stack, probes=False))
    for place in range(len(make_stack()) + 1):
        for layer in (Passes(), Overhears()):

            def with_layer(place: int = place, layer: Middleware = layer) -> list[Middleware]:
                stack = list(make_stack())
                return [*stack[:place], layer, *stack[place:]]

            found = story(run_world(world, with_layer, probes=False))
            demand("L102", found == without, f"{layer!r} at {place} changed the run")


def law_107_pair(world: World, make_stack: MakeStack) -> bool:
    """With nobody listening, a cut after content is an error like any other."""
    for one in make_stack():
        if isinstance(one, Concurrency) and one.limit is None:
            return False  # to which a host that is busy is another thing
        if isinstance(one, Cache):
            return False  # its flight may lose an instant, which may cost a hedge
    make_stack = _untied(make_stack)
    cut = _tried(run_world(_alone(world, mode="ask"), make_stack))
    busy = attrs.evolve(world, scripts={t: _busy(s) for t, s in world.scripts.items()})
    other = _tried(run_world(_alone(busy, mode="ask"), make_stack))
    demand("L107", cut == other, f"{cut} when cut, {other} when busy")
    return True


def _busy(scripts: Sequence[Script]) -> tuple[Script, ...]:
    def changed(script: Script) -> Script:
        error = script.error
        cut = isinstance(error, Fault) and error.kind == "cut"
        return attrs.evolve(script, error=Fault("busy")) if cut else script

    return tuple(changed(script) for script in scripts)


PAIRS: Mapping[int, Law] = law_table(
    (law_20, law_35, law_84, law_87, law_89, law_97, law_101, law_102, law_107_pair)
)
"""The laws that compare runs, by number."""
