"""Seeded bugs of balancers."""

import attrs
import trio

from llmmw.errors import CallShed
from llmmw.policies import Balance
from llmmw.policies import balance as balance_module
from llmmw.policies._choice import Chooser, Estimate
from tests.laws.mutants import mutant


@mutant("balance-quick")
def the_dearer_of_two_is_asked(patch):
    real = Chooser.cost
    patch.setattr(Chooser, "cost", lambda self, member, now: -real(self, member, now))
    other = Chooser._of_two

    def of_two(self, fit, now, chance):
        choice = other(self, fit, now, chance)
        costs = {
            "cost": real(self, choice.member, now),
            "other_cost": real(self, choice.other, now),
        }
        return attrs.evolve(choice, **costs)

    patch.setattr(Chooser, "_of_two", of_two)


@mutant("balance-hedged")
def the_busiest_is_asked(patch):
    real = balance_module.Chooser.choose

    def choose(self, now, chance, used, never=()):
        choice = real(self, now, chance, used, never)
        if choice.other is None:
            return choice
        other_way = {"member": choice.other, "cost": choice.other_cost}
        return attrs.evolve(choice, other=choice.member, other_cost=choice.cost, **other_way)

    patch.setattr(Chooser, "choose", choose)


@mutant("many-balanced")
def who_has_failed_is_asked_again(patch):
    patch.setattr(Chooser, "exclude", lambda self, visit, now, seconds: None)


@mutant("many-shed")
def who_sheds_is_not_excluded(patch):
    real = Balance._judge

    def judge(self, visit, error):
        if not isinstance(error, CallShed):
            real(self, visit, error)

    patch.setattr(Balance, "_judge", judge)


@mutant("balance-hedged")
def a_hedge_goes_where_its_call_is(patch):
    patch.setattr(balance_module, "_used", lambda call: {})


@mutant("balance-quick", "balance-weighted")
def the_ledger_tells_another_target(patch):
    real = Balance._ask

    async def ask(self, call, next, choice, heard):
        other = [one for one in self._chooser.members.values() if one is not choice.member]
        lied = attrs.evolve(choice, member=other[0]) if other else choice
        return await real(self, call, next, lied, heard)

    patch.setattr(Balance, "_ask", ask)


@mutant("many-balanced")
def a_quick_failure_is_no_failure(patch):
    patch.setattr(Chooser, "failed", lambda self, visit, now: None)


@mutant("many-balanced")
def only_the_first_failure_excludes(patch):
    real = Chooser.failed

    def failed(self, visit, now):
        if not visit.member.failures:
            real(self, visit, now)

    patch.setattr(Chooser, "failed", failed)


@mutant("balance-quick", "balance-hedged")
def what_was_cut_short_lowers_the_estimate(patch):
    def add_longer(self, seconds, now):
        self.mean = seconds if self.mean is None else min(seconds, self.mean)

    patch.setattr(Estimate, "add_longer", add_longer)


@mutant("balance-shrinks")
def a_target_that_goes_takes_its_calls_along(patch):
    ask, remove, scopes = Balance._ask, Balance.remove, {}

    async def asked(self, call, next, choice, heard):
        with trio.CancelScope() as scope:
            scopes.setdefault(choice.member.name, []).append(scope)
            return await ask(self, call, next, choice, heard)
        raise CallShed("the target has gone")

    def removed(self, target):
        remove(self, target)
        for scope in scopes.pop(target, ()):
            scope.cancel()

    patch.setattr(Balance, "_ask", asked)
    patch.setattr(Balance, "remove", removed)


@mutant("balance-quick", "balance-weighted")
def a_cancelled_call_stays_in_flight(patch):
    real = Balance._ask

    async def ask(self, call, next, choice, heard):
        try:
            return await real(self, call, next, choice, heard)
        except trio.Cancelled:
            choice.member.in_flight += 1
            raise

    patch.setattr(Balance, "_ask", ask)
