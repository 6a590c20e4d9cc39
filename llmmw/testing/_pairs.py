"""The laws that compare two runs of a world, or go through one run step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._chain import Handler, Middleware
from llmmw._deltas import Delta
from llmmw._response import Response
from llmmw.policies import Timeout
from llmmw.sim import Script
from llmmw.testing._laws import demand
from llmmw.testing._laws_limits import law_41, law_55
from llmmw.testing._laws_stream import law_78, law_81, law_85, law_88, law_98
from llmmw.testing._laws_time import law_16, law_18
from llmmw.testing._trace import Trace
from llmmw.testing._world import Caller, Fault, MakeStack, World, run_world

__all__ = ["law_20", "law_84", "law_101", "law_102", "law_107_pair", "story"]


def story(trace: Trace, *, since: float = 0.0) -> list[Any]:
    """All that was decided and told, with times from `since`, to compare two runs by."""
    return [
        (
            call.outcome,
            type(call.error).__name__,
            str(call.error),
            call.response,
            [(time - since, delta) for time, delta in call.heard],
            [_fact(event, since) for event in call.events],
        )
        for call in trace.calls
    ]


def _fact(event: Any, since: float) -> tuple[Any, ...]:
    fields = attrs.asdict(event)
    times = {name: fields.pop(name) - since for name in ("time", "until") if name in fields}
    return type(event).__name__, times, fields


def _foreseen(caller: Caller) -> Caller:
    """The same caller without what a tie of two tasks could decide either way."""
    return attrs.evolve(caller, by_hand=False, raises_at=None, leaves_at=None)


def _alone(world: World, **changes: Any) -> World:
    first = attrs.evolve(_foreseen(world.callers[0]), **changes)
    return attrs.evolve(world, callers=(first,))


def law_20(world: World, make_stack: MakeStack, shift: float = 3.0) -> None:
    """No absolute time leaks in: a world that begins later has the same story."""
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

    With limits that bind streams only, it is another stack: then nothing is compared.
    """
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
    demand("L84", charges[0] == charges[1], "other charges when streamed")
    return True


def _budgets(trace: Trace) -> list[Budget]:
    found = [(e.budget, e.hedge and e.hedge.budget) for e in trace.engines]
    return [budget for pair in found for budget in pair if budget is not None]


def _tried(trace: Trace) -> list[tuple[str, str, float]]:
    visits = trace.visits(trace.calls[0])
    return [(v.target, v.call.attempt.reason, v.opened) for v in visits]


def law_101(world: World, make_stack: MakeStack) -> int:
    """Cancel the first caller at every step of its run, one after the other: nothing stays
    open, nothing partial is given, every attempt is accounted for. Returns the steps."""
    world = attrs.evolve(world, callers=tuple(_foreseen(c) for c in world.callers))
    steps = run_world(world, make_stack, stop_at=1 << 30).steps
    for step in range(1, steps + 1):
        trace = run_world(world, make_stack, stop_at=step)
        try:
            for law in (law_16, law_18, law_78, law_81, law_85, law_88, law_98, law_41, law_55):
                law(trace)
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


async def _through(call: Call, next: Handler) -> Response:
    return await next(call)


async def _overhearing(call: Call, next: Handler) -> Response:
    listener = call.listener
    if listener is None:
        return await next(call)

    async def overhear(delta: Delta) -> None:
        await listener(delta)

    return await next(call.replace(listener=overhear))


def law_102(world: World, make_stack: MakeStack) -> None:
    """A pass-through layer anywhere changes nothing."""
    world = _alone(world)
    without = story(run_world(world, make_stack, probes=False))
    for place in range(len(make_stack()) + 1):
        for layer in (_through, _overhearing):

            def with_layer(place: int = place, layer: Middleware = layer) -> list[Middleware]:
                stack = list(make_stack())
                return [*stack[:place], layer, *stack[place:]]

            found = story(run_world(world, with_layer, probes=False))
            demand("L102", found == without, f"{layer.__name__} at {place} changed the run")


def law_107_pair(world: World, make_stack: MakeStack) -> None:
    """With nobody listening, a cut after content is an error like any other."""
    cut = _tried(run_world(_alone(world, mode="ask"), make_stack))
    busy = attrs.evolve(world, scripts={t: _busy(s) for t, s in world.scripts.items()})
    other = _tried(run_world(_alone(busy, mode="ask"), make_stack))
    demand("L107", cut == other, f"{cut} when cut, {other} when busy")


def _busy(scripts: Sequence[Script]) -> tuple[Script, ...]:
    def changed(script: Script) -> Script:
        error = script.error
        cut = isinstance(error, Fault) and error.kind == "cut"
        return attrs.evolve(script, error=Fault("busy")) if cut else script

    return tuple(changed(script) for script in scripts)
