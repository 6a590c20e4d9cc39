"""The laws hold: on each policy alone, on plans, on random stacks, on the default stack."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Breaker,
    Coalesce,
    Concurrency,
    Fallback,
    Hedge,
    RateLimit,
    Retry,
    Timeout,
)
from llmmw.testing import Caller, Fault, Script, World, assert_laws, run_world
from llmmw.testing._check import examples_of
from llmmw.testing._night import Night
from llmmw.testing._pairs import PAIRS, law_101
from llmmw.testing._strategies import worlds
from llmmw.testing._table import CORES, TABLE
from tests.laws.stacks import PATCHES, QUICK, STACKS

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
    for batch in range(6):
        met += assert_laws(STACKS[name], examples=200, seed=batch)
        wanted = {what: examples_of(4 * count) for what, count in MET.get(name, {}).items()}
        rare = [what for what, count in wanted.items() if met[what] < count]
        if not rare:
            return
    pytest.fail(f"met too rarely: {', '.join(rare)}, of {dict(met)}")


def test_the_laws_hold_on_random_stacks():
    rare: dict[str, tuple[int, int]] = {}
    for batch in range(6):
        night = Night(seed=1 + batch)
        night.run(examples_of(1000))
        for breach in night.breaches.values():
            pytest.fail(f"{breach.what}\n\n{breach.program}")
        counts = {row["law"]: (row["cases"], row["events"]) for row in night.rows()}
        looked_at = rare if batch else counts
        rare = {law: counts[law] for law in looked_at if is_rare(*counts[law])}
        if not rare:
            return
    pytest.fail(f"in each batch met too rarely: {rare}")


def is_rare(cases: int, events: int) -> bool:
    """Whether it happened in less than a fifth of the cases, as far as chance lets it be seen."""
    return not events or events + cases**0.5 < cases / 5


PAIRED = sorted(set(PAIRS) - {101})


@pytest.mark.parametrize("number", PAIRED)
def test_the_laws_of_pairs_hold(number):
    (law,) = PAIRS[number].checks
    names = sorted(STACKS) if number != 35 else ["hedge", "hedges", "hedge-scarce"]
    compared = []

    @settings(quiet, max_examples=examples_of(80))
    @given(st.random_module(), worlds(), st.sampled_from(names))
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
        st.sampled_from(("full", "nested", "scarce", "limits", "hedge-limits")),
    )
    def run(_, world, name):
        steps.append(law_101(world, STACKS[name]))

    run()
    assert sum(steps) > 10 * len(steps)


def everything():
    return [
        Coalesce(),
        Timeout(total=1.0),
        Attempts(Retry(2, **QUICK), Fallback(*PATCHES), Hedge(2 / 64, max_hedges=2)),
        Breaker(calls=3, open_for=1 / 64),
        RateLimit(requests=64, per=2.0, burst=2 / 64),
        Concurrency(2),
        Timeout(total=24 / 64, first_token=8 / 64, idle=4 / 64),
    ]


BUSY = Script(first=1 / 64, pieces=(), error=Fault("busy"))
SLOW = Script(first=5 / 64, gap=1 / 64, pieces=("a ", "b ", "c "))
CUT = Script(first=3 / 64, gap=1 / 64, pieces=("x ", "y "), error=Fault("cut"))
WORLDS = {
    "slow": {"sim:a": SLOW, "sim:b": SLOW, "sim:c": SLOW},
    "failing": {"sim:a": (BUSY, CUT, SLOW), "sim:b": (BUSY, SLOW), "sim:c": BUSY},
    "cut": {"sim:a": (CUT, SLOW), "sim:b": (CUT, SLOW), "sim:c": CUT},
}


@pytest.mark.parametrize("mode", ["ask", "listen", "stream"])
@pytest.mark.parametrize("scripts", WORLDS)
def test_cancelled_at_every_step_of_a_call_that_is_all_of_it(scripts, mode):  # L101
    """A call that is hedged, retried, coalesced and streamed, alone, and with others aboard."""
    first = Caller(mode=mode, on_interrupt="restart" if mode != "ask" else "error", asks="this")
    others = (
        Caller(arrive=1 / 64, mode="stream", on_interrupt="restart", asks="this"),
        Caller(arrive=4 / 64, mode="ask", asks="this"),
    )
    for callers in ((first,), (first, *others)):
        world = World(scripts=WORLDS[scripts], callers=callers)
        met = run_world(world, everything).happened()
        assert {"ok", "fallback" if scripts == "failing" else "HedgeFired"} <= set(met)
        assert ("FlightJoined" in met) == (len(callers) > 1)
        assert law_101(world, everything) > 30


def test_every_law_is_checked_somewhere():
    known = {*TABLE, *PAIRS, *CORES}
    assert set(range(1, 118)) - known == {108, 109}  # which no law has
    for law in TABLE.values():
        assert law.statement, law.number
        assert law.event, f"{law.name} has no event"
