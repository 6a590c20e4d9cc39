"""The laws of shared flights hold, and bite."""

import re
from collections import Counter

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from llmmw.testing import run_world
from llmmw.testing._check import examples_of
from llmmw.testing._laws_flight import check_flights, law_64_pair, law_101_shared
from llmmw.testing._strategies import sharing_worlds
from tests.policies.flight_mutants import MUTANTS
from tests.policies.flights import STACKS

quiet = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("name", STACKS)
def test_the_laws_of_flights_hold(name):
    met = Counter()

    @settings(quiet, max_examples=examples_of(200))
    @given(st.random_module(), sharing_worlds())
    def run(_, world):
        trace = run_world(world, STACKS[name])
        met.update(trace.happened())
        check_flights(trace)

    run()
    wanted = {"FlightJoined": 50, "FlightLeft": 5, "left": 5, "cancelled": 10, "ok": 20}
    rare = {what for what, count in wanted.items() if met[what] < examples_of(count)}
    assert not rare, met


def test_whether_one_leaves_is_nothing_to_the_others():
    compared = []

    @settings(quiet, max_examples=examples_of(80))
    @given(st.random_module(), sharing_worlds(), st.sampled_from(("coalesce", "retried")))
    def run(_, world, name):
        # No two things at once, since a tie may be decided otherwise in another run.
        plain = {"asks": "this", "by_hand": False, "raises_at": None, "leaves_at": None}
        callers = tuple(
            attrs.evolve(c, **plain, arrive=k * (1 / 64 + 1 / 1024))
            for k, c in enumerate(world.callers)
        )
        world = attrs.evolve(world, callers=callers)
        leaver = attrs.evolve(world.callers[-1], asks="this", arrive=callers[-1].arrive)
        compared.append(law_64_pair(world, STACKS[name], leaver))

    run()
    assert sum(compared) * 3 > len(compared)


def test_cancelled_at_every_step_the_others_go_on():
    steps = []

    @settings(quiet, max_examples=examples_of(8))
    @given(st.random_module(), sharing_worlds(), st.sampled_from(sorted(STACKS)))
    def run(_, world, name):
        steps.append(law_101_shared(world, STACKS[name]))

    run()
    assert sum(steps) > 5 * len(steps)


def broken_by(stack, batch):
    """The law that a stack breaks, or `None`."""

    @seed(batch)
    @settings(quiet, derandomize=False, max_examples=300, phases=(Phase.generate,))
    @given(st.random_module(), sharing_worlds())
    def run(_, world):
        check_flights(run_world(world, STACKS[stack]))

    try:
        run()
    except Exception as error:  # a deadlock among them
        found = re.match(r"L\d+", str(error))
        return found.group() if found else type(error).__name__
    return None


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_killed(name, monkeypatch):
    patch, stacks = MUTANTS[name]
    patch(monkeypatch)
    killers = (broken_by(stack, batch) for batch in range(4) for stack in stacks)
    law = next((killer for killer in killers if killer is not None), None)
    print(f"{name}: {law}")
    assert law is not None, f"the mutant {name} survived on {stacks}"
    assert law.startswith("L"), f"{name} was not killed by a law but by {law}"
