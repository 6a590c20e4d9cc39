"""One line for an author of a policy: `assert_laws(my_policy)`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from llmmw.testing._subject import MakeStack, Subject, maker_of
from llmmw.testing._table import check_laws
from llmmw.testing._world import World, run_world

__all__ = ["assert_laws", "check_laws", "examples_of"]


def examples_of(count: int) -> int:
    """`count` times the number in the environment variable `LLMMW_EXAMPLES`, where it is set."""
    return max(1, int(count * float(os.environ.get("LLMMW_EXAMPLES", "1"))))


def assert_laws(
    subject: Subject,
    *,
    examples: int = 200,
    seed: int = 0,
    also: Callable[[World, MakeStack], object] | None = None,
    **options: Any,
) -> Counter[str]:
    """Check that a policy, or a stack of several, obeys the laws in so many drawn worlds.

    Its calls go to `sim:a`; `sim:b` and `sim:c` are there to fall back on. Needs Hypothesis, that
    is, the extra `llmmw[testing]`.

    Args:
        subject: a middleware, or a stack of them, outermost first: each world has a copy. Or a
            class or function that makes one.
        examples: how many worlds.
        seed: which worlds; the same ones for the same number, as far as Hypothesis can do that.
        also: a further law, called with each world and what makes the stack.
        options: settings of Hypothesis.

    Returns:
        How many worlds had a retry, a fallback, a cut, a restart, a tie, … : look whether what
        you care about was met at all.

    Raises:
        AssertionError: with the number of the law, and the smallest world that breaks it.
    """
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    from llmmw.testing._strategies import worlds

    make_stack = maker_of(subject)
    met: Counter[str] = Counter()
    chosen: dict[str, Any] = {
        "max_examples": examples_of(examples),
        "deadline": None,
        "database": None,
        "suppress_health_check": list(HealthCheck),
        **options,
    }

    @seeded(seed)
    @settings(**chosen)
    @given(st.random_module(), worlds())
    def run(_: object, world: World) -> None:
        trace = run_world(world, make_stack)
        met.update(trace.happened())
        met["worlds"] += 1
        check_laws(trace)
        if also is not None:
            also(world, make_stack)

    run()
    return met
