"""Calls that nobody made: what policies ask by themselves, with a ledger of its own."""

from __future__ import annotations

import math

import attrs
import trio

from llmmw._call import Call
from llmmw._response import Generation
from llmmw.testing._calls import CallTrace, Entry

__all__ = ["Unasked"]


@attrs.define(eq=False)
class Unasked:
    """Finds the trace that something which passes a place of the stack belongs to."""

    calls: list[CallTrace] = attrs.field(factory=list, init=False)
    """The calls that policies have made to have an answer anew."""

    @property
    def live(self) -> int:
        """How many of them go on."""
        return sum(call.done == math.inf for call in self.calls)

    def trace_of(self, call: Call, known: CallTrace, by: Entry | None) -> CallTrace:
        """That of the caller whose call it is, or of a call that a policy made in its stead."""
        for one in (known, *self.calls):
            if not one.entries or one.top.call.ledger is call.ledger:
                return one
        caller = attrs.evolve(
            known.caller,
            mode="ask",
            asks=known.caller.asks or str(known.index),
            patience=1000.0,
            by_hand=False,
        )
        deadline = trio.current_effective_deadline()
        made = CallTrace(known.index, caller, known.order, trio.current_time(), deadline)
        made.by = by
        self.calls.append(made)
        return made

    def note(self, trace: CallTrace, entry: Entry) -> None:
        """What became of a call that nobody made, if this was all of it."""
        if trace not in self.calls or trace.top is not entry:
            return
        trace.done, trace.done_order = entry.ended, entry.ended_order
        if entry.outcome == "cancelled" and trace.deadline > entry.ended:  # its host has closed
            trace.stopped, trace.stopped_order = entry.ended, entry.ended_order
        elif isinstance(entry.error, Exception):
            trace.outcome, trace.error = "error", entry.error
        elif isinstance(entry.response, Generation):
            trace.outcome, trace.response = "ok", entry.response
