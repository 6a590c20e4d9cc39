"""A picture of simulations: how long calls took, percentile by percentile."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmmw.errors import ConfigError
from llmmw.sim._report import Report

__all__ = ["plot", "ready_to_plot"]

_COLOURS = ("#0b6e99", "#b3541e", "#5b7f3b", "#7a4f9a")
_GREY = "#5f6b73"
_SHARES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_STEPS = 400


def ready_to_plot(path: Path) -> None:
    """Raise `ConfigError` unless `plot` can write this file; asked before a long run."""
    try:
        import matplotlib.figure
    except ImportError:
        raise ConfigError(
            "a plot needs matplotlib, which is not installed: python3 -m pip install 'llmmw[plot]'"
        ) from None
    known = sorted(matplotlib.figure.Figure().canvas.get_supported_filetypes())
    if path.suffix.removeprefix(".") not in known:
        kinds = ", ".join(f".{kind}" for kind in known)
        raise ConfigError(f"can't plot into {path}: its name should end with one of {kinds}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"can't plot into {path}: there is no folder {path.parent}")


def plot(path: Path, reports: Mapping[str, Report]) -> None:
    """Draw the percentiles of first token and completion of simulations that met the same world.

    Args:
        path: the file; its suffix says what it is, as `.svg` or `.png`.
        reports: by the names that the picture has for them; the first is drawn in front.

    Raises:
        ConfigError: without matplotlib (`llmmw[plot]`), or for a file that it can't write.
        OSError: if the file can't be written.
    """
    ready_to_plot(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    look: dict[Any, Any] = {
        "font.size": 10,
        "svg.hashsalt": "llmmw",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _GREY,
        "xtick.color": _GREY,
        "ytick.color": _GREY,
    }
    with mpl.rc_context(look):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for (name, report), colour in reversed(list(zip(reports.items(), _COLOURS, strict=False))):
            _draw(axes, name, report, colour)
        _dress(axes, next(iter(reports.values())))
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            rows = handles[::-1], labels[::-1]
            figure.legend(*rows, loc="outside lower left", ncols=2, frameon=False)
        metadata = {"Date": None} if path.suffix == ".svg" else None  # the same run, the same file
        figure.savefig(path, dpi=160, metadata=metadata)


def _draw(axes: Any, name: str, report: Report, colour: str) -> None:
    curves = [("first token", report.first_tokens, "-")]
    if report.completions != report.first_tokens:
        curves.insert(0, ("completion", report.completions, "--"))
    for what, values, style in curves:
        shares, seconds = _curve(values)
        if seconds:
            label = f"{name}: {what}"
            axes.plot(_places(shares), seconds, style, color=colour, linewidth=1.8, label=label)


def _curve(values: array[float]) -> tuple[list[float], list[float]]:
    """Some shares of all calls, the closer the nearer to all, and the seconds below which they
    lie; it ends where calls were not answered."""
    known = sorted(value for value in values if not math.isnan(value))
    end = math.log10(max(len(values), 10))
    shares = [1.0 - 10.0 ** (-end * step / _STEPS) for step in range(_STEPS + 1)]
    ranks = [max(math.ceil(share * len(values)) - 1, 0) for share in shares]
    reached = [rank for rank in ranks if rank < len(known)]
    return shares[: len(reached)], [known[rank] for rank in reached]


def _places(shares: list[float]) -> list[float]:
    """Where shares stand: each nine takes as much room as the one before."""
    return [-math.log10(1.0 - share) for share in shares]


def _dress(axes: Any, report: Report) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    end = math.log10(max(report.requests, 10))
    shown = [share for share in _SHARES if _places([share])[0] <= end + 1e-9]
    axes.set_xlim(0.0, end)
    axes.set_xticks(_places(shown), [f"p{share * 100:g}" for share in shown])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes.grid(color="#e3e7ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("percentile of all calls; a curve ends where calls got no answer", color=_GREY)
    calls = f"{report.requests:,} calls at {report.rate:g}/s, seed {report.seed}"
    axes.set_title(
        f"{Path(report.world).stem} world: {calls}", loc="left", fontsize=10, color=_GREY
    )
