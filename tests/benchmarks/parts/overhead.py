"""What each policy, and each whole stack, adds to a call. No network."""

from __future__ import annotations

from tests.benchmarks._bench import Bench, Row
from tests.benchmarks._rivals import Rival

_PROGRAM = Rival("overhead", "ours/overhead.py")


def run(bench: Bench) -> list[Row]:
    """Each stack against an empty one."""
    job = {"kind": "overhead", "in_flight": 64, "seconds": bench.rounds, "least": 3_000}
    with bench.clients([_PROGRAM]) as clients:
        taken = clients.measure(job, "", 1).get(_PROGRAM.name, {})
    return [
        {"stack": name, "CPU µs a call": each, "added µs": each - taken["empty"]}
        for name, each in taken.items()
    ]
