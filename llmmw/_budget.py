"""The budget of further attempts."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from llmmw.errors import ConfigError

__all__ = ["Budget", "pay"]

_MANY = 1000
"""Accounts that are kept; of more, the one drawn on first is taken for full again."""


def _from_zero(budget: object, field: attrs.Attribute[float], given: object) -> None:
    if type(given) not in {int, float} or not 0 <= given < math.inf:  # type: ignore[operator]
        raise ConfigError(f"Budget({field.name}={given!r}): expected a number from 0 on")


@attrs.define(eq=False)
class Budget:
    """A token bucket for extra attempts, one account a destination.

    Every call deposits `ratio` at the target it goes to first, whether it succeeds or not; every
    repeated attempt on a target takes 1 from that target's account before it waits. `floor`
    tokens a second come by themselves. It never delays a first attempt, and a fallback's first
    visit to another target is no repetition: it takes nothing.

    So on each destination, for every span of time: repetitions ≤ cap + ratio·calls + floor·t.
    """

    ratio: float = attrs.field(default=0.2, validator=_from_zero)
    cap: float = attrs.field(default=10.0, validator=_from_zero)
    floor: float = attrs.field(default=0.1, validator=_from_zero)
    _accounts: dict[str, tuple[float, float]] = attrs.field(factory=dict, init=False, repr=False)

    def balance(self, target: str, now: float) -> float:
        """What the account holds at `now`."""
        held, since = self._accounts.get(target, (self.cap, now))
        return min(self.cap, held + self.floor * max(0.0, now - since))

    def deposit(self, target: str, now: float) -> None:
        """A call begins at `target`."""
        if target in self._accounts:  # an account that was never drawn on is full anyway
            held = self.balance(target, now) + self.ratio
            if held >= self.cap:
                del self._accounts[target]
            else:
                self._accounts[target] = (held, now)

    def take(self, target: str, now: float) -> bool:
        """Take one token for a repeated attempt, or refuse at once and change nothing."""
        held = self.balance(target, now)
        if held < 1.0:
            return False
        if target not in self._accounts and len(self._accounts) >= _MANY:
            del self._accounts[next(iter(self._accounts))]
        self._accounts[target] = (held - 1.0, now)
        return True

    def give_back(self, target: str, now: float) -> None:
        """The attempt that took a token was never sent."""
        self._accounts[target] = (min(self.cap, self.balance(target, now) + 1.0), now)

    def statistics(self) -> dict[str, float]:
        """The balance of every account that is not full, as of its last change."""
        return {target: held for target, (held, _) in self._accounts.items()}


def pay(accounts: Iterable[tuple[Budget, str]], now: float) -> bool:
    """Take one token from each account, or refuse at once and change nothing."""
    each = dict.fromkeys(accounts)
    if any(budget.balance(target, now) < 1.0 for budget, target in each):
        return False
    return all(budget.take(target, now) for budget, target in each)
