"""What policies that make further attempts see and say.

Policies are pure: each looks at the history and proposes the next start, or nothing; `_plan`
chooses. (gRPC proposal A6 treats retries and hedges as one in the same way.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import attrs
import trio

from llmmw._budget import Budget
from llmmw._call import Attempt
from llmmw._gate import Gate
from llmmw._request import Request
from llmmw._resume import Told
from llmmw.errors import CallShed, LLMError

__all__ = ["FallbackTarget", "Hedging", "History", "Proposer", "Record", "Start", "aimed"]

FallbackTarget: TypeAlias = str | Mapping[str, Any] | Callable[[Request], Request]
"""A target; or a dict of the request's fields to change, `model` among them; or a function of
the original request."""


@attrs.define(eq=False)
class Record(Attempt):
    """One attempt of a call as policies see it."""

    opened: float = 0.0
    ended: float | None = None
    error: LLMError | None = None
    told: bool = False
    """The caller has heard some of it; there can be no other attempt."""
    chance: float = 0.0
    """A number from [0, 1) drawn when it ended, so that asking twice gives the same answer."""
    first: float | None = None
    """When its first content came, or its response if that came whole."""
    superseded: bool = False
    """Another has won, and this one is cancelled."""
    gate: Gate | None = attrs.field(default=None, repr=False)
    """Stands before the call's listener, if it has one."""
    outer: Attempt | None = attrs.field(default=None, repr=False)
    """The attempt of another plan that this one is a part of."""
    when_sent: Callable[[], None] | None = attrs.field(default=None, repr=False)
    """Called once it has left."""
    paid: tuple[tuple[Budget, str], ...] = attrs.field(default=(), repr=False)
    """The accounts that it took from."""

    @property
    def counts(self) -> bool:
        """Whether it takes a place in the bound: not when it was never sent."""
        return not isinstance(self.error, CallShed)

    def refund(self) -> None:
        """Give back what was taken for an attempt that was never sent."""
        for budget, account in self.paid:
            budget.give_back(account, trio.current_time())

    def leave(self, now: float) -> None:
        """As for any attempt; and with it those have left that it is a part of."""
        super().leave(now)
        if self.when_sent is not None:
            self.when_sent()
        if self.outer is not None:
            self.outer.leave(now)


@attrs.define(eq=False)
class History:
    """The attempts of one call, in order. `request` is the call's own, before any patch."""

    request: Request
    records: list[Record] = attrs.field(factory=list)
    requests: dict[str, Request] = attrs.field(factory=dict)
    """What each target was asked, in the order of their first use."""
    latest: float = math.inf
    """The deadline: a start that is not before it is of no use."""
    refused: frozenset[str] = frozenset()
    """The targets that the budget has just refused to ask again."""
    failures: list[Record] = attrs.field(factory=list)
    """The attempts that failed, in the order of their ends."""
    elsewhere: tuple[FallbackTarget, ...] = ()
    """The targets that the policies of the plan name."""
    said: Told | None = None
    """What the caller has heard, if it wants its answer to be continued."""
    hold_back: int = 0
    """How many deltas with content each attempt holds back."""
    fit: frozenset[tuple[str, bool]] = frozenset()
    """The targets that can serve the call, of those that were looked at; and whether to go on with
    an answer."""
    passed_over: frozenset[str] = frozenset()
    """Those that can't, and are not to be asked."""

    def on(self, target: str) -> list[Record]:
        """The attempts on one target."""
        return [record for record in self.records if record.target == target]

    def new(self, target: str) -> bool:
        """Whether a target was neither asked nor passed over."""
        return target not in self.requests and target not in self.passed_over

    def open(self, target: str, at: float) -> bool:
        """Whether a target may be asked, and then."""
        closed = target in self.refused or target in self.passed_over
        return at < self.latest and not closed

    @property
    def targets(self) -> list[str]:
        """The targets used, in the order of their first use."""
        return list(self.requests)

    @property
    def live(self) -> list[Record]:
        """The attempts that go on and may still win."""
        return [r for r in self.records if r.ended is None and not r.superseded]

    def forget(self, record: Record) -> None:
        """An attempt that was decided on is not made after all."""
        self.records.remove(record)
        if not self.on(record.target):
            del self.requests[record.target]
        record.refund()


@attrs.frozen
class Start:
    """A proposal: another attempt on `target` at time `at`; `request` is what it asks."""

    target: str
    at: float
    reason: str
    request: Request
    why: str = "backoff"
    """What it waits for, if it waits."""
    last_resort: bool = False
    """Only wanted if no other policy proposes anything."""
    budget: Budget | None = None
    """What it takes from besides, on the account of the call's own target."""
    paid: tuple[tuple[Budget, str], ...] = ()
    """The accounts that it has taken from."""


def aimed(target: FallbackTarget, original: Request) -> Request:
    """The request that a target is asked."""
    if isinstance(target, str):
        return original.replace(model=target)
    if isinstance(target, Mapping):
        return original.replace(**target)
    return target(original)


class Proposer(Protocol):
    """A policy that joins in one plan."""

    @property
    def extra(self) -> int:
        """How many attempts it may add to the first."""

    def propose(self, history: History, now: float) -> Start | None:
        """The next attempt it would make, or `None`. Pure; called after every event. While an
        attempt goes on, only those are asked that may start another beside it."""


class Hedging(Proposer, Protocol):
    """A policy that may start an attempt beside one that goes on."""

    @property
    def budget(self) -> Budget:
        """Every call deposits in it, and it pays for such attempts."""

    @property
    def cancel_after(self) -> int:
        """How many deltas the winner must have passed before the others are cancelled."""

    @property
    def warm(self) -> bool:
        """Whether a connection for the next is made ahead."""

    def due(self, history: History) -> float:
        """When it may want to start one, as far as is known; infinite is never."""

    def learn(self, record: Record, request: Request, now: float) -> None:
        """An attempt that asked `request` has ended."""
