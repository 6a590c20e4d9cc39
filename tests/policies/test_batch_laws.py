"""The laws of batches over drawn worlds, and the seeded bugs that they find."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from llmmw import Batch, Concurrency, Timeout
from llmmw.testing._laws_batch import (
    BATCH_LAWS,
    Asker,
    BatchWorld,
    law_76,
    run_batches,
)
from tests.laws.mutants_batch import BATCH_MUTANTS

ASKERS = st.builds(
    Asker,
    arrive=st.sampled_from([0, 0, 0, 0.5, 1]),
    texts=st.sampled_from([1, 1, 1, 2, 3, 9]),
    tenant=st.sampled_from(["", "", "", "t"]),
    patience=st.sampled_from([1000, 1000, 1000, 1000, 0, 0.25, 0.5, 1, 1.5]),
    by_hand=st.booleans(),
    poison=st.sampled_from([False] * 9 + [True]),
)
CROWDS = st.builds(
    lambda many, first: BatchWorld(
        askers=[Asker()] * first + [Asker(poison=True)] + [Asker()] * many
    ),
    st.integers(8, 16),
    st.integers(0, 3),
)
"""So many that it matters how the one who spoils them is found."""
WORLDS = st.builds(
    BatchWorld,
    askers=st.lists(ASKERS, min_size=1, max_size=12),
    latency=st.sampled_from([0, 0.5, 1]),
    short=st.sampled_from([frozenset()] * 4 + [frozenset({0}), frozenset({1, 2})]),
)
STACKS = st.sampled_from(
    [
        lambda: [Batch()],
        lambda: [Batch(max_size=4)],
        lambda: [Batch(max_size=3, max_wait=0)],
        lambda: [Batch(max_tokens=5)],
        lambda: [Timeout(first_token=900), Batch(max_size=5)],
    ]
)


def broken_in(world, make_stack):
    trace = run_batches(world, make_stack)
    for law in BATCH_LAWS:
        law(trace)
    return trace


def test_the_laws_hold():
    seen = Counter()

    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(st.random_module(), WORLDS, STACKS)
    def hold(_, world, make_stack):
        trace = broken_in(world, make_stack)
        sizes = [len(sent.askers) for sent in trace.sent]
        seen.update(
            {
                "shared": max(sizes, default=0) > 1,
                "left": any(c.outcome == "cancelled" for c in trace.calls),
                "cancelled": any(s.outcome == "cancelled" for s in trace.sent),
                "refused": any(s.outcome == "refused" and len(s.askers) > 1 for s in trace.sent),
                "short": any(s.outcome == "short" and len(s.askers) > 1 for s in trace.sent),
            }
        )

    hold()
    missing = {"shared", "left", "cancelled", "refused", "short"} - {w for w in seen if seen[w] > 9}
    assert not missing, seen


def test_answers_are_those_of_calls_alone():
    found = []

    @settings(max_examples=100, suppress_health_check=list(HealthCheck))
    @given(st.random_module(), WORLDS, STACKS)
    def same(_, world, make_stack):
        found.append(law_76(world, make_stack))

    same()
    assert sum(found) > 20


def test_a_limit_inside_of_batches_is_met_by_each_batch_once():
    world = BatchWorld(askers=[Asker()] * 9)
    trace = run_batches(world, lambda: [Batch(max_size=3), Concurrency(1)])
    assert [(sent.opened, len(sent.texts)) for sent in trace.sent] == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize("name", BATCH_MUTANTS)
def test_the_laws_find(name, monkeypatch):
    BATCH_MUTANTS[name](monkeypatch)

    class Found(Exception):
        pass

    @seed(1)
    @settings(
        max_examples=600,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.random_module(), WORLDS | CROWDS, STACKS)
    def run(_, world, make_stack):
        try:
            broken_in(world, make_stack)
        except AssertionError as broken:
            raise Found(str(broken)) from broken

    with pytest.raises(Found, match=r"L\d+: "):
        run()
