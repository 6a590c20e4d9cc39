"""`llmmw plugins`: what is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import attrs
import click
import orjson

from llmmw._plugins import Listing, Plugins

__all__ = ["plugins"]

_COLOURS = {"ready": "green", "blocked": "yellow", "gives way": "yellow", "broken": "red"}


@click.command(short_help="List what is installed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def plugins(as_json: bool) -> None:
    """List every provider, policy, builtin, store and command, and where it comes from.

    \b
    States:
      ready      can be used
      broken     can't be used; the reason stands beside it
      blocked    switched off by LLMMW_BLOCK=[distribution/][kind:]name,…
      gives way  another distribution is made for this name

    \b
    Examples:
      llmmw plugins
      llmmw plugins --json | jq -r '.[] | select(.state == "broken") | .reason'

    Exit status: 0, also when a plugin is broken.
    """  # noqa: D301 (click wants the character)
    listed = list(Plugins().listing())
    if as_json:
        rows = [attrs.asdict(one) for one in listed]
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
        click.echo(orjson.dumps(rows, default=_plain, option=option), nl=False)
    elif sys.stdout.isatty():
        _print_table(listed)
    else:
        for line in _aligned([("name", "kind", "from", "state", "what"), *map(_cells, listed)]):
            click.echo(line)


def _plain(value: Any) -> Any:
    """A default of an option as JSON can have it."""
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else repr(value)


def _cells(one: Listing) -> tuple[str, str, str, str, str]:
    options = ", ".join(f"{name}={_shown(default)}" for name, default in one.options.items())
    what = one.reason or one.summary + (f" ({options})" if options else "")
    source = f"{one.distribution} {one.version}".strip()
    return one.name, one.kind, source, one.state, what


def _shown(default: Any) -> str:
    plain = (str, int, float, bool, list, tuple, dict, type(None))
    return str(default if isinstance(default, plain) else _plain(default))


def _aligned(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _print_table(listed: list[Listing]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("name", "kind", "from", "state", "what", box=None, pad_edge=False)
    for one in listed:
        name, kind, source, state, what = _cells(one)
        colour = _COLOURS[one.state]
        table.add_row(Text(name), kind, Text(source), Text(state, style=colour), Text(what))
    Console().print(table)
