"""`llmmw map` over HTTP, killed again and again: each row once in the output, and no call but for
rows, and for what was in flight or not written yet at the kills.

    python3 -m tests.benchmarks.bench_jobs --rows 100000 --kills 50
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.jobs.kills import killed_job


def main() -> None:
    """One job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = killed_job(
            Path(folder),
            given.rows,
            given.kills,
            concurrency=given.concurrency,
            seed=given.seed,
            told=True,
        )
    print(report)
    good = not report.again and report.calls <= report.rows + len(report.lost)
    print("ok  " if good else "MISS", "calls <= rows + calls in flight or not written at the kills")


if __name__ == "__main__":
    main()
