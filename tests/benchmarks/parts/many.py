"""Ten thousand streams at once, each of which has begun: memory each."""

from __future__ import annotations

from tests.benchmarks._bench import Bench, Row
from tests.benchmarks._measure import say
from tests.benchmarks._rivals import BARE, OURS, Rival

_EMPTY = Rival("llmmw, empty stack", "ours/with_trio.py", variant="bare")
_PAUSE_MS = 120_000
"""Within this nothing more comes."""


def run(bench: Bench) -> list[Row]:
    """The default stack, none, and the floor."""
    job = {"kind": "held", "in_flight": bench.streams}
    rows: list[Row] = []
    for rival in (BARE, _EMPTY, OURS):
        with bench.clients([rival]) as clients:
            found = clients.measure(job, bench.servers.streaming(10, _PAUSE_MS), 1)
        for told in found.values():
            each = told["bytes"] / told["streams"] / 1024
            row: Row = {"client": rival.name, "streams": f"{told['streams']:,.0f}", "KB each": each}
            rows.append(row)
            if rival == OURS:
                say(f"{told['streams']:,.0f} streams at once, default stack", each, 30, "KB each")
    return rows
