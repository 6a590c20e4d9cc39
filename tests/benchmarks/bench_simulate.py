"""The reference world: what a learned hedge costs against one that knows, and how fast it runs.

python3 tests/benchmarks/bench_simulate.py [REQUESTS [SEEDS]]      default: 100000 5
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from _measure import say

from llmmw import Hedge, Middleware, default_stack
from llmmw.sim import Percentiles, WorldModel, load_world, simulate
from llmmw.sim._world import Draws, key_of

P95 = 1.512
"""Of the first token in the reference world."""

TWENTY = """
[targets."*"]
first_token = { kind = "lognormal", median = 0.6, sigma = 0.3 }
gap = 0.02
output_tokens = 20
"""


def tails(requests: int, seeds: int) -> None:
    """A learned delay against the true one, on the same draws."""
    ratios, loads = [], []
    for seed in range(1, seeds + 1):
        fixed = Percentiles.of(knowing(requests, seed))
        learned = simulate([Hedge("p95", targets=["sim:b"])], requests=requests, seed=seed)
        print(f"      seed {seed}, knowing: {_line(fixed)}")
        rest = f"load {learned.extra_load:.3%} refused {learned.did['refused']}"
        print(f"      seed {seed}, learned: {_line(learned.first_token)} {rest}", flush=True)
        ratios.append(learned.first_token.p99 / fixed.p99)  # type: ignore[operator]
        loads.append(learned.extra_load * 100)
    say("p99 of first token, learned to fixed", statistics.mean(ratios), 1.05, "times")
    say("extra load of the learned delay", statistics.mean(loads), 5.3, "%")


def knowing(requests: int, seed: int) -> Iterator[float]:
    """First tokens with a hedge at the true p95: min(x1, d + x2), which tests/sim shows the
    simulation of a fixed delay to be, call by call."""
    model = load_world().target("sim:a")
    key = key_of(seed)
    for number in range(requests):
        first, second = (
            model.script(Draws.of(key, target, number, 0), 0.0).first
            for target in ("sim:a", "sim:b")
        )
        yield min(first, P95 + second)


def _line(first: Percentiles) -> str:
    return (
        f"p50 {first.p50:.3f} p95 {first.p95:.3f} p99 {first.p99:.3f} p99.9 {first.p999:.3f} "
        f"mean {first.mean:.4f}"
    )


def _per_second(
    stack: Sequence[Middleware], world: WorldModel | None = None, requests: int = 5000
) -> float:
    started = time.process_time()
    simulate(stack, world=world, requests=requests)
    return requests / (time.process_time() - started)


def speeds() -> None:
    """Simulated requests a second of the processor."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "twenty.toml")
        path.write_text(TWENTY)
        twenty = load_world(path)
    full = max(_per_second(default_stack("sim:a", "sim:b"), twenty, 2000) for _ in range(3))
    say("default stack of two, 20 deltas", full, 400, "requests/s", most=False)
    hedge = max(_per_second([Hedge("p95", targets=["sim:b"])]) for _ in range(3))
    say("hedge, one token", hedge, 2000, "requests/s", most=False)
    default = max(_per_second(default_stack("sim:a", "sim:b")) for _ in range(3))
    print(f"      (default stack of two, one token: {default:.0f}; ", end="")
    print(f"the bare target: {max(_per_second(()) for _ in range(3)):.0f})", flush=True)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    speeds()
    tails(*(given + [100_000, 5][len(given) :]))
