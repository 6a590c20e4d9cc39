"""Medians of interleaved runs, so that a busy machine slows all rivals alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

SAID: list[dict[str, Any]] = []
"""All that was said, for who writes it down."""


def medians(runs: Mapping[str, Callable[[], float]], rounds: int = 7) -> dict[str, float]:
    """The median of each rival's own measure, over rounds in which each runs once."""
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return {name: statistics.median(times) for name, times in taken.items()}


def say(name: str, measured: float, limit: float, unit: str, *, most: bool = True) -> None:
    """Print one line: what was measured, and whether it holds."""
    good = measured <= limit if most else measured >= limit
    sign = "<=" if most else ">="
    print(f"{'ok  ' if good else 'MISS'}  {name}: {measured:.3f} {unit} (aim {sign} {limit:g})")
    row = {"name": name, "measured": measured, "limit": limit, "unit": unit, "sign": sign}
    SAID.append(row | {"good": good})
