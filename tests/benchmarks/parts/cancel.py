"""A thousand calls in flight are given up: until when all have returned, and what is left."""

from __future__ import annotations

from tests.benchmarks._bench import Bench, Row
from tests.benchmarks._measure import say
from tests.benchmarks._rivals import BARE, OURS

_FLIGHT = 1_000


def run(bench: Bench) -> list[Row]:
    """Ours, and the floor."""
    job = {"kind": "cancelled", "in_flight": _FLIGHT}
    with bench.clients([BARE, OURS]) as clients:
        told = clients.measure(job, bench.servers.silent, bench.rounds)
    ours = told[OURS.name]
    say(f"{_FLIGHT:,} calls cancelled, until all have returned", ours["seconds"] * 1e3, 250, "ms")
    say("connections left of them", ours["left"], 0, "")
    return [
        {"client": name, "ms": own["seconds"] * 1e3, "connections left": own["left"]}
        for name, own in told.items()
    ]
