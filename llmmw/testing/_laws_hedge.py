"""The laws of hedges, each a function of a trace; and the one that compares two runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import attrs

from llmmw._budget import Budget
from llmmw._deltas import Restarted
from llmmw._ledger import AttemptSent, BudgetRefused
from llmmw.errors import LLMError
from llmmw.policies import Hedge
from llmmw.sim import Script
from llmmw.testing._laws import demand
from llmmw.testing._trace import CallTrace, Entry, Group, Told, Trace
from llmmw.testing._world import MakeStack, World, run_world

__all__ = ["HEDGE_LAWS", "law_35"]


def law_28(trace: Trace) -> None:
    """What a race has told since the last `Restarted` comes of one attempt, in order, without a
    gap."""
    for group, _ in _races(trace):
        if group.call.seams:
            continue
        ids = [id(told.delta) for told in _since_restart(group.entry.told)]
        wholes = [[id(t.delta) for t in _since_restart(a.told)] for a in group.attempts]
        one = any(ids == whole[: len(ids)] for whole in wholes)  # several may share a flight
        demand("L28", one, "told of several attempts, with a gap, or out of order")


def law_29(trace: Trace) -> None:
    """A race ends when its winner does, and all attempts have ended by then; losers are cancelled
    as soon as there is a winner."""
    for group, hedge in _races(trace):
        for attempt in group.attempts:
            open_still = attempt.ended_order > group.entry.ended_order
            demand("L29", not open_still, f"{attempt.target} was left to run")
        winner = _winner(group)
        if winner is None or group.call.seams:
            continue
        # One that is kept may have waited for its turn, until the one before it broke off.
        others = [a.ended for a in group.attempts if hedge.cancel_after and group.error(a)]
        end = max((winner.ended, *others, *(told.over for told in group.entry.told)))
        if group.entry.outcome == "ok":
            waited = group.entry.ended - end
            demand("L29", waited == 0, f"the winner waited {waited} s for the losers")
        won = _first(winner) if hedge.cancel_after == 0 else end
        for attempt in group.attempts:
            beside = attempt is not winner and attempt.opened_order < _won_order(winner)
            loser = beside and (group.lost(attempt) or attempt.outcome == "cancelled")
            on = attempt.ended - won
            demand("L29", not loser or on <= 0, f"a loser went on for {on} s")


def law_30(trace: Trace) -> None:
    """With a fixed delay and nothing else in the way, the first content comes at
    min(x1, d + x2, 2d + x3, …), exactly."""
    call = trace.calls[0]
    group, hedge = next(_races(trace), (None, None))
    alone = len(trace.calls) == 1 and all(isinstance(layer, Hedge) for layer in trace.stack)
    if not alone or len(trace.stack) > 1 or group is None or hedge is None or _refused(call):
        return
    scripts = list(_scripts(trace, group, hedge))
    if isinstance(hedge.delay, str) or not all(script.pieces for script in scripts):
        return
    times = [k * hedge.delay + script.first for k, script in enumerate(scripts)]
    firsts = [_first(attempt) for attempt in group.attempts]
    came = min(firsts, default=math.inf) - group.entry.opened
    over = min(call.deadline, call.stopped) - group.entry.opened
    right = came == min(times) or min(times) >= over
    demand("L30", right, f"first content after {came} s, not {min(times)}")


def law_31(trace: Trace) -> None:
    """A hedge starts when all attempts that go on have been silent for the delay since they were
    sent, or at once when such a time is past; and there are no more than are allowed and paid
    for."""
    for budget, account, row in _hedge_accounts(trace):
        calls = fired = 0
        for _, time, extra in sorted(row):
            calls, fired = calls + (not extra), fired + extra
            most = budget.cap + budget.ratio * calls + budget.floor * time
            demand("L31", fired <= most + 1e-9, f"{fired} hedges of {account}, not {most}")
    for group, hedge in _races(trace):
        hedges = [a for a in group.attempts if a.call.attempt.reason == "hedge"]
        demand("L31", group.counts(hedges) <= hedge.max_hedges, f"{len(hedges)} hedges")
        for attempt in hedges if not isinstance(hedge.delay, str) else ():
            assert not isinstance(hedge.delay, str)
            alive = group.alive(attempt.opened_order) + _losers(group, attempt)
            # Decided on beside others that ended in that instant.
            before = [a for a in group.attempts if a.opened_order < attempt.opened_order]
            gone = [a for a in before if a.ended == attempt.opened]
            alive = alive or [a for a in gone if _sent(group.call, a) < math.inf]
            talks = [a for a in alive if _first(a) < attempt.opened]
            demand("L31", not talks, "a hedge beside an attempt that has content")
            sent = [_sent(group.call, a) for a in alive]
            due = max(sent, default=math.inf) + hedge.delay
            ends = {a.ended for a in group.failed(attempt.opened_order)}
            late = due < attempt.opened and attempt.opened not in ends
            demand("L31", attempt.opened >= due, f"a hedge {due - attempt.opened} s too early")
            demand("L31", not late, f"a hedge {attempt.opened - due} s too late")


def law_32(trace: Trace) -> None:
    """A race fails only when all its attempts have failed: none that goes on is thrown away, but
    by a winner."""
    for group, _ in _races(trace):
        if not isinstance(group.entry.error, LLMError):
            continue
        lost = [a for a in group.attempts if group.lost(a)]
        other = [a for a in group.attempts if group.error(a) is None and a not in lost]
        demand("L32", not other, f"failed, though {len(other)} attempts had not")
        won = any(_first(a) < math.inf for a in group.attempts if a not in lost)
        demand("L32", won or not lost, "an attempt was cancelled, though none had won")


def law_33(trace: Trace) -> None:
    """The fault of a loser is nobody's business: no error that is raised is it, or has it."""
    for group, _ in _races(trace):
        raised = group.entry.error
        if isinstance(raised, LLMError):
            faults = {id(a.error) for a in group.attempts if group.lost(a) and a.error is not None}
            seen = {id(one) for one in (raised, *raised.attempts)}
            demand("L33", not faults & seen, f"the error of a loser was raised: {raised!r}")


def law_34(trace: Trace) -> None:
    """A hedge goes to a target that was not asked yet, while there is one."""
    for group, hedge in _races(trace):
        named = {*group.named(hedge), group.entry.target} - group.passed_over
        for attempt in group.attempts:
            used = {a.target for a in group.opened(attempt.opened_order)}
            if attempt.call.attempt.reason == "hedge" and attempt.target in used:
                demand("L34", named <= used, f"{attempt.target} again, not {named - used}")


def law_106(trace: Trace) -> None:
    """No hedge starts for an attempt that was not sent yet: to queue is nobody's slowness."""
    for group, _ in _races(trace):
        for attempt in group.attempts:
            if attempt.call.attempt.reason == "hedge":
                order = attempt.opened_order
                beside = group.alive(order) + _losers(group, attempt)
                waits = [a for a in beside if _sent(group.call, a) > attempt.opened]
                demand("L106", not waits, "a hedge beside an attempt that was not sent")


def law_35(world: World, make_stack: MakeStack) -> bool:
    """Without limits that calls share, a hedge never makes the first content later. Only stacks
    of one `Hedge` are compared."""
    stack = make_stack()
    if not (len(stack) == 1 and isinstance(stack[0], Hedge)):
        return False
    caller = attrs.evolve(
        world.callers[0],
        by_hand=False,
        raises_at=None,
        leaves_at=None,
        pauses=(),
        mode="listen",
        on_interrupt="error",
    )
    world = attrs.evolve(world, callers=(caller,))
    firsts = []
    for make in (make_stack, list):
        call = run_world(world, make).calls[0]
        firsts.append(min((t.begun for t in call.told if t.content), default=math.inf))
        if call.outcome == "ok":  # there are answers without content
            firsts[-1] = min(firsts[-1], call.done)
    demand("L35", firsts[0] <= firsts[1], f"first content at {firsts[0]}, without at {firsts[1]}")
    return True


def _races(trace: Trace) -> Iterator[tuple[Group, Hedge]]:
    """The groups of attempts of engines that hedge."""
    for group in trace.groups():
        if group.engine.hedge is not None and group.engine.known:
            yield group, group.engine.hedge


def _hedge_accounts(trace: Trace) -> Iterator[tuple[Budget, str, list[tuple[int, float, bool]]]]:
    """For each budget and target, its calls and their hedges as (order, time, hedge)."""
    found: dict[tuple[int, str], tuple[Budget, list[tuple[int, float, bool]]]] = {}
    for group, hedge in _races(trace):
        target = group.entry.target
        row = found.setdefault((id(hedge.budget), target), (hedge.budget, []))[1]
        row.append((group.entry.opened_order, group.entry.opened, False))
        for attempt in group.attempts:
            if attempt.call.attempt.reason == "hedge" and group.counts([attempt]):
                row.append((attempt.opened_order, attempt.opened, True))
    for (_, target), (budget, row) in found.items():
        yield budget, target, row


def _since_restart(told: Sequence[Told]) -> Sequence[Told]:
    starts = [i for i, one in enumerate(told) if isinstance(one.delta, Restarted)]
    return told[starts[-1] + 1 :] if starts else told


def _first(attempt: Entry) -> float:
    """When its first content came."""
    return min((told.begun for told in attempt.told if told.content), default=math.inf)


def _won_order(attempt: Entry) -> int:
    told = (told.begun_order for told in attempt.told if told.content)
    return min(told, default=attempt.ended_order)


def _sent(call: CallTrace, attempt: Entry) -> float:
    """When it was sent; infinite: never."""
    number = attempt.call.attempt.number
    sent = (e.time for e in call.events if isinstance(e, AttemptSent) and e.number == number)
    inside = (_sent(call, child) for child in _attempts_in(attempt))
    return min((*sent, *inside), default=math.inf)


def _attempts_in(attempt: Entry) -> Iterator[Entry]:
    """The attempts that other engines made of it."""
    for child in attempt.children:
        if child.call.attempt is attempt.call.attempt:
            yield from _attempts_in(child)
        else:
            yield child


def _losers(group: Group, attempt: Entry) -> list[Entry]:
    """Those that went on when an attempt started, and lost later."""
    order = attempt.opened_order
    return [a for a in group.opened(order) if group.lost(a) and a.ended_order > order]


def _winner(group: Group) -> Entry | None:
    """The attempt whose response it is, or that made others lose."""
    own = [a for a in group.attempts if not group.lost(a)]
    whole = [a for a in own if a.response is not None and a.response is group.entry.response]
    talked = [a for a in own if _first(a) < math.inf]
    lost = any(group.lost(a) for a in group.attempts)
    return next(iter(whole), None) or (talked[-1] if talked and lost else None)


def _refused(call: CallTrace) -> bool:
    return any(isinstance(event, BudgetRefused) for event in call.events)


def _scripts(trace: Trace, group: Group, hedge: Hedge) -> Iterator[Script]:
    """What the attempts do that a lone hedge would make, were there no winner."""
    targets = [group.entry.target, *group.named(hedge)]
    used: dict[str, int] = {}
    for _ in range(1 + hedge.max_hedges):
        new = [target for target in targets if target not in used]
        target = new[0] if new else min(used, key=lambda one: used[one])
        scripts = trace.world.scripts[target]
        yield scripts[min(used.get(target, 0), len(scripts) - 1)]
        used[target] = used.get(target, 0) + 1


HEDGE_LAWS: tuple[Callable[[Trace], None], ...] = (
    law_28, law_29, law_30, law_31, law_32, law_33, law_34, law_106,
)  # fmt: skip
