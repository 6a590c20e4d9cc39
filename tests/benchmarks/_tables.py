"""Rows as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.benchmarks._bench import Row

__all__ = ["markdown", "plain"]


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if value != value:
        return "–"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, [[_cell(row.get(name, "")) for name in names] for row in rows]


def plain(rows: Sequence[Row]) -> str:
    """A table for a terminal, with a gap where its first column changes if that repeats."""
    names, cells = _cells(rows)
    if not cells:
        return "      nothing was measured"
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    words = [isinstance(rows[0].get(name), str) for name in names]

    def line(row: Sequence[str]) -> str:
        found = zip(row, widths, words, strict=True)
        each = [text.ljust(width) if left else text.rjust(width) for text, width, left in found]
        return "      " + "  ".join(each).rstrip()

    grouped = len({row[0] for row in cells}) < len(cells)
    lines = [line(names)]
    for before, row in zip([cells[0], *cells], cells, strict=False):
        lines += [""] if grouped and row[0] != before[0] else []
        lines.append(line(row))
    return "\n".join(lines)


def _piped(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def markdown(report: dict[str, Any]) -> str:
    """A whole report, as the page on performance has it."""
    lines: list[str] = []
    for name, rows in report["parts"].items():
        names, cells = _cells(rows)
        rule = ["---" if isinstance(rows[0].get(one), str) else "---:" for one in names]
        lines += [f"### {name}", "", *map(_piped, [names, rule, *cells]), ""]
    lines += ["### Aims", "", "| aim | measured | holds |", "| --- | --- | --- |"]
    for one in report["checks"]:
        limit = f"{one['name']}: {one['sign']} {one['limit']:g} {one['unit']}".strip()
        lines.append(f"| {limit} | {one['measured']:.3g} | {'yes' if one['good'] else '**no**'} |")
    about = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    for env, found in report["versions"].items():
        about += f"; {env}: " + ", ".join(f"{key} {value}" for key, value in found.items())
    return "\n".join([*lines, "", about])
