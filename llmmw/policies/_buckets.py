"""The pure core of rate limits: buckets that are taken from together, and the line before them.

All amounts are seconds: what a bucket gets in a second is a second. A bucket is told by the
instant at which it is full; what is taken moves that instant on, and what is given back moves it
back. (The generic cell rate algorithm; nothing has to be filled up, and nothing drifts.)
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs

__all__ = ["Account", "Costs", "Ticket"]

Costs: TypeAlias = Sequence[float]
"""How much is taken of each bucket, in seconds, each finite and 0 or more."""


def _nobody() -> None:
    pass


@attrs.define(eq=False)
class Ticket:
    """An attempt that has taken of the buckets, or waits for it."""

    costs: Costs
    due: float
    """When it may start, as things stand."""
    state: Literal["waiting", "started", "shed", "left", "settled"] = "waiting"
    rank: tuple[float, int] = (0.0, 0)
    deadline: float = math.inf
    wake: Callable[[], object] = _nobody
    """Called when it is the first in line and its `due` may have changed, or when it is shed."""


@attrs.define(eq=False)
class Account:
    """The buckets of one account, each with room for `burst` seconds.

    An attempt that takes more than a bucket has room for starts when the bucket is full, and
    those after it wait until that is made up for. So for every bucket and every span of time:
    taken ≤ the span + the burst, or what the last attempt took where that is more.
    """

    rates: Mapping[str, float]
    """What comes into each bucket in a second, by its name."""
    burst: float
    bound: int
    """How many may wait."""
    frozen: float = attrs.field(default=-math.inf, init=False)
    """Nothing starts before."""
    queue: list[Ticket] = attrs.field(factory=list, init=False)
    in_flight: int = attrs.field(default=0, init=False)
    """How many have started and are not settled."""
    charged: list[float] = attrs.field(init=False)
    """What was taken of each bucket so far, less what was given back."""
    full: list[float] = attrs.field(init=False)
    """When each bucket is full."""
    _entered: int = attrs.field(default=0, init=False)
    _tail: tuple[float, list[float]] | None = attrs.field(default=None, init=False)
    """When the last in line starts, and what the buckets are then, if anybody waits."""

    def __attrs_post_init__(self) -> None:
        self.charged = [0.0] * len(self.rates)
        self.full = [-math.inf] * len(self.rates)

    def take(self, costs: Costs, now: float) -> Ticket | None:
        """Take of all buckets at once, or of none, if that is not possible at once."""
        if self.queue or self._earliest(costs, self.full) > now:
            return None
        ticket = Ticket(costs, now, "started")
        self._charge(costs, now)
        return ticket

    def enter(
        self,
        costs: Costs,
        now: float,
        *,
        priority: float = 0.0,
        deadline: float = math.inf,
        wake: Callable[[], object] = _nobody,
    ) -> Ticket:
        """Stand in line, behind all of the same or a higher priority.

        Returns:
            A ticket that waits, has started, or is shed: it can't start before its deadline, or
            too many wait. Others may be shed for it.
        """
        self._entered += 1
        ticket = Ticket(costs, now, "waiting", (-priority, self._entered), deadline, wake)
        insort(self.queue, ticket, key=lambda one: one.rank)
        if self._tail is not None and self.queue[-1] is ticket and len(self.queue) <= self.bound:
            at, full = self._tail
            self._tail = self._foresee(ticket, max(at, now), full)
            if ticket.state == "shed":
                self.queue.pop()
        else:
            self._review(now)
        self.start(ticket, now)
        return ticket

    def start(self, ticket: Ticket, now: float) -> bool:
        """Take for the first in line, if it is due."""
        if not self.queue or self.queue[0] is not ticket or now < ticket.due:
            return False
        self.queue.pop(0)
        ticket.state = "started"
        self._charge(ticket.costs, now)
        if self.queue:
            head = self.queue[0]
            head.due = max(now, self._earliest(head.costs, self.full))
            head.wake()
        else:
            self._tail = None
        return True

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give up waiting; nothing was taken for it."""
        if ticket.state == "waiting":
            ticket.state = "left"
            self.queue.remove(ticket)
            self._review(now)

    def settle(self, ticket: Ticket, spent: Sequence[float | None], now: float) -> None:
        """Put what was really spent in place of what was taken; `None` leaves it. Once only."""
        if ticket.state != "started":
            return
        ticket.state = "settled"
        self.in_flight -= 1
        for place, (cost, real) in enumerate(zip(ticket.costs, spent, strict=True)):
            if real is None or real == cost:
                continue
            full = self.full[place]
            self.full[place] = (full if real < cost else max(full, now)) + (real - cost)
            self.charged[place] += real - cost
        self._review(now)

    def lower(self, place: int, left: float, now: float) -> None:
        """Learn that a bucket has no more than `left` seconds' worth."""
        full = now + self.burst - left
        if full > self.full[place]:
            self.full[place] = full
            self._review(now)

    def freeze(self, until: float, now: float) -> None:
        """Let nothing start before `until`."""
        if until > self.frozen:
            self.frozen = until
            self._review(now)

    def at_rest(self, now: float) -> bool:
        """Whether nothing would be lost by making it anew."""
        return not (self.queue or self.in_flight or max(self.frozen, *self.full) > now)

    def statistics(self) -> dict[str, Any]:
        """Who is there, and what was charged so far, in the units of the limits."""
        seconds = zip(self.rates.items(), self.charged, strict=True)
        charged = {name: rate * taken for (name, rate), taken in seconds}
        return {"in_flight": self.in_flight, "waiting": len(self.queue), "charged": charged}

    def _earliest(self, costs: Costs, full: Sequence[float]) -> float:
        """When so much is there of each bucket; of one that nothing is taken of, it is now."""
        at, burst = self.frozen, self.burst
        for cost, instant in zip(costs, full, strict=True):
            if cost > 0.0:
                ready = instant - burst + cost if cost < burst else instant
                at = max(at, ready)
        return at

    def _charge(self, costs: Costs, now: float) -> None:
        self.in_flight += 1
        self.full = _taken(self.full, costs, now)
        for place, cost in enumerate(costs):
            self.charged[place] += cost

    def _foresee(self, ticket: Ticket, at: float, full: list[float]) -> tuple[float, list[float]]:
        """When a ticket starts whose forerunner starts at `at`; shed it if that is too late."""
        ticket.due = max(at, self._earliest(ticket.costs, full))
        if ticket.due >= ticket.deadline:
            ticket.state = "shed"
            return at, full
        return ticket.due, _taken(full, ticket.costs, ticket.due)

    def _review(self, now: float) -> None:
        """Foresee anew when each in line starts, and shed those for whom it is too late."""
        if not self.queue:
            self._tail = None
            return
        at, full = now, self.full
        kept: list[Ticket] = []
        for ticket in self.queue:
            if len(kept) >= self.bound:
                ticket.due = max(at, self._earliest(ticket.costs, full))
                ticket.state = "shed"
            else:
                at, full = self._foresee(ticket, at, full)
            if ticket.state == "shed":
                ticket.wake()
            else:
                kept.append(ticket)
        self.queue = kept
        self._tail = (at, full) if kept else None
        if kept:
            kept[0].wake()


def _taken(full: Sequence[float], costs: Costs, now: float) -> list[float]:
    return [max(f, now) + c if c > 0.0 else f for f, c in zip(full, costs, strict=True)]
