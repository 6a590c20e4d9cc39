"""Does memory grow with calls that have ended?"""

from __future__ import annotations

from tests.benchmarks._bench import Bench, Row
from tests.benchmarks._measure import say
from tests.benchmarks._rivals import OURS, Rival

_ROWS = Rival("map over rows, no network", "ours/rows.py")


def run(bench: Bench) -> list[Row]:
    """Calls over a connection, and rows of a map; `--calls` says how many."""
    job = {"in_flight": 64, "least": bench.calls}
    with bench.clients([OURS, _ROWS]) as clients:
        told = clients.measure(job | {"kind": "memory"}, bench.servers.fixed, 1, [OURS])
        told |= clients.measure(job | {"kind": "map"}, "", 1, [_ROWS])
    rows: list[Row] = []
    for name, own in told.items():
        grown = (own["end"] - own["early"]) / 1e6
        row: Row = {"of": name, "calls": f"{bench.calls:,}", "calls/s": own["rate"]}
        rows.append(row | {"MB at 10,000": own["early"] / 1e6, "grown MB": grown})
        say(f"{name}: memory after {bench.calls:,}, beyond 10,000", abs(grown), 5, "MB")
    return rows
