"""The laws of guards and of what rewrites text, each a function of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from llmmw._deltas import PartDelta, Restarted
from llmmw._response import Generation
from llmmw.errors import ListenerFailed, ResponseRejected, StreamInterrupted
from llmmw.policies import Guard
from llmmw.testing._calls import CallTrace, Entry
from llmmw.testing._laws import demand
from llmmw.testing._trace import Trace

__all__ = ["GUARD_LAWS"]


def _guarded(trace: Trace) -> Iterator[tuple[Guard, CallTrace, Entry, Entry]]:
    """Each guard, with a call as it came to it, and as it went on."""
    for depth, layer in enumerate(trace.stack):
        if isinstance(layer, Guard):
            for call in trace.calls:
                for entry in call.entries:
                    if entry.depth == depth and entry.children:
                        yield layer, call, entry, entry.children[-1]


def law_110(trace: Trace) -> None:
    """A guard tells nothing of an answer before it has accepted it, and then all of it."""
    for _, _, entry, inner in _guarded(trace):
        whole = [told.delta for told in inner.told]
        begins = [place for place, delta in enumerate(whole) if isinstance(delta, Restarted)]
        whole = whole[begins[-1] + 1 :] if begins else whole
        told = [one.delta for one in entry.told]
        early = any(one.begun_order < inner.ended_order for one in entry.told)
        demand("L110", not early, "told before it was accepted")
        rejected = isinstance(entry.error, ResponseRejected)
        demand("L110", not (rejected and told), "told of an answer that was rejected")
        same = all(a is b for a, b in zip(told, whole, strict=False))
        demand("L110", same and len(told) <= len(whole), "told otherwise than it came")
        missing = entry.outcome == "ok" and len(told) < len(whole)
        demand("L110", not missing, "an answer was accepted and not told")


def law_111(trace: Trace) -> None:
    """What a guard gives it accepts, and what it rejects is in the error."""
    for guard, _, entry, inner in _guarded(trace):
        given = inner.response
        if isinstance(given, Generation) and entry.outcome == "ok":
            # Not by its check, which may say something else the next time.
            looked = attrs.evolve(guard, check=None).objection(inner.call, given)
            try:
                looked.send(None)
            except StopIteration as done:
                demand("L111", done.value is None, f"accepted, though {done.value}")
            demand("L111", entry.response is given, "another answer than the one that came")
        if isinstance(entry.error, ResponseRejected) and inner.outcome == "ok":
            demand("L111", entry.error.partial is given, "rejected, and the answer is lost")


def law_112(trace: Trace) -> None:
    """What a check raises is no rejection: it ends the call, and no attempt follows."""
    for _, call, entry, inner in _guarded(trace):
        if isinstance(entry.error, ResponseRejected) and inner.outcome == "ok":
            why = entry.error.__context__
            demand("L112", why is None, f"{why!r} was taken for a rejection")
        if isinstance(entry.error, ListenerFailed) and inner.outcome == "ok":
            if trace.shares or call.lost(entry) or call.tired:
                continue
            after = [e for e in call.entries if e.opened_order > entry.ended_order]
            # What goes on beside it hears of it in the same instant, but may run first.
            after = [e for e in after if e.opened > entry.ended or not e.beside]
            demand("L112", not after, "an attempt after the check had failed")
            same = [e.error.error for e in call.entries if isinstance(e.error, ListenerFailed)]
            raised = call.outcome != "error" or any(call.error is one for one in same)
            demand("L112", raised, f"{entry.error.error!r} became {call.error!r}")


def law_113(trace: Trace) -> None:
    """What an error has of an answer begins with what the caller was told of it."""
    for call in trace.calls:
        if isinstance(call.error, StreamInterrupted) and call.told_before(1 << 60):
            told = "".join(t.delta.text for t in call.told if isinstance(t.delta, PartDelta))
            text = getattr(call.error.partial, "text", "")
            demand("L113", text.startswith(told), f"partial {text!r}, but {told!r} was told")


GUARD_LAWS: tuple[Callable[[Trace], None], ...] = (law_110, law_111, law_112, law_113)
