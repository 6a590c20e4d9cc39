"""The laws of answers that are continued, and of targets that are passed over, each a function of a
trace; and the one that compares runs that are cut everywhere with one that is not cut at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from llmmw._deltas import PartDelta, PartStart, ResponseStart
from llmmw._ledger import StreamResumed, TargetPassedOver
from llmmw._map_text import MapText
from llmmw._parts import ToolCallPart
from llmmw._request import Generate
from llmmw.errors import LLMError
from llmmw.policies import Balance, Cache, Coalesce, Guard
from llmmw.sim import Script
from llmmw.testing._calls import CallTrace, Entry, Told
from llmmw.testing._laws import demand
from llmmw.testing._trace import Trace
from llmmw.testing._world import Caller, Fault, MakeStack, World, run_world

__all__ = ["RESUME_LAWS", "law_97"]


def law_93(trace: Trace) -> None:
    """An answer that is continued is what was told and what the next attempt adds to it, with no
    character twice and none missing; a seam in the ledger stands between the two, and only who
    asked for it gets any."""
    for call in trace.calls:
        goes_on = any(entry.call.attempt.continues for entry in call.entries)
        demand("L93", call.resumes or not goes_on, "continued, though nobody asked for it")
        if call.resumes and not trace.rewrites:
            _check_sources(call, trace.visits(call))


def _check_sources(call: CallTrace, visits: list[Entry]) -> None:
    ends = [call.order[id(seam)] for seam in call.seams]
    first = _text([t for t in call.told if not ends or t.begun_order < ends[0]])
    begins = [_text(visit.told) for visit in visits if not visit.call.attempt.continues]
    fits = any(text.startswith(first) for text in begins)
    demand("L93", fits or not first, f"{first!r} was told, of {begins}")
    for seam, begin, end in zip(call.seams, ends, [*ends[1:], 1 << 60], strict=False):
        told = _told_through(call, seam)  # one outside may hold it back still
        before = _text([t for t in told if t.begun_order < begin])
        demand("L93", seam.characters == len(before), f"{seam} after {before!r}")
        after = [t for t in told if begin < t.begun_order < end]
        anew = any(isinstance(t.delta, ResponseStart) for t in after)
        demand("L93", not anew, "an answer begins in its middle")
        rest, whole = _text(after), call.outcome == "ok" and end == 1 << 60
        sources = [_fresh(before, _text(visit.told)) for visit in visits if _part_of(visit, seam)]
        fits = any(text == rest if whole else text.startswith(rest) for text in sources)
        demand("L93", fits, f"{before!r} was continued with {rest!r}, of {sources}")


def _told_through(call: CallTrace, seam: StreamResumed) -> list[Told]:
    """What the engine has told that made a seam."""
    attempts = [e for e in call.entries if e.call.attempt.number == seam.parent]
    outer = attempts[0].parent if attempts else None
    return outer.told if outer is not None else call.told


def _text(told: list[Told]) -> str:
    return "".join(t.delta.text for t in told if isinstance(t.delta, PartDelta))


def _fresh(before: str, text: str) -> str:
    """A text without the white space that was told already."""
    tail = before[len(before.rstrip()) :]
    while tail and text and tail[0] == text[0]:
        tail, text = tail[1:], text[1:]
    return text


def _part_of(visit: Entry, seam: StreamResumed) -> bool:
    entry: Entry | None = visit
    while entry is not None and entry.call.attempt.number != seam.parent:
        entry = entry.parent
    return entry is not None


def law_94(trace: Trace) -> None:
    """Nothing goes on after a piece of a tool call, nor with an answer whose form is bound, nor
    with one of several."""
    for call in trace.calls:
        for seam in call.seams:
            place = call.order[id(seam)]
            starts = [t for t in call.told if isinstance(t.delta, PartStart)]
            tools = [t for t in starts if isinstance(t.delta.part, ToolCallPart)]  # type: ignore[union-attr]
            broken = any(t.begun_order < place for t in tools)
            demand("L94", not broken, "went on after a piece of a tool call")
            asked = call.top.request
            bound = isinstance(asked, Generate) and (asked.output or (asked.n or 1) > 1)
            demand("L94", not bound, "went on with an answer whose form is bound")


def law_95(trace: Trace) -> None:
    """To go on takes an attempt like any other, within the bound and before the deadline; and
    there are no more seams in a call than are allowed, by default one."""
    most = max((engine.max_resumes for engine in trace.engines), default=0)
    for call in trace.calls:
        demand("L95", len(call.seams) <= most, f"{len(call.seams)} seams in one answer")
    for group in trace.groups():
        going = [a for a in group.attempts if a.call.attempt.continues]
        for attempt in going[:1] if not group.entry.call.attempt.continues else ():
            before = group.counts(group.opened(attempt.opened_order))
            demand("L95", before < group.engine.bound, "went on beyond the bound")
            late = attempt.opened >= attempt.deadline
            demand("L95", not late, "went on after the deadline")


def law_96(trace: Trace) -> None:
    """Of an attempt that breaks off within what is held back, its caller has heard nothing."""
    for group in trace.groups():
        most = group.engine.hold_back
        # Several attempts may share a flight, and then are told the same.
        for attempt in group.attempts if most and not trace.shares else ():
            ids = {id(t.delta) for t in attempt.told}
            heard = [t for t in group.entry.told if id(t.delta) in ids]
            content = [t.begun_order for t in attempt.told if t.content]
            free = content[most] if len(content) > most else attempt.ended_order
            whole = attempt.outcome == "ok" or len(content) > most
            early = bool(heard) and (not whole or heard[0].begun_order < free)
            demand("L96", not early, f"told after {len(content)} pieces, {most} are held back")


def law_114(trace: Trace) -> None:
    """A target that can't serve a call is asked by nobody who might ask another, none goes on with
    an answer that can't, and the ledger says who was passed over, and why."""
    world = trace.world
    for group in trace.groups():
        for attempt in group.attempts[1:]:
            new = attempt.target != group.attempts[0].target
            demand("L114", not new or attempt.target not in world.unable, f"{attempt.target} asked")
            going = attempt.call.attempt.continues
            can = not going or attempt.target in world.prefill
            demand("L114", can, f"{attempt.target} can't go on, and was asked to")
        if group.engine.known and isinstance(group.entry.error, LLMError):
            possible = group.possible(group.entry.ended_order, unable=True)
            silent = {o.target for o in possible if o.reason == "fallback"} - group.passed_over
            demand("L114", not silent, f"{silent} passed over, and the ledger does not say it")
    for call, entry in _balanced(trace):
        for visit in entry.children:
            demand("L114", visit.target not in world.unable, f"{visit.target} was chosen")
        none = not entry.children and entry.outcome == "ok"
        demand("L114", not none, "an answer of nobody")
        for event in call.events:
            if isinstance(event, TargetPassedOver):
                real = event.target in world.unable or event.target not in world.prefill
                demand("L114", real, f"{event}, though it can serve")


def _balanced(trace: Trace) -> Iterator[tuple[CallTrace, Entry]]:
    """The calls that came to a balancer that has a choice for them."""
    for call in trace.calls:
        for entry in call.entries:
            layer = trace.stack[entry.depth] if entry.depth < trace.bottom else None
            if isinstance(layer, Balance) and entry.target in layer.statistics():
                yield call, entry


_WORDS = "a  b\n c"


def law_97(world: World, make_stack: MakeStack) -> bool:
    """Over targets that go on by what they were asked and what is there, an answer that was
    continued is the one that would have come uncut, wherever it is cut."""
    stack = make_stack()
    if any(isinstance(layer, (Cache, Coalesce, Guard, MapText)) for layer in stack):
        return False  # what is told below is not what the caller hears
    whole, resumed = Script(pieces=_WORDS), False
    targets = tuple(world.scripts)
    caller = Caller(mode="stream", on_interrupt="resume")
    for place in range(1, len(_WORDS) + 1):
        cut = Script(pieces=tuple(_WORDS[:place]), error=Fault("cut"))
        scripts = dict.fromkeys(targets, (whole,)) | {targets[0]: (cut, whole)}
        changes: dict[str, Any] = {"scripts": scripts, "callers": (caller,), "prefill": targets}
        (call,) = run_world(attrs.evolve(world, unable=(), **changes), make_stack).calls
        resumed |= bool(call.seams)
        told = _text(call.told)
        demand("L97", _WORDS.startswith(told), f"cut after {place}: {told!r} was told")
        if call.response is not None:
            demand("L97", call.response.text == _WORDS, f"cut after {place}: {call.response}")
        demand("L97", call.response or not call.seams, f"cut after {place}: {call.error!r}")
    return resumed


RESUME_LAWS: tuple[Callable[[Trace], None], ...] = (law_93, law_94, law_95, law_96, law_114)
