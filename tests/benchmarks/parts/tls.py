"""Whole answers over TLS, 64 in flight."""

from __future__ import annotations

import math

from tests.benchmarks._bench import Bench, Row
from tests.benchmarks._rivals import TLS

_FLIGHT = 64


def run(bench: Bench) -> list[Row]:
    """Compare with TLS, and each with itself without."""
    job = {"kind": "requests", "in_flight": _FLIGHT, "seconds": bench.seconds, "least": 128}
    address = bench.servers.secure
    with bench.clients(TLS, {"SSL_CERT_FILE": str(bench.servers.authority)}) as clients:
        secure = clients.measure(job, address, bench.rounds)
        plain = clients.measure(job, bench.servers.fixed, bench.rounds)
    openai = secure.get("openai", {}).get("rate", math.nan)
    return [
        {
            "client": name,
            "requests/s": own["rate"],
            "x openai": own["rate"] / openai,
            "CPU µs": own["cpu"],
            "x without TLS": own["cpu"] / plain[name]["cpu"],
            "p99 ms": own["p99"],
        }
        for name, own in secure.items()
        if name in plain
    ]
