"""The pure core of rate limits: buckets that are taken from together, and the line before them.

All amounts are seconds: what a bucket gets in a second is a second. A bucket is told by the
instant at which it is full; what is taken moves that instant on, and what is given back moves it
back. (The generic cell rate algorithm; nothing has to be filled up, and nothing drifts.)

What is foreseen for the line is exact when it decides: who is shed, and when the first starts. In
between a bound is kept for the last in line, since to foresee them all at every end would cost
more the longer the line is.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
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
    """When it may start, as things stand; of one in the middle of the line, as they once stood."""
    state: Literal["waiting", "started", "shed", "left", "settled"] = "waiting"
    rank: tuple[float, int] = (0.0, 0)
    deadline: float = math.inf
    wake: Callable[[], object] = _nobody
    """Called when it is the first in line and its `due` may have changed, or when it is shed."""
    granted: bool = False
    """Whether it was taken for where buckets are shared."""


def _rank(ticket: Ticket) -> tuple[float, int]:
    return ticket.rank


@attrs.define(eq=False)
class Account:
    """The buckets of one account, each with room for `burst` seconds.

    An attempt that takes more than a bucket has room for starts when the bucket is full, and
    those after it wait until that is made up for. So for every bucket and every span of time:
    taken ≤ the span + the burst, or what the last attempt took where that is more.

    Where the clock runs backwards, which is the clock of another run, nothing of before counts.
    """

    rates: Mapping[str, float]
    """What comes into each bucket in a second, by its name."""
    burst: float
    bound: int
    """How many may wait."""
    shared: bool = False
    """Whether others take of the same buckets: nothing starts at once then, but when it is
    granted, or when there is nobody to ask."""
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
    _latest: float = attrs.field(default=-math.inf, init=False)
    _tail: tuple[float, list[float]] = attrs.field(default=(-math.inf, []), init=False)
    """When the last in line starts at the latest, and what the buckets are then."""
    _exact: bool = attrs.field(default=False, init=False)
    """Whether it starts just then."""
    _slack: float = attrs.field(default=math.inf, init=False)
    """All in line could start so much later, and would not be too late."""

    def __attrs_post_init__(self) -> None:
        self.charged = [0.0] * len(self.rates)
        self.full = [-math.inf] * len(self.rates)

    def take(self, costs: Costs, now: float) -> Ticket | None:
        """Take of all buckets at once, or of none, if that is not possible at once."""
        self._begin(now)
        if self.queue or self._earliest(costs, self.full) > now:
            return None
        self._charge(costs, now)
        return Ticket(costs, now, "started")

    def _begin(self, now: float) -> None:
        if now < self._latest:
            self.frozen, self.full = -math.inf, [-math.inf] * len(self.full)
        self._latest = now

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
        if not self.queue:
            self._begin(now)
            self._tail, self._exact, self._slack = (now, self.full), True, math.inf
        if not self.queue or self.queue[-1].rank < ticket.rank:
            self._append(ticket, now)
        else:
            insort(self.queue, ticket, key=_rank)
            self._review(now)
        if not self.shared:
            self.start(ticket, now)
        return ticket

    def start(self, ticket: Ticket, now: float, *, granted: bool = False) -> bool:
        """Take for the first in line, if it is due; where it was granted, for anyone in it."""
        if ticket.state != "waiting" or not (granted or self._is_due(ticket, now)):
            return False
        del self.queue[bisect_left(self.queue, ticket.rank, key=_rank)]
        ticket.state = "started"
        self._charge(ticket.costs, now)
        self._moved(now - ticket.due, now)
        return True

    def _is_due(self, ticket: Ticket, now: float) -> bool:
        return self.queue[0] is ticket and now >= ticket.due

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give up waiting; nothing was taken for it."""
        self._latest = now
        if ticket.state == "waiting":
            ticket.state = "left"
            del self.queue[bisect_left(self.queue, ticket.rank, key=_rank)]
            self._moved(0.0, now)

    def settle(self, ticket: Ticket, spent: Sequence[float | None], now: float) -> None:
        """Put what was really spent in place of what was taken; `None` leaves it. Once only."""
        if ticket.state != "started":
            return
        ticket.state = "settled"
        self._latest = now
        self.in_flight -= 1
        if spent == ticket.costs:
            return
        most = 0.0
        for place, (cost, real) in enumerate(zip(ticket.costs, spent, strict=True)):
            if real is not None and real != cost:
                more = real - cost
                full = self.full[place]
                self.full[place] = (full if more < 0 else max(full, now)) + more
                self.charged[place] += more
                most = max(most, more)
        self._moved(most, now)

    def lower(self, place: int, left: float, told: float, now: float) -> None:
        """Learn that a bucket had no more than `left` seconds' worth when it was `told`."""
        before, full = self.full[place], told + self.burst - left
        if full > before:
            self.full[place] = full
            self._moved(max(full - max(before, now), 0.0), now)

    def freeze(self, until: float, now: float) -> None:
        """Let nothing start before `until`."""
        if until > self.frozen:
            self.frozen = until
            self._moved(max(until - self.queue[0].due, 0.0) if self.queue else 0.0, now)

    def mirror(self, full: Sequence[float], frozen: float, now: float) -> None:
        """Learn how full the buckets are, of which others take, too."""
        later = max(frozen - max(self.frozen, now), 0.0)
        for before, instant in zip(self.full, full, strict=True):
            later = max(later, instant - max(before, now))
        self.frozen, self.full, self._latest = frozen, [*full], now
        self._moved(later, now)

    def at_rest(self, now: float) -> bool:
        """Whether nothing would be lost by making it anew."""
        if self.queue or self.in_flight:
            return False
        return now < self._latest or max(self.frozen, *self.full) <= now

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
                if ready > at:
                    at = ready
        return at

    def _charge(self, costs: Costs, now: float) -> None:
        self.in_flight += 1
        full, charged = self.full, self.charged
        for place, cost in enumerate(costs):
            if cost > 0.0:
                full[place] = max(full[place], now) + cost
                charged[place] += cost

    def _append(self, ticket: Ticket, now: float) -> None:
        """Put a ticket behind all others, or shed it."""
        tail = self._foresee(ticket, max(self._tail[0], now), self._tail[1])
        crowded = len(self.queue) >= self.bound
        if ticket.state == "shed" and not self._exact and not crowded:
            self._review(now)
            ticket.state = "waiting"
            tail = self._foresee(ticket, max(self._tail[0], now), self._tail[1])
        if crowded:
            ticket.state = "shed"
        elif ticket.state == "waiting":
            self.queue.append(ticket)
            self._tail = tail
            self._slack = min(self._slack, ticket.deadline - ticket.due)

    def _moved(self, later: float, now: float) -> None:
        """Something has changed: all in line start earlier, or at most so much later."""
        if not self.queue:
            return
        self._exact = False
        if later > 0.0:
            at, full = self._tail
            self._tail = at + later, [one + later for one in full]
            self._slack -= later
        if self._slack <= 0.0:
            self._review(now)
        else:
            head = self.queue[0]
            head.due = max(now, self._earliest(head.costs, self.full))
            head.wake()

    def _foresee(self, ticket: Ticket, at: float, full: list[float]) -> tuple[float, list[float]]:
        """When a ticket starts whose forerunner starts at `at`; shed it if that is too late."""
        ticket.due = max(at, self._earliest(ticket.costs, full))
        if ticket.due >= ticket.deadline:
            ticket.state = "shed"
            return at, full
        return ticket.due, _taken(full, ticket.costs, ticket.due)

    def _review(self, now: float) -> None:
        """Foresee anew when each in line starts, and shed those for whom it is too late."""
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
        self._tail, self._exact = (at, full), True
        self._slack = min((one.deadline - one.due for one in kept), default=math.inf)
        if kept:
            kept[0].wake()


def _taken(full: Sequence[float], costs: Costs, now: float) -> list[float]:
    return [max(f, now) + c if c > 0.0 else f for f, c in zip(full, costs, strict=True)]
