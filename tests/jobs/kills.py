"""A job over HTTP, killed again and again: what came out, and what it has cost."""

from __future__ import annotations

import json
import math
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import attrs

from .far_end import Asked, FarEnd

COMMAND = [sys.executable, "-c", "from llmmw.cli import main; main()", "map"]


@attrs.define
class Report:
    """What a job came to. `lost` are the calls that kills have taken: with how long before the
    kill each was answered, in seconds; `None`: it was in flight."""

    rows: int
    calls: int = 0
    kills: int = 0
    seconds: float = 0.0
    again: int = 0
    """How often a row was asked that stood in the journal."""
    lost: list[float | None] = attrs.field(factory=list)
    most_in_flight: int = 0

    def __str__(self) -> str:
        ages = sorted(age for age in self.lost if age is not None)
        oldest = f"{1000 * ages[-1]:.0f} ms" if ages else "none"
        return (
            f"{self.rows:,} rows, {self.kills} kills, {self.calls:,} calls in {self.seconds:.0f} s:"
            f" {self.calls - self.rows} asked twice or more, {len(self.lost)} calls lost by kills "
            f"({len(self.lost) - len(ages)} in flight, {len(ages)} answered and not written, the "
            f"oldest {oldest}), {self.again} asked again out of the journal"
        )


def killed_job(
    folder: Path,
    rows: int,
    kills: int,
    *,
    concurrency: int = 64,
    seed: int = 1,
    told: bool = False,
) -> Report:
    """Run a job, kill it, and so on until it is through; check that each row stands once in the
    output, in its order."""
    chance, report = random.Random(seed), Report(rows)
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text("".join(f'{{"id": {n}, "prompt": "row {n}"}}\n' for n in range(rows)))
    with FarEnd() as far:
        config = folder / "llmmw.toml"
        config.write_text(far.config())
        words = [source, "-o", out, "-m", "openai:x", "--config", config, "--quiet"]
        command = [*COMMAND, *map(str, words), "-c", str(concurrency)]
        begun, known = time.monotonic(), set[int]()
        for kill in range(kills):
            first, process = len(far.calls), subprocess.Popen(command)
            due = (kill + chance.random()) * rows / kills
            early = chance.random() * 2 if chance.random() < 0.2 else math.inf  # wherever it is
            started = time.monotonic()
            while process.poll() is None and len(known) + len(far.calls) - first < due:
                if time.monotonic() > started + early:
                    break
                time.sleep(0.001)
            process.kill()
            at = time.monotonic()
            report.kills += process.wait() == -9
            now = _journaled(Path(f"{out}.journal"))
            _account(report, far.calls[first:], known, now, at)
            known = now
            if told:
                print(f"kill {kill + 1}: {len(known):,} rows are answered", flush=True)
        first = len(far.calls)
        subprocess.run(command, check=True)
        _account(report, far.calls[first:], known, set(range(rows)), time.monotonic())
        report.seconds, report.calls = time.monotonic() - begun, len(far.calls)
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in answers] == list(range(rows))
    assert all(row["text"] == f"re: row {row['id']}" for row in answers)
    return report


def _account(
    report: Report, calls: list[Asked], before: set[int], after: set[int], at: float
) -> None:
    """Of one run: what it has asked for nothing, and what the kill has taken."""
    places = [int(one.prompt.split()[-1]) for one in calls]
    report.again += sum(place in before for place in places)
    lost = [one for place, one in zip(places, calls, strict=True) if place not in after]
    flying = [one for one in lost if one.answered is None or one.answered > at]
    report.most_in_flight = max(report.most_in_flight, len(flying))
    report.lost += [
        at - one.answered if one.answered is not None and one.answered <= at else None
        for one in lost
    ]


def _journaled(path: Path) -> set[int]:
    """The places of the rows that a journal has."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
        try:
            return {place for (place,) in db.execute("SELECT place FROM rows")}
        finally:
            db.close()
    except sqlite3.OperationalError:
        return set()  # killed before it was made
