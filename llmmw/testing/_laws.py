"""The laws of retry, budget and fallback, each a function of a trace.

Each is named by its number, looks at everything that the trace holds, and raises `AssertionError`
with that number. Laws of time are in `_laws_time`, of streams in
`_laws_stream`, and those that compare two runs in `_pairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llmmw._budget import Budget
from llmmw._deltas import PartDelta, Restarted
from llmmw._ledger import BudgetRefused
from llmmw.errors import ListenerFailed, LLMError, StreamInterrupted
from llmmw.testing._engines import may_pass
from llmmw.testing._trace import Entry, Group, Trace

__all__ = ["LAWS", "demand"]


def demand(law: str, holds: object, what: str) -> None:
    """Raise the breach of a law unless it holds."""
    if not holds:
        raise AssertionError(f"{law}: {what}")


def law_01(trace: Trace) -> None:
    """No more attempts than the bound, all reasons together; an unsent one takes no place."""
    for group in trace.groups():
        # An attempt never sent may stand for each place of the bound, but not for more.
        counted = group.counts(group.attempts)
        demand("L1", counted <= group.engine.bound, f"{counted} attempts")
        most = 2 * max(group.engine.bound, group.engine.free) + len(group.patched())
        demand("L1", len(group.attempts) <= most, "attempts that are not sent go on for ever")


def law_02(trace: Trace) -> None:
    """A retry follows the end of all before it, and a retryable end on its target; only a hedge
    starts beside another."""
    for group in trace.groups():
        for attempt in group.attempts[1:]:
            if attempt.call.attempt.reason != "hedge":
                alive = group.alive(attempt.opened_order)
                demand("L2", not alive, "two attempts at once")
            if attempt.call.attempt.reason == "retry":
                here = group.on(attempt.target, attempt.opened_order)
                error = group.error(here[-1]) if here else None
                fits = error is not None and may_pass(error)
                demand("L2", fits, f"a retry on {attempt.target} after {error!r}")


def law_03(trace: Trace) -> None:
    """Nothing is opened after the caller has heard content, unless it agreed to hear it again or to
    have it continued; what it then gets is `StreamInterrupted` with what was told."""
    for call in trace.calls:
        for visit in trace.visits(call)[1:]:
            begun = call.loser(visit) or visit.attempt  # it may have been on its way
            firm = call.told_before(begun.opened_order) and not visit.call.attempt.continues
            demand("L3", not firm, "an attempt after content was told")
    for group in trace.groups():
        call, entry = group.call, group.entry
        if isinstance(entry.error, LLMError) and group.told_before(entry.ended_order):
            cut = isinstance(entry.error, StreamInterrupted)
            demand("L3", cut, f"{entry.error!r} after content was told")
            partial = entry.error.partial
            told = "".join(t.delta.text for t in entry.told if isinstance(t.delta, PartDelta))
            demand("L3", partial is not None, "no partial answer in the error")
            text = getattr(partial, "text", "")  # it may have more: what was not told in time
            demand("L3", text.startswith(told), f"partial {text!r}, but {told!r} was told")


def law_04(trace: Trace) -> None:
    """A target is not asked again before its hint has passed, nor at all after one too long."""
    for group in trace.groups():
        for attempt in group.attempts[1:]:
            before = group.failed(attempt.opened_order)
            here = [a for a in group.on(attempt.target, attempt.opened_order) if a in before]
            hint = getattr(here[-1].error, "retry_after", None) if here else None
            # A hedge that was decided on before may begin in the instant in which the hint comes.
            hedge = attempt.call.attempt.reason == "hedge"
            if hint is None or (hedge and attempt.opened == here[-1].ended):
                continue
            early = here[-1].ended + hint - attempt.opened
            demand("L4", early <= 0, f"{attempt.target} asked {early} s before its hint")
            retry = group.engine.retry
            demand("L4", retry is None or hint <= retry.max_hint, f"asked after a hint of {hint}")


def law_05(trace: Trace) -> None:
    """A wait ends before the deadline and an attempt follows, but for a cancel by hand, or where
    the whole of it has lost to another."""
    for group in trace.groups():
        order = group.call.order
        for wait in group.waits:
            begun = order[id(wait)]
            after = [a for a in group.attempts if a.opened_order > begun]
            told = [t for t in group.call.told if t.begun_order > begun]
            restarted = bool(told) and isinstance(told[0].delta, Restarted)
            if after:
                on_time = after[0].opened == wait.until or restarted
                demand("L5", on_time, f"opened {after[0].opened - wait.until} s after the wait")
            else:
                # A flight has less time once one of those who wait for it has left.
                calls = group.callers
                by_hand = any(begun < one.stopped_order < one.done_order for one in calls)
                # A flight, and what goes on beside the attempt that heard of it, hear of it in the
                # same instant, but their tasks may run first.
                beside = any(e.call.attempt.reason == "hedge" for e in group.call.entries)
                left = [one for one in calls if begun < one.done_order]
                gone = any(one.done_order < group.entry.ended_order for one in left)
                gone |= any(one.done == group.entry.ended for one in left)
                by_hand |= trace.shares and gone
                tied = any(wait.time == one.stopped for one in calls)
                by_hand |= (trace.shares or beside) and tied
                cut = by_hand or restarted or group.call.lost(group.entry) or _failed_beside(group)
                demand("L5", cut, "a wait that no attempt followed")


def _failed_beside(group: Group) -> bool:
    """Whether it was cut short since a function of the caller's has failed elsewhere."""
    errors = (e for e in group.call.entries if isinstance(e.error, ListenerFailed))
    cut = group.entry.outcome == "cancelled"
    return cut and any(e.ended == group.entry.ended for e in errors)


def law_07(trace: Trace) -> None:
    """A retry without a hint comes after its backoff, never beyond its cap."""
    for group in trace.groups():
        for order, last, attempt in group.moments():
            if not group.engine.known or attempt is None or attempt.call.attempt.reason != "retry":
                continue
            options = {o.target: o for o in group.options(order) if o.reason == "retry"}
            option = options.get(attempt.target)
            demand("L7", option is not None, f"a retry on {attempt.target} out of the blue")
            assert option is not None
            due = max(option.at, last.ended)
            restarted = any(isinstance(t.delta, Restarted) for t in group.call.told)
            fits = attempt.opened == due or (restarted and attempt.opened > due)
            demand("L7", fits, f"a retry {attempt.opened - due} s off its time")


def _is_copy(raised: LLMError, error: BaseException | None) -> bool:
    """Whether the error raised after several attempts is that one, with all of them added."""
    if not isinstance(error, LLMError) or type(raised) is not type(error):
        return False
    whole = {id(one) for one in raised.attempts}
    return raised.args == error.args and whole.issuperset(map(id, error.attempts or (error,)))


def law_08(trace: Trace) -> None:
    """The error raised did occur: that of the attempt told, else the last of the first target,
    else the last of all; of those sent, if any was. That of one that lost to another is nobody's
    business (L33)."""
    for group in trace.groups():
        raised = group.entry.error
        if not isinstance(raised, LLMError):
            continue
        failed = group.failed(group.entry.ended_order)
        own = [a for a in group.attempts if a in failed and a.target == group.attempts[0].target]
        told = group.told_before(group.entry.ended_order)
        sent = [a for a in failed if a.counts]
        own_sent = [a for a in own if a.counts]
        chosen = (failed if told else own_sent or sent or own or failed)[-1:]
        if told and any(a.call.attempt.continues for a in failed):
            chosen = [a for a in failed if any(t.content for t in a.told)]
        errors = [a.error for a in chosen]
        real = any(e in {raised, group.entry.cause} or _is_copy(raised, e) for e in errors)
        demand("L8", real, f"raised {raised!r}, but that of the attempt was {errors!r}")


def law_09(trace: Trace) -> None:
    """Giving up needs a reason: a final error, the bound, the budget, or no time."""
    for group in trace.groups():
        if group.engine.known and isinstance(group.entry.error, LLMError):
            left = group.possible(group.entry.ended_order)
            demand("L9", not left, f"gave up, though it could do {left}")


def _accounts(trace: Trace) -> Iterator[tuple[Budget, str, list[tuple[int, float, bool]]]]:
    """For each budget and target, its calls and its repeated attempts as (order, time, extra)."""
    found: dict[tuple[int, str], tuple[Budget, list[tuple[int, float, bool]]]] = {}
    for group in trace.groups():
        budget = group.engine.budget
        for k, attempt in enumerate(group.attempts) if budget else ():
            assert budget is not None
            before = (a for a in group.attempts[:k] if a.target == attempt.target)
            again = bool(group.counts(before) and group.counts([attempt]))
            if k == 0 or again:
                row = found.setdefault((id(budget), attempt.target), (budget, []))[1]
                row.append((attempt.opened_order, attempt.opened, again))
    for (_, target), (budget, row) in found.items():
        yield budget, target, sorted(row)


def law_10(trace: Trace) -> None:
    """A budget holds no less than nothing and no more than its cap."""
    now = max((call.done for call in trace.calls), default=0.0)
    for budget, target, _ in _accounts(trace):
        held = budget.balance(target, now)
        demand("L10", 0 <= held <= budget.cap, f"the account of {target} holds {held}")


def law_11(trace: Trace) -> None:
    """Repeated attempts <= cap + ratio * calls + floor * t, at every moment, over all stacks
    that share the budget (L15)."""
    for budget, target, row in _accounts(trace):
        calls = extras = 0
        for _, time, extra in row:
            calls, extras = calls + (not extra), extras + extra
            most = budget.cap + budget.ratio * calls + budget.floor * time
            demand("L11", extras <= most + 1e-9, f"{extras} repetitions on {target}, not {most}")


def law_13(trace: Trace) -> None:
    """A budget never delays a first attempt, and refuses at once."""
    for group in trace.groups():
        late = group.attempts[0].opened - group.entry.opened
        demand("L13", late == 0, f"the first attempt came {late} s late")
        ends = {attempt.ended for attempt in group.attempts}
        for event in group.events(BudgetRefused):
            hedge = bool(group.alive(group.call.order[id(event)]))
            demand("L13", hedge or event.time in ends, "the budget refused after a wait")


def law_22(trace: Trace) -> None:
    """First visits follow the configured order; a round asks the least failed first, and of
    equals one that asked to wait last."""
    for group in trace.groups():
        if not group.engine.known or (group.engine.fallback and group.engine.fallback.on):
            continue
        first = list(dict.fromkeys(attempt.target for attempt in group.attempts))
        wanted = [t for t in group.patched() if t in first or t not in group.passed_over]
        demand("L22", first == wanted[: len(first)], f"went to {first}, the order is {wanted}")
        for order, last, attempt in group.moments():
            if attempt is not None and attempt.call.attempt.reason == "retry":
                _fair(group, order, last, attempt)


def _fair(group: Group, order: int, last: Entry, attempt: Entry) -> None:
    possible = [o for o in group.possible(order) if o.reason == "retry"]
    gone = {one.stopped for one in group.callers}
    if len(group.callers) > 1:
        gone |= {one.done for one in group.callers}
    if not possible and not gone.isdisjoint({last.ended, attempt.opened}):
        return  # its caller left in that instant, and the others of a flight go on
    opened = group.opened(order)
    ranks = {
        o.target: (
            not group.on(o.target, order)[-1].counts,
            sum(a.target == o.target for a in opened),
            o.hinted and o.at > last.ended,
        )
        for o in possible
    }
    demand("L2", attempt.target in ranks, "an attempt not allowed")
    least = min(ranks.values(), default=None)
    mine = ranks.get(attempt.target)
    demand("L22", mine == least, f"{attempt.target} again {mine}, another had {least}")


def law_23(trace: Trace) -> None:
    """An error that another target would share leads to no further target."""
    for group in trace.groups():
        if not group.engine.known or (group.engine.fallback and group.engine.fallback.on):
            continue
        for order, last, attempt in group.moments():
            if attempt is not None:
                new = all(a.target != attempt.target for a in group.opened(order))
                error = group.error(last)
                fits = error is not None and error.elsewhere
                demand("L23", fits or not new, f"{attempt.target} asked after {error!r}")


def law_24(trace: Trace) -> None:
    """There is no wait before a target that was not asked yet, and none while there is one."""
    for group in trace.groups():
        fallback = group.engine.fallback
        if fallback is None or fallback.order == "per-target":
            continue
        place = group.call.order
        for order, last, _ in group.moments():
            new = [o for o in group.possible(order) if o.reason == "fallback"]
            waits = [w for w in group.waits if last.ended_order < place[id(w)] < order]
            demand("L24", not (new and waits), "a wait, though a target was not asked yet")


def law_25(trace: Trace) -> None:
    """Every target is asked the original request with its own patch, however late it comes."""
    for group in trace.groups():
        if group.engine.known and not (group.engine.fallback and group.engine.fallback.on):
            wanted = group.patched()
            for attempt in group.attempts:
                fits = group.asked(attempt) == wanted.get(attempt.target)
                demand("L25", fits, f"{attempt.target} was asked {attempt.request!r}")


def law_26(trace: Trace) -> None:
    """A reply is that of exactly one attempt, the last if none lost to it, and names its
    target; one that was continued is named by its beginning."""
    for call in trace.calls:
        if call.response is None:
            continue
        visits = trace.visits(call)
        won = [visit for visit in visits if not call.lost(visit)]
        ok = [visit for visit in won if visit.delivered]
        hedged = any(entry.call.attempt.reason == "hedge" for entry in call.entries)
        fits = len(ok) == 1 if hedged else ok == won[-1:]
        demand("L26", fits, f"{len(ok)} attempts gave a reply")
        named = f"{call.response.provider}:{call.response.model}"
        begun = [v for v in visits if v.told and not v.call.attempt.continues]
        names = {v.target for v in (begun if call.seams else ok)}
        demand("L26", named in names, f"the reply names {named}, not {names}")
        same = trace.rewrites or call.seams or call.response == ok[0].response
        demand("L26", same, "not the reply that its attempt gave")


def law_27(trace: Trace) -> None:
    """If a configured target would have answered in time, the call did not fail."""
    for group in trace.groups():
        raised = group.entry.error
        fallback = group.engine.fallback
        if not group.engine.known or fallback is None or not isinstance(raised, LLMError):
            continue
        if group.told_before(group.entry.ended_order):
            continue
        asked = {attempt.target for attempt in group.attempts}
        last = group.failed(group.entry.ended_order)[-1]
        error = group.error(last)
        room = group.counts(group.attempts) < group.engine.bound
        helps = error is not None and error.elsewhere and last.ended < last.deadline_at_end
        room &= not (group.engine.hedge and group.call.stopped_order < group.entry.ended_order)
        able = [t for t in group.patched() if t not in trace.world.unable]
        for target in able if helps and room else ():
            script = trace.world.scripts[target][0]
            would = script.error is None and last.ended + script.seconds < last.deadline_at_end
            known = target in asked or fallback.on
            demand("L27", known or not would, f"{target} would have answered")


LAWS: tuple[Callable[[Trace], None], ...] = (
    law_01, law_02, law_03, law_04, law_05, law_07, law_08, law_09, law_10, law_11, law_13,
    law_22, law_23, law_24, law_25, law_26, law_27,
)  # fmt: skip
