"""Drawings of a report, as SVG: `python plots.py REPORT FOLDER`. It needs matplotlib.

Text stays text, in whatever font the reader has; grey and mid tones on no ground can be read on a
light page and on a dark one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

_GREY = "#808080"
_COLOURS = {
    "bare httptools over trio": _GREY,
    "llmmw, default stack": "#d9480f",
    "llmmw.aio, as a guest": "#f08c00",
    "llmmw.aio, by its thread": "#c2a000",
    "aiohttp": "#2f9e44",
    "httpx on trio": "#1098ad",
    "openai": "#4c7df0",
    "langchain-openai": "#9c5fd6",
    "litellm": "#d6498f",
}
"""Who is drawn."""
_BY_FLIGHT = {
    "cpu": ("CPU µs", "CPU a request, µs"),
    "rate": ("requests/s", "requests a second"),
    "p99": ("p99 ms", "p99, ms"),
}


def _axes(height: float) -> tuple[Any, Any]:
    figure, axes = pyplot.subplots(figsize=(7.2, height))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", which="major", linewidth=0.4, alpha=0.5)
    return figure, axes


def _saved(figure: Any, path: Path) -> None:
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def _by_flight(rows: list[dict[str, Any]], column: str, title: str, path: Path) -> None:
    """A line for each client, over how many are in flight."""
    figure, axes = _axes(4)
    for name, colour in _COLOURS.items():
        own = [row for row in rows if row["client"] == name]
        flights = [int(row["in flight"]) for row in own]
        width = 2.2 if name.startswith("llmmw") else 1.3
        heights = [row[column] for row in own]
        axes.plot(flights, heights, "o-", color=colour, label=name, linewidth=width, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="in flight", title=title)
    axes.set_xticks([1, 64, 512], ["1", "64", "512"])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    _saved(figure, path)


def _by_chunk(rows: list[dict[str, Any]], path: Path) -> None:
    """Two bars for each client."""
    figure, axes = _axes(0.5 * len(rows) + 1)
    for shift, column, alpha in ((-0.2, "paced CPU µs", 1.0), (0.2, "burst CPU µs", 0.5)):
        places = [number + shift for number in range(len(rows))]
        colours = [_COLOURS.get(row["client"], _GREY) for row in rows]
        bars = axes.barh(places, [row[column] for row in rows], 0.38, color=colours, alpha=alpha)
        axes.bar_label(bars, fmt="{:.1f}", padding=3, fontsize=8, color=_GREY)
    axes.set_yticks(range(len(rows)), [row["client"] for row in rows])
    axes.invert_yaxis()
    axes.set(xscale="log", title="CPU a chunk, µs: paced (full) and in one burst (pale)")
    _saved(figure, path)


def main(report: Path, folder: Path) -> None:
    """Draw all that a report has rows for."""
    mpl.use("svg")
    text = dict.fromkeys(["text.color", "axes.labelcolor", "xtick.color", "ytick.color"], _GREY)
    style = {"svg.fonttype": "none", "svg.hashsalt": "llmmw", "font.family": "sans-serif"}
    mpl.rcParams.update(text | style | {"axes.edgecolor": _GREY, "font.size": 10})
    parts = json.loads(report.read_text())["parts"]
    folder.mkdir(parents=True, exist_ok=True)
    if "requests" in parts:
        for name, (column, title) in _BY_FLIGHT.items():
            _by_flight(parts["requests"], column, title, folder / f"{name}.svg")
    if "stream" in parts:
        _by_chunk(parts["stream"], folder / "chunks.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
