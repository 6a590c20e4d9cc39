"""Seeded bugs of budgets, and of the order of targets."""

import trio

from llmmw import _plan
from llmmw._budget import Budget
from llmmw.policies import Fallback
from tests.laws.mutants import mutant


@mutant("scarce")
def a_budget_in_the_red(patch):
    def take(self, target, now):
        self._accounts[target] = (self.balance(target, now) - 1.0, now)
        return True

    patch.setattr(Budget, "take", take)
    patch.setattr(_plan, "pay", lambda accounts, now: all(b.take(t, now) for b, t in accounts))


@mutant("scarce")
def a_budget_without_a_cap(patch):
    def balance(self, target, now):
        held, since = self._accounts.get(target, (self.cap, now))
        return held + self.floor * max(0.0, now - since)

    def deposit(self, target, now):
        self._accounts[target] = (self.balance(target, now) + self.ratio, now)

    patch.setattr(Budget, "balance", balance)
    patch.setattr(Budget, "deposit", deposit)


@mutant("scarce")
def a_first_attempt_waits_for_the_budget(patch):
    real = _plan.Plan.__call__

    async def called(self, call, next):
        if self.budget.balance(call.request.model, trio.current_time()) < 1:
            await trio.sleep(1 / 64)
        return await real(self, call, next)

    patch.setattr(_plan.Plan, "__call__", called)


@mutant("fallback", "attempts")
def targets_in_another_order(patch):
    real = Fallback._allowed
    patch.setattr(Fallback, "_allowed", lambda self, *given: reversed(list(real(self, *given))))
