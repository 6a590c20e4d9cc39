"""Which of several targets is asked, by what became of those asked before. Pure: it is told the
time, and given its chances."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TypeAlias

import attrs

__all__ = ["Choice", "Chooser", "Estimate", "Member", "Visit", "Why"]

Why: TypeAlias = Literal["cost", "share", "unused", "only", "excluded"]
"""`cost`: no more than that of the other; `share`: its turn by weight; `unused`: for a long time,
or ever; `only`: no other is fit; `excluded`: none is fit, and it is so first."""

_RARE = 20
"""Of so many calls, one may go to a target only because it was not used for long."""
_MEMORY = 16
"""The mean is one of so many samples."""


@attrs.define(eq=False)
class Estimate:
    """Seconds to the first content: a mean, and over it the last peak, which fades."""

    decay: float
    mean: float | None = None
    least: float = 0.0
    """What it may not be less than, while there is no mean."""
    _peak: float = 0.0
    _at: float = 0.0
    _count: int = 0

    def value(self, now: float) -> float | None:
        """What to expect, or `None` while nothing is known."""
        if self.mean is None:
            return None
        age = now - self._at
        fade = math.exp(-age / self.decay) if age >= 0 else 0.0  # earlier: it is another clock
        return self.mean + (self._peak - self.mean) * fade

    @property
    def known(self) -> float:
        """The mean; where there is none, what it may not be less than."""
        return self.least if self.mean is None else self.mean

    def add(self, seconds: float, now: float) -> None:
        """The first content came after so long."""
        before = self.value(now)
        self._peak = seconds if before is None else max(seconds, before)
        self._at = now
        self._count += 1
        mean = seconds if self.mean is None else self.mean
        self.mean = mean + (seconds - mean) / min(self._count, _MEMORY)

    def add_longer(self, seconds: float, now: float) -> None:
        """Nothing came for so long, and then it was given up: it would have taken longer. This
        never lowers anything."""
        if self.mean is None:
            self.least = max(self.least, seconds)
        elif seconds > self.mean:
            self.add(seconds, now)


@attrs.define(eq=False)
class Member:
    """A target and what is known of it."""

    name: str
    weight: float
    estimate: Estimate
    in_flight: int = 0
    chosen: int = 0
    used: float = -math.inf
    """When it was chosen last."""
    failures: int = 0
    """How many in a row, of those that were not under way together."""
    change: int = 0
    """How often it was excluded. What a call that began under an earlier number says is old."""
    since: float = 0.0
    until: float = -math.inf
    turn: float = 0.0

    def fit(self, now: float) -> bool:
        """Whether it is not excluded. A time before `since` is one of another clock."""
        return not self.since <= now < self.until


@attrs.define(eq=False)
class Visit:
    """One call at a member, to be ended once."""

    member: Member
    begun: float
    change: int


@attrs.define(eq=False)
class Choice:
    """A member, why it was chosen, and for `cost` what it was compared with."""

    member: Member
    why: Why
    cost: float = 0.0
    other: Member | None = None
    other_cost: float = 0.0


@attrs.define(eq=False, kw_only=True)
class Chooser:
    """Members come and go; what is under way at one that has gone ends as it would have.

    The options are those of `Balance`.
    """

    strategy: str
    decay: float
    explore: float
    exclude_for: float
    exclude_max: float
    members: dict[str, Member] = attrs.field(factory=dict, init=False)
    _regular: int = attrs.field(default=0, init=False)
    """Choices since the last for want of use."""

    def add(self, name: str, weight: float) -> None:
        """A new member."""
        self.members[name] = Member(name, weight, Estimate(self.decay))

    def choose(
        self,
        now: float,
        chance: Callable[[], float],
        used: Mapping[str, int],
        never: Collection[str] = (),
    ) -> Choice:
        """The member to ask, of those that are not in `never`, which must be some. Of those that
        are fit, only the least `used` are looked at. Nothing changes until `enter`."""
        members = self.members.values()
        there = [m for m in members if m.name not in never] if never else members
        fit = [m for m in there if now >= m.until or now < m.since]
        if not fit:
            soonest = min(there, key=lambda m: (m.until, used.get(m.name, 0)))
            return Choice(soonest, "excluded")
        if used:
            least = min(used.get(member.name, 0) for member in fit)
            fit = [member for member in fit if used.get(member.name, 0) == least]
        if len(fit) == 1:
            return Choice(fit[0], "only")
        if self.strategy == "weighted":
            return Choice(_turn(fit), "share")
        if self.strategy == "least-busy":
            return _least_busy(fit, chance)
        return self._unused(fit, now) or self._of_two(fit, now, chance)

    def _unused(self, fit: list[Member], now: float) -> Choice | None:
        longest, since = fit[0], math.inf
        for member in fit:
            used = member.used if member.used <= now else -math.inf  # later: it is another clock
            if used < since:
                longest, since = member, used
        due = now - since >= self.explore and self._regular >= _RARE
        return Choice(longest, "unused") if due or since == -math.inf else None

    def _of_two(self, fit: list[Member], now: float, chance: Callable[[], float]) -> Choice:
        first = int(chance() * len(fit))
        second = int(chance() * (len(fit) - 1))
        one, other = fit[first], fit[second + (second >= first)]
        cost, other_cost = self.cost(one, now), self.cost(other, now)
        if other_cost < cost:
            return Choice(other, "cost", other_cost, one, cost)
        return Choice(one, "cost", cost, other, other_cost)

    def cost(self, member: Member, now: float) -> float:
        """The estimate, for as many calls as there would be, by weight. A member that nothing is
        known of is taken for the best of the others."""
        seconds = member.estimate.value(now)
        if seconds is None:
            known = (other.estimate.value(now) for other in self.members.values())
            best = min((value for value in known if value is not None), default=1.0)
            seconds = max(best, member.estimate.least)
        return seconds * (member.in_flight + 1) / member.weight

    def enter(self, choice: Choice, now: float) -> Visit:
        """A call goes where it was decided."""
        member = choice.member
        self._regular = 0 if choice.why == "unused" else self._regular + 1
        member.in_flight += 1
        member.chosen += 1
        member.used = now
        if choice.why == "share":
            for one in self.members.values():
                if one.fit(now):
                    one.turn += one.weight
                    member.turn -= one.weight
        return Visit(member, now, member.change)

    def leave(self, visit: Visit) -> None:
        """It has ended, whatever became of it."""
        visit.member.in_flight -= 1

    def answered(self, visit: Visit) -> None:
        """It was answered, so the target is well."""
        member = visit.member
        if visit.change == member.change:
            member.failures = 0
            member.until = -math.inf

    def failed(self, visit: Visit, now: float) -> None:
        """It failed: exclude the target, twice as long for each such failure after the first. One
        that was under way when the target was excluded says nothing new."""
        member = visit.member
        if visit.change == member.change:
            member.failures += 1
            grown = self.exclude_for * 2.0 ** min(member.failures - 1, 60)
            self.exclude(visit, now, min(self.exclude_max, grown))

    def exclude(self, visit: Visit, now: float, seconds: float) -> None:
        """The target is not to be asked for so long."""
        member = visit.member
        until = now + seconds
        member.until = until if member.fit(now) else max(until, member.until)
        member.since = now
        member.change += 1

    def statistics(self) -> dict[str, dict[str, Any]]:
        """What is known of each member."""
        return {
            member.name: {
                "in_flight": member.in_flight,
                "chosen": member.chosen,
                "failures": member.failures,
                "until": member.until if member.until > member.since else None,
                "seconds": member.estimate.known,
            }
            for member in self.members.values()
        }


def _turn(fit: list[Member]) -> Member:
    return max(fit, key=lambda member: member.turn + member.weight)


def _least_busy(fit: list[Member], chance: Callable[[], float]) -> Choice:
    costs = [(member.in_flight + 1) / member.weight for member in fit]
    least = min(costs)
    best = [at for at, cost in enumerate(costs) if cost == least]
    one = best[int(chance() * len(best))]
    costs[one] = math.inf
    other = costs.index(min(costs))
    return Choice(fit[one], "cost", least, fit[other], costs[other])
