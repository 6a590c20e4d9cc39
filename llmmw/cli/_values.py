"""How what a provider tells is printed: lists as tables, row by row as they come, one value as a
card; or each as a line of JSON. And how far something is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import attrs
import click
import orjson
import trio

from llmmw._administration import BatchInfo, FineTuneInfo, ModelInfo, Pages, Refusal, Transfer
from llmmw.cli._progress import megabytes, open_display
from llmmw.cli._run import tame

__all__ = ["Table", "print_fact", "print_value", "transferring", "waiting"]

_TIMES = {"created", "expires", "finished", "at", "made"}
_ONE_LINE = str.maketrans("\n\t", "  ")
_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""JSON leaves these as they are, and terminals obey them."""


class Table:
    """Rows under headings. The first rows say how wide the columns are, and which are left out
    since nothing stands in them; if something does later, there are new headings.

    Args:
        columns: names of fields.
    """

    def __init__(self, *columns: str, as_json: bool) -> None:
        self._columns, self._as_json = columns, as_json
        self._widths = [0] * len(columns)

    async def print_all(self, pages: Pages[Any]) -> None:
        """Print a list as it comes."""
        rows = aiter(pages)
        while page := await rows.next_rows():
            self.print_rows(page)

    def print_rows(self, values: Sequence[Any]) -> None:
        """Print some rows more."""
        if self._as_json:
            for value in values:
                click.echo(_json(attrs.asdict(value)))
            return
        cells = [[_shown(name, getattr(value, name)) for name in self._columns] for value in values]
        if any(text and not wide for row in cells for text, wide in self._with_widths(row)):
            self._begin(cells)
        for row in cells:
            self._print(row)

    def _begin(self, first: list[list[str]]) -> None:
        longest = [max(map(len, column)) for column in zip(*first, strict=True)]
        names = [name.replace("_", " ") for name in self._columns]
        self._widths = [wide and max(wide, len(n)) for wide, n in zip(longest, names, strict=True)]
        self._print(names)

    def _print(self, row: list[str]) -> None:
        cells = [text.ljust(wide) for text, wide in self._with_widths(row) if wide]
        click.echo("  ".join(cells).rstrip())

    def _with_widths(self, row: list[str]) -> Iterator[tuple[str, int]]:
        return zip(row, self._widths, strict=True)


def print_value(value: Any, *, as_json: bool) -> None:
    """Print all that is known of something; what the host tells besides stands in the JSON."""
    if as_json:
        click.echo(_json(attrs.asdict(value)))
        return
    names = [field.name for field in attrs.fields(type(value)) if field.name != "raw"]
    cells = {name.replace("_", " "): _shown(name, getattr(value, name)) for name in names}
    told = {name: text for name, text in cells.items() if text}
    width = max(map(len, told))
    for name, text in told.items():
        click.echo(f"{name:<{width}}  {text}")


def print_fact(fact: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    """Print what was done, in words."""
    click.echo(_json(fact) if as_json else tame(words).translate(_ONE_LINE))


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode().translate(_ESCAPED)


def _shown(name: str, value: Any) -> str:
    """A field as a cell; what is not known is left empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _TIMES:
        return _moment(value)
    if name == "bytes":
        return f"{value:,}"
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, tuple):
        value = "; ".join(_refusal(one) if isinstance(one, Refusal) else str(one) for one in value)
    return tame(str(value)).translate(_ONE_LINE)


def _refusal(refusal: Refusal) -> str:
    return refusal.message if refusal.line is None else f"line {refusal.line}: {refusal.message}"


def _moment(seconds: float) -> str:
    """A time as the clock on the wall has it."""
    try:
        return datetime.fromtimestamp(seconds).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def transferring(what: str) -> Iterator[Callable[[Transfer], None]]:
    """Gives what hears how far an upload or a download is, and shows it on a terminal."""
    with open_display(quiet=not _on_terminal()) as display:

        def hear(transfer: Transfer) -> None:
            name = tame(transfer.status or what).translate(_ONE_LINE)
            moves = transfer.done or transfer.total
            line = f"{name}: {megabytes(transfer.done, transfer.total)}" if moves else name
            display.show(trio.current_time(), name, transfer.done, transfer.total, line)

        yield hear


@contextmanager
def waiting() -> Iterator[Callable[[BatchInfo | FineTuneInfo | ModelInfo], None]]:
    """Gives what hears how far something is that a host does, and shows it on a terminal."""
    with open_display(quiet=not _on_terminal()) as display:

        def hear(info: BatchInfo | FineTuneInfo | ModelInfo) -> None:
            total = info.total if isinstance(info, BatchInfo) else None
            done = (info.completed or 0) + (info.failed or 0) if isinstance(info, BatchInfo) else 0
            far = "" if total is None else f", {done} of {total}"
            line = tame(f"{info.id}: {info.status}{far}").translate(_ONE_LINE)
            display.show(trio.current_time(), info.id, done, total, line)

        yield hear
