"""The laws of pure parts bite too: each fails on a seeded bug. (Those of `ELSEWHERE` are tried on
theirs where they are tested.)"""

import copy
import math

import pytest

from llmmw import _plan, advise
from llmmw._client import default_stack
from llmmw._plugins import Plugins
from llmmw.policies._circuit import Circuit
from llmmw.testing._table import CORES
from tests.config import test_round_trip
from tests.laws import test_regressions
from tests.policies import test_breaker


def paid_until_one_refuses(patch, folder):
    patch.setattr(
        test_regressions, "pay", lambda accounts, now: all(b.take(t, now) for b, t in accounts)
    )
    test_regressions.test_a_start_is_paid_from_all_its_budgets_or_from_none()


def failures_deposit(patch, folder):
    real = _plan.Plan.following

    def following(self, call, history):
        self.budget.deposit(call.request.model, 0.0)
        return real(self, call, history)

    patch.setattr(_plan.Plan, "following", following)
    test_regressions.test_failures_deposit_nothing(drained=True)


def each_stack_has_a_budget_of_its_own(patch, folder):
    real = _plan.Plan.__init__
    patch.setattr(
        _plan.Plan, "__init__", lambda self, p, b, *bounds: real(self, p, copy.deepcopy(b), *bounds)
    )
    test_regressions.test_two_stacks_that_share_a_budget_keep_its_bound_together()


def it_stays_open_longer_each_time(patch, folder):
    real = Circuit._open_again

    def open_again(self, now, chance):
        self.open_max = math.inf
        real(self, now, chance)

    patch.setattr(Circuit, "_open_again", open_again)
    test_breaker.test_a_target_that_is_well_again_gets_traffic_within_open_max(9)


def the_stack_is_inside_out(patch, folder):
    assert advise(default_stack("host:a", "host:b")[::-1], plugins=Plugins()) == ()


def the_last_layer_is_not_written(patch, folder):
    real = test_round_trip.to_toml
    patch.setattr(test_round_trip, "to_toml", lambda stack, **given: real(stack[:-1], **given))
    test_round_trip.test_the_default_stack_can_be_written_and_read(Plugins(), folder)


MUTANTS = {
    12: paid_until_one_refuses,
    14: failures_deposit,
    15: each_stack_has_a_budget_of_its_own,
    45: it_stays_open_longer_each_time,
    86: the_stack_is_inside_out,
    103: the_last_layer_is_not_written,
}
ELSEWHERE = {36, *range(46, 53), 66, *range(72, 77), *range(90, 93), *range(118, 124)}


@pytest.mark.parametrize("law", MUTANTS)
def test_a_law_of_a_pure_part_finds_its_bug(law, monkeypatch, tmp_path):
    with pytest.raises(AssertionError):
        MUTANTS[law](monkeypatch, tmp_path)


def test_each_of_them_is_tried():
    assert {*CORES} == {*MUTANTS} | ELSEWHERE
