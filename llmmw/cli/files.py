"""`llmmw files`: the files that providers keep."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from llmmw._administration import FileInfo
from llmmw._session import Client
from llmmw.cli._administered import Asked, Given, administering, ids_argument, limit_option
from llmmw.cli._run import Misused
from llmmw.cli._values import Table, print_fact, print_value, transferring

__all__ = ["files"]


@click.group(short_help="List files at providers, send, fetch and delete them.")
def files() -> None:
    """List the files at a provider, send one, look at it, fetch it, delete it.

    \b
    Examples:
      llmmw files upload examples.jsonl --purpose fine-tune -p openai
      llmmw files list -p openai --limit 20
      llmmw files download file-abc answers.jsonl -p openai
      llmmw files delete file-abc file-def -p openai
    """  # noqa: D301 (click wants the character)


@files.command(name="list")
@administering
@limit_option
def list_files(asked: Asked, limit: int | None) -> None:
    """List the files of the account, as they come, page by page."""

    async def ask(client: Client, given: Given) -> None:
        columns = ("id", "name", "bytes", "purpose", "status", "created")
        table = Table(*columns, as_json=asked.as_json)
        await table.print_all(client.files.list(limit=limit, **given))

    asked.run(ask)


@files.command()
@click.argument("id")
@administering
def show(asked: Asked, id: str) -> None:
    """What is known of a file."""

    async def ask(client: Client, given: Given) -> FileInfo:
        return await client.files.get(id, **given)

    print_value(asked.run(ask), as_json=asked.as_json)


@files.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--purpose",
    default="batch",
    show_default=True,
    help="What it is for, in the host's words; hosts that ask for none are told none.",
)
@click.option("--name", help="What the host is told as its name. Default: the file's own.")
@administering
def upload(asked: Asked, file: Path, purpose: str, name: str | None) -> None:
    """Send a file, piece by piece: it may be larger than memory."""

    async def ask(client: Client, given: Given) -> FileInfo:
        with transferring(file.name) as hear:
            return await client.files.upload(
                file, name=name, purpose=purpose, progress=hear, **given
            )

    print_value(asked.run(ask), as_json=asked.as_json)


@files.command()
@click.argument("id")
@click.argument("to", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Overwrite the file.")
@administering
def download(asked: Asked, id: str, to: Path, force: bool) -> None:
    """Save a file, or print it where TO is `-`. Nothing stands there before all has come."""
    prints = str(to) == "-"
    if to.exists() and not (prints or force):
        raise Misused(f"{to} is there already; --force overwrites it")

    async def ask(client: Client, given: Given) -> int:
        with transferring(id) as hear:
            where = sys.stdout.buffer if prints else to
            return await client.files.download(id, where, progress=hear, **given)

    size = asked.run(ask)
    if not prints:
        fact = {"id": id, "path": str(to), "bytes": size}
        print_fact(fact, f"{to}  {size:,} bytes", as_json=asked.as_json)


@files.command()
@ids_argument
@administering
def delete(asked: Asked, ids: tuple[str, ...]) -> None:
    """Have files deleted."""

    async def ask(client: Client, given: Given) -> None:
        for one in ids:
            await client.files.delete(one, **given)
            print_fact({"id": one, "deleted": True}, f"{one} is deleted", as_json=asked.as_json)

    asked.run(ask)
