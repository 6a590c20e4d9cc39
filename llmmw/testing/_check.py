"""One line for an author of a policy: `assert_laws(lambda: [MyPolicy()])`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from llmmw.testing._laws import LAWS
from llmmw.testing._laws_flight import FLIGHT_LAWS
from llmmw.testing._laws_limits import LIMIT_LAWS
from llmmw.testing._laws_stream import STREAM_LAWS
from llmmw.testing._laws_time import TIME_LAWS
from llmmw.testing._trace import Trace
from llmmw.testing._world import MakeStack, World, run_world

__all__ = ["assert_laws", "check_laws", "examples_of"]


def check_laws(trace: Trace) -> None:
    """Raise `AssertionError` with the number of the first law that a trace breaks."""
    for law in (*LAWS, *TIME_LAWS, *STREAM_LAWS, *LIMIT_LAWS, *FLIGHT_LAWS):
        law(trace)


def examples_of(count: int) -> int:
    """`count` times the number in the environment variable `LLMMW_EXAMPLES`, where it is set."""
    return max(1, int(count * float(os.environ.get("LLMMW_EXAMPLES", "1"))))


def assert_laws(
    make_stack: MakeStack,
    *,
    examples: int = 200,
    seed: int = 0,
    also: Callable[[World, MakeStack], object] | None = None,
    **options: Any,
) -> Counter[str]:
    """Check that a stack obeys the laws in so many drawn worlds.

    Its calls go to `sim:a`; `sim:b` and `sim:c` are there to fall back on. Needs Hypothesis, that
    is, the extra `llmmw[testing]`.

    Args:
        make_stack: makes the stack anew for each world, outermost first.
        examples: how many worlds.
        seed: which worlds; the same ones for the same number, as far as Hypothesis can do that.
        also: a further law, called with each world and `make_stack`.
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
