"""How far a command has come, on stderr: bars on a terminal, a plain line now and then elsewhere.

Both take the time from their caller and draw no more often than they may, so telling them
everything costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import attrs
import click

from llmmw._instrument import Instrument
from llmmw._ledger import DownloadProgress, Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bars", "Display", "Lines", "downloads", "megabytes", "open_display"]

_LINE_EVERY = 5.0
_BAR_EVERY = 0.25


class Display(Protocol):
    """Shows how far each of some things has come."""

    def show(self, now: float, what: str, done: int, total: int | None, line: str) -> None:
        """`what` names the thing, `line` says it all in words."""

    def close(self) -> None:
        """Nothing more will come."""


@attrs.define(eq=False)
class Silent:
    """Shows nothing."""

    def show(self, now: float, what: str, done: int, total: int | None, line: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@attrs.define(eq=False)
class Lines:
    """Plain lines: of each thing one every five seconds at most, and one when it is finished."""

    _next: dict[str, float] = attrs.field(factory=dict)
    _finished: set[str] = attrs.field(factory=set)

    def show(self, now: float, what: str, done: int, total: int | None, line: str) -> None:
        """Print the line if it is time to."""
        finished = total is not None and done >= total
        due = now >= self._next.setdefault(what, now + _LINE_EVERY)
        if what in self._finished or not (due or finished):
            return
        self._next[what] = now + _LINE_EVERY
        if finished:
            self._finished.add(what)
        click.echo(line, err=True)

    def close(self) -> None:
        """Nothing is left behind."""


@attrs.define(eq=False)
class Bars:
    """Bars on a terminal, which go away at the end."""

    _bars: Progress | None = None
    _tasks: dict[str, TaskID] = attrs.field(factory=dict)
    _next: float = 0.0

    def show(self, now: float, what: str, done: int, total: int | None, line: str) -> None:
        """Move the bar of this thing; draw if it is time to."""
        if self._bars is None:
            self._bars = _new_bars()
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, line="")
        self._bars.update(self._tasks[what], completed=done, total=total, line=line)
        if now >= self._next:
            self._next = now + _BAR_EVERY
            self._bars.refresh()

    def close(self) -> None:
        """Give the terminal back as it was."""
        if self._bars is not None:
            self._bars.stop()


def _new_bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.fields[line]}", markup=False),
        console=Console(stderr=True),
        # The caller draws: a thread of rich's would take its time from the calls.
        auto_refresh=False,
        transient=True,
    )


@contextmanager
def open_display(*, quiet: bool = False, bars: bool = True) -> Iterator[Display]:
    """The display that fits stderr; `bars=False` where something else is on the terminal."""
    display: Display
    if quiet or sys.stderr is None:
        display = Silent()
    elif bars and sys.stderr.isatty():
        display = Bars()
    else:
        display = Lines()
    try:
        yield display
    finally:
        display.close()


def downloads(display: Display) -> Instrument:
    """An instrument that shows what is downloaded, as a local model is on its first use."""

    def hear(event: Event) -> None:
        if isinstance(event, DownloadProgress):
            line = f"downloading {event.name}: {megabytes(event.done, event.total)}"
            display.show(event.time, f"download {event.name}", event.done, event.total, line)

    return hear


def megabytes(done: int, total: int | None) -> str:
    """`1.5 of 3.0 MB (50 %)`."""
    if not total:
        return f"{done / 1e6:,.1f} MB"
    return f"{done / 1e6:,.1f} of {total / 1e6:,.1f} MB ({100 * done // total} %)"
