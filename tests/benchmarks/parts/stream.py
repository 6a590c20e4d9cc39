"""Streamed answers: chunks a second, processor time each, and time added to the first token."""

from __future__ import annotations

from tests.benchmarks._bench import Bench, Row, ratio
from tests.benchmarks._children import Children, Results
from tests.benchmarks._rivals import STREAMS

_BARE = "bare httptools over trio"
_OURS = "llmmw, default stack"
_STREAMS = 50
_PAUSE_MS = 20


def run(bench: Bench) -> list[Row]:
    """All in one write, and a chunk each 20 ms."""
    chunks = 200 if bench.rounds > 1 else 50
    with bench.clients(STREAMS) as clients:
        burst = clients.measure(
            {"kind": "stream", "seconds": bench.seconds},
            bench.servers.streaming(chunks, 0),
            bench.rounds,
        )
        paced = clients.measure(
            {"kind": "stream", "seconds": 0.0, "in_flight": _STREAMS, "least": _STREAMS},
            bench.servers.streaming(chunks, _PAUSE_MS),
            min(bench.rounds, 3),
        )
        first = _first(bench, clients)
    told = [one.name for one in STREAMS if one.name in burst.keys() & paced.keys() & first.keys()]
    ours = paced.get(_OURS, {}).get("cpu")
    for name, limit in (("openai", 1 / 5), (_BARE, 1.6)):
        other = paced.get(name, {}).get("cpu")
        ratio(f"streaming, paced: CPU a chunk against {name}", (ours, other), limit)
    return [_row(name, burst, paced, first) for name in told]


def _first(bench: Bench, clients: Children) -> Results:
    """One stream at a time, of which the first piece comes at once."""
    job = {"kind": "stream", "seconds": bench.seconds / 2}
    return clients.measure(job, bench.servers.streaming(2, 1), bench.rounds)


def _row(name: str, burst: Results, paced: Results, first: Results) -> Row:
    cpu = paced[name]["cpu"]
    return {
        "client": name,
        "burst chunks/s": burst[name]["rate"],
        "burst CPU µs": burst[name]["cpu"],
        "paced CPU µs": cpu,
        "paced x bare": cpu / paced[_BARE]["cpu"],
        "paced x openai": cpu / paced["openai"]["cpu"] if "openai" in paced else float("nan"),
        "first token ms": first[name]["first"],
        "added ms": first[name]["first"] - first[_BARE]["first"],
    }
