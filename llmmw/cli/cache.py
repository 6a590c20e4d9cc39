"""`llmmw cache`: what is kept of answers."""

from __future__ import annotations

import base64
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import orjson
import trio

from llmmw._plugins import Plugins
from llmmw._record import read_record
from llmmw._response import Response
from llmmw._store import Store, Stored, StoreError, opened
from llmmw._tasks import open_host
from llmmw.cli._kept import Entry, differences, entries_of
from llmmw.cli._run import Failed, Misused, tame

__all__ = ["cache"]

_WIDTH = 60
_LONGEST = 2**28
"""Bytes of a line that is read: twice the largest entry, in base64 and as text."""
_LONGEST_KEY = 200

_store = click.option(
    "--store",
    default="sqlite",
    show_default=True,
    help='The store, as a stack names it: "sqlite:answers.db".',
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_target = click.option("--target", help='Only answers of this target, "provider:model".')


@click.group(short_help="Look at kept answers, copy and clear them.")
def cache() -> None:
    """Look at the answers that a Cache has kept, copy them and clear them.

    \b
    Examples:
      llmmw cache stats
      llmmw cache list --store sqlite:answers.db --target openai:gpt-4o-mini
      llmmw cache export answers.jsonl
      llmmw cache merge sqlite:theirs.db
      llmmw cache clear --older-than 30d --yes
    """  # noqa: D301 (click wants the character)


@asynccontextmanager
async def _opened(*names: str, read_only: bool = False) -> AsyncIterator[list[Store]]:
    async with open_host() as host:
        registry = Plugins()
        host.make_store = lambda *given: registry.make("store", *given)
        stores = []
        for name in names:
            kind, _, path = name.partition(":")
            if read_only and kind == "sqlite":
                place = {"path": path} if path else {}
                stores.append(await opened(host, {"use": kind, "read_only": True, **place}))
            else:
                stores.append(await opened(host, name))
        yield stores


def _run(work: Callable[[], Awaitable[None]]) -> None:
    """Run it; what a store can't do is the command's failure."""
    try:
        trio.run(work)
    except (StoreError, sqlite3.Error) as error:
        raise Failed(str(error)) from error


@cache.command()
@_store
@_json
def stats(store: str, as_json: bool) -> None:
    """How many answers are kept, of which targets, and what they have cost."""

    async def work() -> None:
        async with _opened(store, read_only=True) as (opened_store,):
            targets: dict[str, dict[str, Any]] = {}
            async for entry in entries_of(opened_store):
                _count(targets.setdefault(entry.target, _empty()), entry)
            whole = {"store": store, **opened_store.statistics(), "targets": targets}
            _print_stats(whole, as_json)

    _run(work)


def _empty() -> dict[str, Any]:
    names = ("entries", "bytes", "input_tokens", "output_tokens", "cost", "oldest")
    return dict.fromkeys(names, 0)


def _count(row: dict[str, Any], entry: Entry) -> None:
    row["entries"] += 1
    row["bytes"] += len(entry.stored.value)
    row["oldest"] = max(row["oldest"], entry.stored.age)
    usage = entry.answer.usage if isinstance(entry.answer, Response) else None
    if usage is not None:
        row["input_tokens"] += usage.input_tokens or 0
        row["output_tokens"] += usage.output_tokens or 0
        row["cost"] += usage.cost or 0


def _print_stats(whole: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(whole, default=float, option=orjson.OPT_INDENT_2))
        return
    click.echo(f"{whole['store']}: {whole['entries']} entries, {whole['bytes']} bytes")
    for target, row in sorted(whole["targets"].items()):
        cost = f", ${Decimal(row['cost']):f}" if row["cost"] else ""
        tokens = f"{row['input_tokens']} tokens in, {row['output_tokens']} out"
        age = _span(row["oldest"])
        click.echo(f"  {tame(target)}: {row['entries']}, {tokens}{cost}, oldest {age}")


@cache.command(name="list")
@_store
@_target
@_json
def list_entries(store: str, target: str | None, as_json: bool) -> None:
    """List what is kept, a line each: key, age, target, and how the answer begins."""

    async def work() -> None:
        async with _opened(store, read_only=True) as (opened_store,):
            async for entry in entries_of(opened_store, target):
                if as_json:
                    click.echo(orjson.dumps(entry.row()))
                    continue
                words = " ".join(tame(entry.text).split())[:_WIDTH]
                age = _span(entry.stored.age)
                click.echo(f"{tame(entry.stored.key)}  {age:>5}  {tame(entry.target)}  {words}")

    _run(work)


@cache.command()
@_store
@_target
@click.option("--older-than", help="Only what is older: 90s, 15m, 12h, 30d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(store: str, target: str | None, older_than: str | None, yes: bool) -> None:
    """Forget what is kept, all or some of it."""
    age = 0.0 if older_than is None else _seconds(older_than)
    if not yes:
        some = " some of" if target or older_than else ""
        click.confirm(f"Forget{some} what is kept in {store}?", abort=True)

    async def work() -> None:
        async with _opened(store) as (opened_store,):
            gone = 0
            async for entry in entries_of(opened_store, target):
                if entry.stored.age >= age:
                    gone += await opened_store.delete(entry.stored.key)
            await opened_store.flush()
            click.echo(f"{gone} entries are forgotten")

    _run(work)


@cache.command(name="export")
@_store
@_target
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file.")
def export_entries(store: str, target: str | None, file: Path, force: bool) -> None:
    """Write what is kept into a file of lines of JSON, for `import`."""

    async def work() -> None:
        count = 0
        async with _opened(store, read_only=True) as (opened_store,):
            with open(file, "wb" if force else "xb", opener=_private) as out:  # noqa: ASYNC230
                async for entry in entries_of(opened_store, target):
                    value = base64.b64encode(entry.stored.value).decode()
                    out.write(orjson.dumps(entry.row() | {"value": value}) + b"\n")
                    count += 1
        click.echo(f"{count} entries are in {file}")

    try:
        _run(work)
    except FileExistsError as error:
        raise Misused(f"{file} is there already; --force overwrites it") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@cache.command(name="import")
@_store
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--overwrite", is_flag=True, help="What is there already gives way.")
def import_entries(store: str, file: Path, overwrite: bool) -> None:
    """Keep what `export` has written."""

    async def rows() -> AsyncIterator[Stored]:
        now = time.time()
        with file.open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_LONGEST), b""), start=1):
                try:
                    yield _stored(line, now)
                except (ValueError, KeyError, TypeError) as error:
                    raise Failed(f"line {number} of {file} is no entry of a cache") from error

    _run(lambda: _copy(rows, store, overwrite=overwrite))


def _stored(line: bytes, now: float) -> Stored:
    """A line of what `export` has written.

    Raises:
        ValueError: for another. TypeError, KeyError: likewise.
    """
    row = orjson.loads(line)
    key, value = row["key"], base64.b64decode(row["value"], validate=True)
    if not (isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY and key.isprintable()):
        raise ValueError("its key is none")
    read_record(value)
    ttl = None if row["expires"] is None else row["expires"] - now
    return Stored(key, value, max(0.0, now - row["made"]), ttl)


@cache.command()
@_store
@click.argument("sources", nargs=-1, required=True)
@click.option("--overwrite", is_flag=True, help="What is there already gives way.")
def merge(store: str, sources: tuple[str, ...], overwrite: bool) -> None:
    """Keep what other stores have, too."""

    async def work() -> None:
        for source in sources:
            async with _opened(source, read_only=True) as (other,):
                await _copy(other.scan, store, overwrite=overwrite)

    _run(work)


async def _copy(rows: Callable[[], AsyncIterator[Stored]], store: str, *, overwrite: bool) -> None:
    new = old = 0
    async with _opened(store) as (own,):
        async for one in rows():
            if one.ttl is not None and one.ttl <= 0:
                continue
            there = await own.get(one.key) is not None
            if there and not overwrite:
                old += 1
                continue
            new += 1
            await own.put(one.key, one.value, one.ttl, age=one.age)
            if not new % 1000:
                await own.flush()
        await own.flush()
    click.echo(f"{new} entries are copied; {old} were there already")


@cache.command()
@click.argument("before")
@click.argument("after")
@_json
def diff(before: str, after: str, as_json: bool) -> None:
    """List what one store has and another has not: `+` new, `-` gone, `~` another answer.

    Exit status: 0, also where they differ.
    """

    async def work() -> None:
        async with _opened(before, after, read_only=True) as (one, other):
            async for sign, entry in differences(one, other):
                if as_json:
                    click.echo(orjson.dumps({"change": sign, **entry.row()}))
                    continue
                words = " ".join(tame(entry.text).split())[:_WIDTH]
                click.echo(f"{sign} {tame(entry.stored.key)}  {tame(entry.target)}  {words}")

    _run(work)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(given: str) -> float:
    try:
        return float(given[:-1]) * _UNITS[given[-1:]]
    except (KeyError, ValueError) as error:
        raise click.BadParameter(f"{given!r}: expected 90s, 15m, 12h or 30d") from error


def _span(seconds: float) -> str:
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit]:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:.0f}s"
