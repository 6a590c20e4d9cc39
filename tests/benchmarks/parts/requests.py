"""Whole answers: requests a second, processor time each, and how long they take."""

from __future__ import annotations

from tests.benchmarks._bench import Bench, Row, ratio
from tests.benchmarks._children import Results
from tests.benchmarks._rivals import REQUESTS

_FLIGHTS = (1, 64, 512)


def run(bench: Bench) -> list[Row]:
    """Compare all, with 1, 64 and 512 in flight."""
    rows: list[Row] = []
    found: dict[int, Results] = {}
    with bench.clients(REQUESTS) as clients:
        for flight in _FLIGHTS:
            job = {"kind": "requests", "in_flight": flight, "seconds": bench.seconds}
            job["least"] = min(bench.rounds, 2) * flight
            told = found[flight] = clients.measure(job, bench.servers.fixed, bench.rounds)
            rows += [_row(flight, name, told) for name in told]
    _checks(found)
    return rows


def _row(flight: int, name: str, told: Results) -> Row:
    own = told[name]
    row: Row = {"in flight": str(flight), "client": name, "requests/s": own["rate"]}
    if "openai" in told:
        row["x openai"] = own["rate"] / told["openai"]["rate"]
    row["CPU µs"] = own["cpu"]
    row["x bare CPU"] = own["cpu"] / told["bare httptools over trio"]["cpu"]
    return row | {"p50 ms": own["p50"], "p99 ms": own["p99"]}


def _checks(found: dict[int, Results]) -> None:
    def of(flight: int, name: str, key: str = "rate") -> float | None:
        return found[flight].get(name, {}).get(key)

    ours, bare = "llmmw, default stack", "bare httptools over trio"
    for flight, limit in ((64, 8), (512, 12)):
        rates = of(flight, ours), of(flight, "openai")
        ratio(f"requests/s against openai, {flight} in flight", rates, limit, most=False)
        rates = of(flight, ours), of(flight, "litellm")
        ratio(f"requests/s against litellm, {flight} in flight", rates, 15, most=False)
        cpu = of(flight, ours, "cpu"), of(flight, bare, "cpu")
        ratio(f"CPU a request against bare httptools over trio, {flight} in flight", cpu, 3)
    each = [of(flight, ours, "cpu") or 0.0 for flight in _FLIGHTS]
    ratio("CPU a request from 1 to 512 in flight, most / least", (max(each), min(each)), 1.3)
    tails = of(512, ours, "p99"), of(512, "httpx on trio", "p99")
    ratio("p99 against httpx, 512 in flight", tails, 1 / 8)
    for name, limit in (("llmmw.aio, by its thread", 5), ("llmmw.aio, as a guest", 7)):
        rates = of(64, name), of(64, "openai")
        ratio(f"{name}: requests/s against openai, 64 in flight", rates, limit, most=False)
