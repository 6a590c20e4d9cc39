"""The laws of streams, and those that the design added, each a function of a trace."""

from __future__ import annotations

from collections.abc import Callable

from llmmw._deltas import Fold, PartDelta, ResponseStart, Restarted
from llmmw._ledger import AttemptEnded, AttemptStarted, CallEnded, CallStarted
from llmmw.errors import ListenerFailed, LLMError
from llmmw.testing._laws import demand
from llmmw.testing._trace import Trace
from llmmw.testing._world import Tired

__all__ = ["STREAM_LAWS"]


def law_77(trace: Trace) -> None:
    """What was told since the last `Restarted` is the reply, exactly, and comes of one attempt, if
    it was not continued (L93)."""
    for call in trace.calls:
        told = [t.delta for t in call.since_restart()]
        tellers = [v for v in trace.visits(call) if v.told]
        heard = {id(d) for d in told}
        sources = [v for v in tellers if any(id(t.delta) in heard for t in v.told)]
        demand("L77", len(sources) <= 1, "what was told comes of several attempts")
        if sources and not trace.rewrites and not call.seams:
            whole = [t.delta for t in sources[0].told]
            prefix = all(a is b for a, b in zip(told, whole, strict=False))
            demand("L77", prefix and len(told) <= len(whole), "told with a gap or out of order")
        if call.outcome == "ok" and call.listens and call.response is not None:
            text = "".join(d.text for d in told if isinstance(d, PartDelta))
            demand("L77", text == call.response.text, f"told {text!r}, not {call.response.text!r}")


def law_78(trace: Trace) -> None:
    """Nothing is told after the end, nor by an attempt that is over."""
    for call in trace.calls:
        for entry in call.entries:
            for told in entry.told:
                over = told.begun_order > entry.ended_order or told.begun_order > call.done_order
                demand("L78", not over, "told after the end")


def law_79(trace: Trace) -> None:
    """Deltas are told one after the other."""
    for call in trace.calls:
        for entry in call.entries:
            for before, after in zip(entry.told, entry.told[1:], strict=False):
                demand("L79", before.over_order < after.begun_order, "two deltas at once")


def law_80(trace: Trace) -> None:
    """While the caller's listener is busy, nothing is read from the provider, but for a flight
    that others share, which keeps what is told, and attempts that go on beside the winner."""
    kept = any(engine.hedge and engine.hedge.cancel_after for engine in trace.engines)
    for call in () if trace.shares or kept else trace.calls:
        if call.caller.mode != "listen" or len(trace.calls) > 1:
            continue
        for told in call.told:
            reads = [s for s in trace.seen if s.what == "read" and told.begun < s.time < told.over]
            demand("L80", not reads, "read on while the listener was busy")


def law_81(trace: Trace) -> None:
    """A caller that leaves cancels its attempt; no attempt outlives its call."""
    for call in trace.calls:
        demand("L81", call.live_at_end == 0, "an attempt outlives its call")
        if call.outcome == "left" or isinstance(call.error, Tired):
            demand("L81", call.done == call.stopped, "leaving took time")
    demand("L81", trace.live == 0, "a connection is open")
    opened = sum(seen.what == "opened" for seen in trace.seen)
    ended = sum(seen.what == "ended" for seen in trace.seen)
    demand("L81", opened == ended, "an attempt without an end")


def law_82(trace: Trace) -> None:
    """A stream that stops before its end is no reply."""
    for call in trace.calls:
        if call.response is not None:
            whole = any(visit.outcome == "ok" for visit in trace.visits(call))
            demand("L82", whole, "a reply, though no attempt was complete")
            demand("L82", call.response.finish is not None, "a reply without its end")


def law_83(trace: Trace) -> None:
    """Tokens are counted once: those of the attempt that won."""
    for call in trace.calls:
        ends = [e for e in call.events if isinstance(e, CallEnded)]
        demand("L83", len(ends) == 1, f"{len(ends)} ends of one call")
        lost = {e.call.attempt.number for e in call.entries if call.lost(e)}
        ends_ok = [e for e in call.events if isinstance(e, AttemptEnded) and e.outcome == "ok"]
        wins = [e for e in ends_ok if e.number not in lost]
        if call.response is not None and call.response.usage is not None:
            wanted = call.response.usage.output_tokens
            ok = [v for v in trace.visits(call) if v.delivered and not call.lost(v)]
            real = getattr(ok[0].response, "usage", None)
            demand("L83", real is not None and real.output_tokens == wanted, "other usage")
            counts = {e.output_tokens for e in wins} | {e.output_tokens for e in ends}
            demand("L83", counts == {wanted}, f"counted {counts}, not {wanted}")


def law_85(trace: Trace) -> None:
    """When the client has closed, no task is left; before, none but its providers'."""
    demand("L85", trace.tasks == 0, f"{trace.tasks} tasks are left")
    demand("L85", trace.background == 0, f"{trace.background} tasks run on after all calls")


def law_88(trace: Trace) -> None:
    """Each attempt that started has one end, within its call, and is one that was made."""
    for call in trace.calls:
        events = call.events
        begun = [e.number for e in events if isinstance(e, AttemptStarted)]
        ended = [e.number for e in events if isinstance(e, AttemptEnded)]
        demand("L88", sorted(begun) == sorted(ended), f"started {begun}, ended {ended}")
        demand("L88", len(set(begun)) == len(begun), "two attempts of one number")
        inside = isinstance(events[0], CallStarted) and isinstance(events[-1], CallEnded)
        demand("L88", inside, "events outside of their call")
    for group in trace.groups():
        for attempt in group.attempts:
            number = attempt.call.attempt.number
            ends = [e for e in group.call.events if isinstance(e, AttemptEnded)]
            said = [e.outcome for e in ends if e.number == number]
            real = {"ok" if attempt.error is None else type(attempt.error).__name__}
            if real == {"ok"} and group.entry.outcome != "ok":  # what it held back was cut
                real = {type(group.entry.error).__name__}
                # Beside others, it may be another that failed, or have told it all before that.
                real |= {"ok", "Cancelled"} if group.engine.hedge else set()
            real = {"Superseded"} if group.lost(attempt) else real
            fits = len(said) == 1 and said[0] in real
            demand("L88", fits, f"the ledger says {said}, the attempt ended {real}")


def law_98(trace: Trace) -> None:
    """An error of the stack is what the caller gets: no clean end in its place, no other one."""
    for call in trace.calls:
        top = call.top
        if top.outcome == "error" and call.outcome not in {"left", "cancelled"}:
            demand("L98", call.outcome != "ok", f"{top.error!r} became a clean end")
            listener = isinstance(top.error, ListenerFailed)
            own = isinstance(call.error, Tired) and not listener  # of the loop, not the listener
            wanted = top.cause if listener else top.error
            demand("L98", own or call.error is wanted, f"{wanted!r} became {call.error!r}")
            kept = own or listener or call.error.__cause__ is top.cause  # type: ignore[union-attr]
            demand("L98", kept, "the cause of the error was lost")
        if top.outcome == "ok" and call.outcome == "error":
            tired = isinstance(call.error, Tired)
            demand("L98", tired, f"a complete reply became {call.error!r}")


def law_99(trace: Trace) -> None:
    """A stream ends without an error only with its response, which is the fold of its deltas."""
    for call in trace.calls:
        if call.outcome != "ok":
            continue
        demand("L99", call.response is not None, "an end without a response")
        assert call.response is not None
        if call.listens:
            fold = Fold()
            for _, delta in call.heard:
                fold(delta)
            finish, usage = call.response.finish, call.response.usage
            folded = fold.response(finish=finish, usage=usage)
            demand("L99", folded == call.response, f"{folded!r} is not {call.response!r}")


def law_100(trace: Trace) -> None:
    """One plain error leaves, with all attempts' errors in order."""
    for call in trace.calls:
        for entry in call.entries:
            grouped = isinstance(entry.error, BaseExceptionGroup)
            demand("L100", not grouped, f"a group left layer {entry.depth}")
        demand("L100", not isinstance(call.error, BaseExceptionGroup), "a group left the client")
    for group in trace.groups():
        raised = group.entry.error
        if not isinstance(raised, LLMError):
            continue
        wanted: list[BaseException] = []
        for attempt in (a for a in group.attempts if group.error(a) or len(group.attempts) == 1):
            nested = getattr(attempt.error, "attempts", ()) if attempt.error is not raised else ()
            wanted.extend(nested or [attempt.error])
        if len(wanted) > 1 and all(not getattr(e, "attempts", ()) for e in wanted):
            fits = list(map(id, raised.attempts)) == list(map(id, wanted))
            demand("L100", fits, f"attempts {raised.attempts!r}, not {wanted!r}")


def law_105(trace: Trace) -> None:
    """What a listener raises ends its call and reaches the caller as itself."""
    for call in trace.calls:
        if not call.tired:
            continue
        demand("L105", isinstance(call.error, Tired), f"became {call.error!r}")
        late = [e for e in call.entries if e.opened_order > call.stopped_order]
        # What was started beside the attempt that was heard may just begin when that one unwinds.
        late = [e for e in late if e.opened > call.stopped or not e.beside]
        demand("L105", not late, "an attempt after the listener had failed")


def law_107(trace: Trace) -> None:
    """With nobody listening nothing was ever told, so a cut is an error like any other: with
    L9, it is retried. Nor does anybody hear `Restarted` who did not ask for it."""
    for call in trace.calls:
        if call.caller.mode == "ask":
            broke = getattr(call.error, "__cause__", None)
            demand("L107", broke is None, f"a silent call was taken for told: {call.error!r}")
        elif call.caller.on_interrupt != "restart":
            restarts = [d for _, d in call.heard if isinstance(d, Restarted)]
            demand("L107", not restarts, "Restarted was told to a caller that did not agree")
        greeted = False
        for told in call.told:
            again = greeted and isinstance(told.delta, ResponseStart) and not trace.world.greets
            demand("L107", not again, "an answer began twice without Restarted")
            greeted = not isinstance(told.delta, Restarted) and (
                greeted or isinstance(told.delta, ResponseStart)
            )


STREAM_LAWS: tuple[Callable[[Trace], None], ...] = (
    law_77, law_78, law_79, law_80, law_81, law_82, law_83, law_85, law_88, law_98, law_99,
    law_100, law_105, law_107,
)  # fmt: skip
