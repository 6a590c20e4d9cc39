"""The laws of caches hold, and bite."""

import re
from collections import Counter

import attrs
import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st

from llmmw import Attempts, Cache, Fallback, Retry, Timeout
from llmmw._ledger import CacheHit
from llmmw.testing import Caller, Fault, Script, World, run_world
from llmmw.testing._check import examples_of
from llmmw.testing._laws_cache import CACHE_LAWS
from llmmw.testing._strategies import sharing_worlds
from tests.laws.killers import KILLERS
from tests.laws.mutants_cache import CACHE_MUTANTS
from tests.laws.stacks import QUICK

T = 1 / 64
STACKS = {
    "cache": lambda: [Cache(), Retry(1, **QUICK)],
    "apart": lambda: [Cache(coalesce=False), Retry(1, **QUICK)],
    "stale": lambda: [Cache(ttl=4 * T, stale_while_revalidate=8 * T), Retry(1, **QUICK)],
    "grace": lambda: [Cache(ttl=4 * T, stale_if_error=8 * T)],
    "fallback": lambda: [Cache(), Attempts(Fallback("sim:b", "sim:c"))],
    "all": lambda: [
        Timeout(total=32 * T),
        Cache(ttl=4 * T, stale_while_revalidate=4 * T, stale_if_error=16 * T),
        Attempts(Retry(1, **QUICK), Fallback("sim:b")),
        Timeout(first_token=4 * T),
    ],
}
"""Where calls are hit, miss, and find what is stale."""


ASKED_WRONGLY = World(
    scripts={
        "sim:a": (Script(), Script(pieces=(), error=Fault("bad"))),
        "sim:b": (Script(),),
        "sim:c": (Script(),),
    },
    callers=(Caller(asks="this"), Caller(arrive=8 * T, asks="this")),
)
"""What was answered once and is stale is refused when it is asked again, which is rarely drawn."""


@st.composite
def busy_worlds(draw):
    """Worlds in which the same is asked again, at once and later."""
    world = draw(sharing_worlds())
    people = [*world.callers, *draw(sharing_worlds()).callers][:6]
    times = st.sampled_from((0, 0, 1, 2, 4, 6, 8, 9, 12, 16, 20, 24, 32))
    callers = [attrs.evolve(one, arrive=draw(times) * T) for one in people]
    return attrs.evolve(world, callers=callers)


quiet = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("name", STACKS)
def test_the_laws_of_caches_hold(name):
    met = Counter()

    @settings(quiet, max_examples=examples_of(120))
    @given(st.random_module(), busy_worlds())
    def run(_, world):
        trace = run_world(world, STACKS[name])
        met.update(trace.happened())
        stale = {e.stale for c in trace.calls for e in c.events if isinstance(e, CacheHit)}
        met.update(f"hit {one}" for one in stale)
        for law in CACHE_LAWS:
            law(trace)
        assert trace.tasks == trace.live == 0

    run()
    wanted = {"CacheHit": 20, "CacheMissed": 80, "CacheStored": 40, "cancelled": 10}
    if name != "apart":
        wanted["FlightJoined"] = 30
    if name in {"stale", "all"}:
        wanted["hit revalidate"] = 5
    rare = {what for what, count in wanted.items() if met[what] < examples_of(count)}
    assert not rare, met


class Found(Exception):
    pass


@pytest.mark.parametrize("name", CACHE_MUTANTS)
def test_a_mutant_of_caches_is_killed(name, monkeypatch):
    patch, places = CACHE_MUTANTS[name]
    patch(monkeypatch)
    killed, wanted = set(), {f"L{law}" for law, mutant in KILLERS.items() if mutant == name}

    def run(_, world):
        for place in places:
            trace = run_world(world, STACKS[place])
            for law in CACHE_LAWS:
                try:
                    law(trace)
                except AssertionError as broken:
                    killed.add(re.match(r"L\d+", str(broken)).group())
            if killed and wanted <= killed:
                raise Found

    for batch in range(6):
        drawn = example(None, ASKED_WRONGLY)(given(st.random_module(), busy_worlds())(run))
        options = settings(
            max_examples=300,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(batch)(options(drawn))()
        except Found:
            break
    assert killed, f"the mutant {name} survived"
    assert wanted <= killed
