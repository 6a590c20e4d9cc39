"""What happened to one call: what passed each place of the stack, and what was told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, TypeAlias

import attrs

from llmmw._call import FIRM, Call
from llmmw._deltas import Delta, PartDelta, PartEnd, Restarted
from llmmw._ledger import AttemptEnded, Event, StreamResumed
from llmmw._request import Request
from llmmw._response import Generation, Response
from llmmw.errors import CallShed

__all__ = ["CallTrace", "Entry", "Told"]

Outcome: TypeAlias = Literal["ok", "error", "cancelled", "left"]


@attrs.define(eq=False)
class Told:
    """A delta told to a listener: when it began to hear, and when it had heard."""

    delta: Delta
    begun: float
    begun_order: int
    heard: float = math.inf
    """Infinite if the listener was cut off."""
    over: float = math.inf
    over_order: int = 1 << 60

    @property
    def content(self) -> bool:
        """Whether the answer has something of it."""
        whole = isinstance(self.delta, PartEnd)
        return whole or (isinstance(self.delta, PartDelta) and self.delta.content)


@attrs.define(eq=False)
class Entry:
    """A call that passes one place of the stack on its way down; 0 is the top."""

    depth: int
    call: Call
    opened: float
    opened_order: int
    deadline: float
    """The effective deadline when it came by."""
    parent: Entry | None = None
    children: list[Entry] = attrs.field(factory=list)
    told: list[Told] = attrs.field(factory=list)
    """What was told through this place, if anybody listened."""
    ended: float = math.inf
    ended_order: int = 1 << 60
    deadline_at_end: float = math.inf
    outcome: Literal["ok", "error", "cancelled", "alive"] = "alive"
    response: Response | None = None
    error: BaseException | None = None
    cause: BaseException | None = None
    """The cause of its error when that came by."""

    @property
    def target(self) -> str:
        """Where it goes."""
        return self.call.request.model

    @property
    def request(self) -> Request:
        """What it asks."""
        return self.call.request

    @property
    def counts(self) -> bool:
        """Whether it takes a place in the bound."""
        return not isinstance(self.error, CallShed)

    @property
    def delivered(self) -> bool:
        """Whether its response went up all the way: no guard rejected it, nothing cut it off."""
        entry: Entry | None = self
        while entry is not None and entry.outcome == "ok":
            entry = entry.parent
        return entry is None

    @property
    def attempt(self) -> Entry:
        """The attempt that this is a part of, as it began."""
        entry, number = self, self.call.attempt.number
        while entry.parent is not None and entry.parent.call.attempt.number == number:
            entry = entry.parent
        return entry

    @property
    def beside(self) -> bool:
        """Whether it is, or is a part of, a hedge."""
        entry: Entry | None = self
        while entry is not None and entry.call.attempt.reason != "hedge":
            entry = entry.parent
        return entry is not None

    def below(self) -> Iterator[Entry]:
        """This entry and all inside it."""
        yield self
        for child in self.children:
            yield from child.below()


@attrs.define(eq=False, slots=False)
class CallTrace:
    """One caller and what became of its call."""

    index: int
    caller: Any
    order: dict[int, int]
    """The place of each event (by identity) in the order of everything."""
    arrived: float = 0.0
    deadline: float = math.inf
    """When the caller's own scope ends, where it said so beforehand."""
    stopped: float = math.inf
    """When the caller was cancelled by hand, left, or raised."""
    stopped_order: int = 1 << 60
    tired: bool = False
    """It raised over a delta."""
    done: float = math.inf
    done_order: int = 1 << 60
    outcome: Outcome = "cancelled"
    response: Generation | None = None
    error: Exception | None = None
    by: Entry | None = None
    """Where a policy has made it by itself."""
    heard: list[tuple[float, Delta]] = attrs.field(factory=list)
    """What the caller itself has heard or read."""
    entries: list[Entry] = attrs.field(factory=list)
    live_at_end: int = 0
    """How many of its attempts the provider still had when the call was over."""

    @property
    def top(self) -> Entry:
        """The call as it came to the stack."""
        return self.entries[0]

    @property
    def events(self) -> list[Event]:
        """What its ledger says."""
        return self.entries[0].call.ledger.events if self.entries else []

    @cached_property
    def superseded(self) -> set[int]:
        """The numbers of the attempts that lost to another, if the call is over."""
        ends = (e for e in self.events if isinstance(e, AttemptEnded))
        return {e.number for e in ends if e.outcome == "Superseded"}

    def lost(self, entry: Entry | None) -> bool:
        """Whether it is, or is a part of, an attempt that lost to another."""
        return self.loser(entry) is not None

    def loser(self, entry: Entry | None) -> Entry | None:
        """The attempt that lost to another and that this is, or is a part of."""
        found = None
        while entry is not None:
            if entry.call.attempt.number in self.superseded:
                found = entry
            entry = entry.parent
        return found

    @property
    def listens(self) -> bool:
        """Whether the caller hears deltas."""
        return bool(self.caller.mode != "ask")

    @property
    def told(self) -> list[Told]:
        """What the stack told its caller."""
        return self.top.told

    def told_before(self, order: int) -> bool:
        """Whether the caller had heard something of an answer and will not hear another."""
        firm = self.listens and self.caller.on_interrupt in FIRM
        return firm and any(t.begun_order < order for t in self.told)

    @property
    def resumes(self) -> bool:
        """Whether the caller hears deltas and wants an answer that breaks off to be continued."""
        return self.listens and bool(self.caller.on_interrupt == "resume")

    @property
    def seams(self) -> list[StreamResumed]:
        """Where its answer was continued."""
        return [event for event in self.events if isinstance(event, StreamResumed)]

    def since_restart(self) -> list[Told]:
        """What counts of what was told: all after the last `Restarted`."""
        told = self.told
        starts = [i for i, t in enumerate(told) if isinstance(t.delta, Restarted)]
        return told[starts[-1] + 1 :] if starts else told
