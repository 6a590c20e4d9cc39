"""The laws bite: each seeded bug is found by one of them, and each law finds one."""

import re
import runpy
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from llmmw.testing import run_world, seed_schedule
from llmmw.testing._pairs import PAIRS
from llmmw.testing._strategies import sharing_worlds, worlds
from llmmw.testing._table import TABLE, breaches
from tests.laws.examples import EXAMPLES
from tests.laws.killers import KILLERS, UNPROVEN
from tests.laws.mutants import MUTANTS
from tests.laws.mutants_cache import CACHE_MUTANTS
from tests.laws.stacks import STACKS
from tests.policies import flight_mutants, flights

for file in sorted(Path(__file__).parent.glob("mutants_*.py")):
    import_module(f"tests.laws.{file.stem}")  # each adds its own

BATCHES = 6
"""How often further worlds are drawn for a mutant that has not been met so far."""

KILLED = {law: name for law, name in KILLERS.items() if law in TABLE}
"""Those of caches are tried in `tests/policies/test_cache_laws.py`."""
COMPARED = {law: name for law, name in KILLERS.items() if law in PAIRS and law not in TABLE}


BROKEN = re.compile(r"(L\d+): (?!can't be told)")
"""A law that stumbles over what it did not expect has not found the bug."""


def broken_by(drawn, make_stack, wanted, batch):
    """The laws that a stack breaks in one of the worlds drawn; one of those wanted, if it can
    be."""
    found = set()

    # Not fewer where `LLMMW_EXAMPLES` says so: a mutant needs its time to be met.
    @seed(batch)
    @settings(
        max_examples=300,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.random_module(), drawn)
    def run(_, world):
        broken = map(BROKEN.match, breaches(run_world(world, make_stack)))
        found.update(one.group(1) for one in broken if one)
        if wanted & found if wanted else found:
            raise Found

    try:
        run()
    except Found:
        pass
    except Exception as error:  # a deadlock among them
        found.add(type(error).__name__)
    return found


class Found(Exception):
    """Enough."""


def killed(mutants, stacks, drawn, name, monkeypatch):
    """The laws that kill a mutant."""
    patch, places = mutants[name]
    patch(monkeypatch)
    wanted = {f"L{law}" for law, mutant in KILLED.items() if mutant == name}
    found = set()
    for batch in range(BATCHES):
        for place in places:
            if place in EXAMPLES and mutants is MUTANTS:
                world, make_stack = EXAMPLES[place]
                found |= broken_by(st.just(world), make_stack, wanted - found, batch)
            else:
                found |= broken_by(drawn, stacks[place], wanted - found, batch)
            if wanted <= found and found:
                return found
    return found


def check_killed(found, name):
    print(f"{name}: {', '.join(sorted(found))}")
    assert found, f"the mutant {name} survived"
    laws = {one for one in found if re.fullmatch(r"L\d+", one)}
    assert laws, f"{name} was not killed by a law but by {found}"
    wanted = {f"L{law}" for law, mutant in KILLED.items() if mutant == name}
    assert wanted <= laws, f"{name} was killed by {laws}, not by {wanted - laws}"


@pytest.mark.parametrize(
    "name", sorted({*MUTANTS} - {*COMPARED.values()} | {*KILLED.values()} & {*MUTANTS})
)
def test_a_mutant_is_killed(name, monkeypatch):
    check_killed(killed(MUTANTS, STACKS, worlds(), name, monkeypatch), name)


@pytest.mark.parametrize("name", flight_mutants.MUTANTS)
def test_a_mutant_of_flights_is_killed(name, monkeypatch):
    mutants = flight_mutants.MUTANTS
    check_killed(killed(mutants, flights.STACKS, sharing_worlds(), name, monkeypatch), name)


@pytest.mark.parametrize("law", COMPARED)
def test_a_law_of_pairs_kills_its_mutant(law, monkeypatch):
    (check,) = PAIRS[law].checks
    patch, (place, *_) = MUTANTS[COMPARED[law]]
    patch(monkeypatch)

    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.random_module(), worlds())
    def run(_, world):
        check(world, STACKS[place])

    with pytest.raises(AssertionError, match=f"L{law}:"):
        run()


def test_each_law_kills_a_mutant_or_is_known_to_kill_none():
    every = {*TABLE, *PAIRS}
    assert every - {*KILLERS} - {*UNPROVEN} == set(), "laws without a mutant"
    assert {*KILLERS} & {*UNPROVEN} == set()
    known = {*MUTANTS, *CACHE_MUTANTS, *flight_mutants.MUTANTS}
    assert {*KILLERS.values()} <= known


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_mutants_the_examples_hold(name):
    for schedule in range(8):
        seed_schedule(schedule)
        assert breaches(run_world(*EXAMPLES[name])) == []


def test_the_page_of_the_laws_is_what_would_be_written():
    made = runpy.run_path("docs/make_laws.py")
    assert made["PAGE"].read_text() == made["page"](), "run docs/make_laws.py"
