"""The laws bite: each seeded bug is found by one of them."""

import re

import pytest
from hypothesis import Phase

from llmmw.testing import assert_laws, check_laws, run_world
from tests.laws.examples import EXAMPLES
from tests.laws.mutants import MUTANTS
from tests.laws.stacks import STACKS

BATCHES = 6
"""How often further worlds are drawn for a mutant that none has met so far."""


def broken_by(stack: str, batch: int = 0) -> str | None:
    """The law that a stack breaks, or `None`."""
    try:
        if stack in EXAMPLES:
            check_laws(run_world(*EXAMPLES[stack]))
        else:
            # Not fewer where `LLMMW_EXAMPLES` says so: a mutant needs its time to be met.
            found_only = (Phase.generate,)
            options = {"max_examples": 300, "phases": found_only, "print_blob": False}
            assert_laws(STACKS[stack], seed=batch, **options)
    except Exception as error:
        found = re.match(r"L\d+", str(error))
        return found.group() if found else type(error).__name__
    return None


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_killed(name, monkeypatch):
    patch, stacks = MUTANTS[name]
    patch(monkeypatch)
    killers = (broken_by(stack, batch) for batch in range(BATCHES) for stack in stacks)
    law = next((killer for killer in killers if killer is not None), None)
    print(f"{name}: {law}")
    assert law is not None, f"the mutant {name} survived on {stacks}"
    assert law.startswith("L"), f"{name} was not killed by a law but by {law}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_mutants_the_examples_hold(name):
    assert broken_by(name) is None
