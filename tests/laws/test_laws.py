"""The laws hold: on each policy alone, on plans, on random stacks, on the default stack."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmmw.testing import assert_laws, check_laws, run_world
from llmmw.testing._check import examples_of
from llmmw.testing._pairs import law_20, law_84, law_101, law_102, law_107_pair
from llmmw.testing._strategies import worlds
from tests.laws.stacks import STACKS, made, stacks

# What must be met so often, four times a number, or the laws say nothing. How often a batch of
# worlds meets something varies, so further batches are drawn where one has not met it all.
MET = {
    "retry": {"retry": 20, "hint": 3, "WaitStarted": 10, "tie": 1, "cut after told": 5},
    "fallback": {"fallback": 20, "StreamRestarted": 5, "final": 10},
    "watch": {"late": 10, "LimitReached": 10, "pause": 10},
    "attempts": {"retry": 10, "fallback": 20, "cut after content": 10, "deadline": 2},
    "scarce": {"BudgetRefused": 10, "retry": 10, "stopped": 5},
    "full": {"late": 10, "retry": 10, "tie": 5, "StreamRestarted": 5},
    "nested": {"retry": 10, "WaitStarted": 5, "LimitReached": 2, "pause": 10},
    "breaker": {"open": 20, "half-open": 10, "closed": 2, "fallback": 20},
    "breaker-alone": {"open": 10, "half-open": 5, "retry": 20},
    "places": {"QueueEntered": 15, "cancelled": 10, "fallback": 20},
    "one-queue": {"QueueEntered": 15, "late": 10},
    "adaptive": {"QueueEntered": 4, "retry": 20},
    "limits": {"QueueEntered": 15, "open": 20, "half-open": 5, "LimitReached": 20},
    "default": {"retry": 10, "left": 1, "stream": 20, "ask": 20, "error": 10, "cancelled": 5},
}

quiet = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", STACKS)
def test_the_laws_hold(name):
    met = Counter()
    for batch in range(3):
        met += assert_laws(STACKS[name], examples=400, seed=batch)
        wanted = {what: examples_of(4 * count) for what, count in MET.get(name, {}).items()}
        rare = [what for what, count in wanted.items() if met[what] < count]
        if not rare:
            return
    pytest.fail(f"met too rarely: {', '.join(rare)}, of {dict(met)}")


def test_the_laws_hold_on_random_stacks():
    met = Counter()

    @settings(quiet, max_examples=examples_of(800))
    @given(st.random_module(), worlds(), stacks())
    def run(_, world, layers):
        trace = run_world(world, made(layers))
        met.update(trace.happened())
        check_laws(trace)

    run()
    assert min(met[what] for what in ("retry", "fallback", "late", "tie", "left")) > 3, met


@pytest.mark.parametrize("law", [law_20, law_84, law_102, law_107_pair])
def test_the_laws_of_pairs_hold(law):
    compared = []

    @settings(quiet, max_examples=examples_of(80))
    @given(st.random_module(), worlds(), st.sampled_from(sorted(STACKS)))
    def run(_, world, name):
        compared.append(law(world, STACKS[name]) is not False)

    run()
    assert sum(compared) * 3 > len(compared)


def test_cancelled_at_every_step_nothing_stays():
    steps = []

    @settings(quiet, max_examples=examples_of(10))
    @given(
        st.random_module(),
        worlds(callers=1),
        st.sampled_from(("full", "nested", "scarce", "limits")),
    )
    def run(_, world, name):
        steps.append(law_101(world, STACKS[name]))

    run()
    assert sum(steps) > 10 * len(steps)
