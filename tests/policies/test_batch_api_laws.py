"""The laws of calls that ride batches, over drawn worlds in which the program is killed and begun
again, and the seeded bugs that they find."""

from collections import Counter

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from llmmw.policies import _batch_far
from llmmw.testing._batch_jobs import run_job
from llmmw.testing._far_batches import JobWorld, Sleeper
from llmmw.testing._laws_batch_api import BATCH_API_LAWS
from llmmw.testing._virtual import seed_schedule
from tests.laws.mutants_batch_api import BATCH_API_MUTANTS

SLEEPERS = st.builds(
    Sleeper,
    question=st.integers(0, 5),
    arrive=st.sampled_from([0, 0, 0, 5, 15, 700]),
    patience=st.sampled_from([1e4] * 4 + [0, 5, 50, 150, 400]),
    by_hand=st.booleans(),
)
CROWDS = st.builds(
    lambda leaves, arrivals, kinds: JobWorld(
        sleepers=[
            Sleeper(patience=50 if leaves else 1e4, by_hand=True),
            *(Sleeper(question=(n + 1) % 2, arrive=at) for n, at in enumerate([0, *arrivals])),
        ],
        options={"live_after": 200, "least_time": 100},
        takes=900,
        kinds=kinds,
    ),
    st.booleans(),
    st.lists(st.sampled_from([0, 15, 100, 250]), min_size=1, max_size=4),
    st.sampled_from([{}, {}, {0: "busy"}]),
)
"""Calls that come one after the other, and for which the batch is too slow."""
WORLDS = st.builds(
    JobWorld,
    sleepers=st.lists(SLEEPERS, min_size=1, max_size=8),
    kinds=st.dictionaries(
        st.integers(0, 5), st.sampled_from(["busy", "always", "bad", "expired", "vanished"])
    ),
    kills=st.lists(st.integers(1, 60), max_size=3),
    takes=st.sampled_from([1, 30, 600]),
    lines=st.sampled_from([100, 3, 2]),
    bytes=st.sampled_from([100_000, 1100]),
    labels=st.booleans(),
    lost=st.sampled_from([frozenset(), frozenset({0}), frozenset({1})]),
    late=st.sampled_from([0, 4]),
    stumbles=st.frozensets(st.integers(0, 20), max_size=2),
    options=st.fixed_dictionaries(
        {
            "live_after": st.sampled_from([None, None, 200, 1000]),
            "least_time": st.just(100),
            "retries": st.sampled_from([2, 1, 0]),
        }
    ),
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that the program can be killed between two of them."""
    monkeypatch.setattr(_batch_far, "_CHUNK", 2)


def lawful(world):
    trace = run_job(world)
    for law in BATCH_API_LAWS:
        law(trace)
    return trace


def test_the_laws_hold():
    seen = Counter()

    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(st.random_module(), WORLDS | CROWDS)
    def hold(_, world):
        trace = lawful(world)
        outcomes = {job.outcome for job in trace.jobs}
        came = {one for batch in trace.taken for one in batch.outcomes.values()}
        seen.update(
            {
                **{word: word in outcomes for word in ("ok", "error", "left", "killed")},
                **{word: word in came for word in ("busy", "expired", "vanished", "cancelled")},
                "found": any(batch.run < job.run for batch in trace.taken for job in trace.last()),
                "late": any(job.why == "late" for job in trace.jobs),
                "near": any(job.why == "deadline" for job in trace.jobs),
            }
        )

    hold()
    assert len(seen) == 11
    assert min(seen.values()) > 4, seen


FEW = JobWorld(
    sleepers=[Sleeper(question=n % 5, arrive=n // 5 * 5) for n in range(7)],
    kinds={1: "busy", 2: "bad", 3: "vanished"},
    lines=3,
    takes=3,
    late=4,
)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("lost", [frozenset(), frozenset({0})])
def test_killed_before_each_of_its_steps_it_asks_nothing_twice(labels, lost):
    world = attrs.evolve(FEW, labels=labels, lost=lost)
    seed_schedule(0)
    (steps,) = lawful(world).steps
    assert steps > 40
    killed = 0
    for kill in range(1, steps + 1):
        killed += lawful(attrs.evolve(world, kills=[kill])).steps[0] >= kill
    assert killed > 0.9 * steps  # a draw of times may end a run a little earlier
    for first in range(1, steps + 1, 11):
        for second in range(1, steps, 7):
            lawful(attrs.evolve(world, kills=[first, second]))


@pytest.mark.parametrize("name", BATCH_API_MUTANTS)
def test_the_laws_find(name, monkeypatch):
    patch, wanted = BATCH_API_MUTANTS[name]
    patch(monkeypatch)

    class Found(Exception):
        pass

    @seed(1)
    @settings(
        max_examples=1500,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.random_module(), WORLDS | CROWDS)
    def run(_, world):
        try:
            lawful(world)
        except AssertionError as broken:
            if str(broken).startswith(f"L{wanted}: "):
                raise Found(str(broken)) from broken

    with pytest.raises(Found):
        run()
