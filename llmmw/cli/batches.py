"""`llmmw batches`: the batches at providers, and what a journal knows of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import attrs
import click
import orjson

from llmmw._administration import BatchInfo, BatchItem
from llmmw._response import Embeddings, Generation
from llmmw._session import Client
from llmmw._verbs._patience import within
from llmmw.cli._administered import Asked, Given, administering, fields_option, limit_option
from llmmw.cli._run import tame
from llmmw.cli._values import Table, print_fact, print_value, waiting
from llmmw.errors import ConfigError
from llmmw.policies._batch_journal import batches_in

__all__ = ["batches"]

_journal = click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The journal of a BatchApi; it knows whose its batches are.",
)


def _one_batch(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the argument ID, and the options of all and --journal."""

    @functools.wraps(command)
    def with_journal(asked: Asked, id: str, journal: Path | None, **others: Any) -> Any:
        if journal is not None and asked.provider is None:
            rows = [row for row in batches_in(journal) if row.id == id]
            if not rows:
                raise ConfigError(f"the journal {journal} knows no batch {id!r}")
            asked = attrs.evolve(asked, provider=rows[0].provider)
        return command(asked, id, **others)

    return click.argument("id")(_journal(administering(with_journal)))


@click.group(short_help="List batches at providers, cancel and fetch them.")
def batches() -> None:
    """List the batches at a provider, look at one, wait for it, cancel it, fetch what came.

    \b
    Examples:
      llmmw batches list -p openai
      llmmw batches list --journal night.db
      llmmw batches show batch_abc -p openai
      llmmw batches cancel batch_abc --journal night.db
      llmmw batches fetch msgbatch_abc -p anthropic > answers.jsonl
    """  # noqa: D301 (click wants the character)


@batches.command(name="list")
@_journal
@administering
@limit_option
def list_batches(asked: Asked, journal: Path | None, limit: int | None) -> None:
    """List batches, the newest first: those of the account, page by page, or those that a journal
    knows."""
    if journal is not None:
        table = Table("id", "provider", "state", "lines", "made", as_json=asked.as_json)
        table.print_rows(batches_in(journal)[:limit])
        return

    async def ask(client: Client, given: Given) -> None:
        columns = ("id", "status", "completed", "failed", "total", "created")
        table = Table(*columns, as_json=asked.as_json)
        await table.print_all(client.batches.list(limit=limit, **given))

    asked.run(ask)


@batches.command()
@_one_batch
def show(asked: Asked, id: str) -> None:
    """How far a batch is."""

    async def ask(client: Client, given: Given) -> BatchInfo:
        return await client.batches.get(id, **given)

    print_value(asked.run(ask), as_json=asked.as_json)


@batches.command()
@click.argument("file")
@fields_option
@administering
def submit(asked: Asked, file: str, fields: dict[str, Any]) -> None:
    """Begin a batch whose questions are a file at the host: FILE is its id there, or an address.
    `llmmw files upload` sends one."""

    async def ask(client: Client, given: Given) -> BatchInfo:
        return await client.batches.submit(file, **given, **fields)

    print_value(asked.run(ask), as_json=asked.as_json)


@batches.command()
@_one_batch
@fields_option
def update(asked: Asked, id: str, fields: dict[str, Any]) -> None:
    """Change a batch that goes on."""

    async def ask(client: Client, given: Given) -> BatchInfo:
        return await client.batches.update(id, **given, **fields)

    print_value(asked.run(ask), as_json=asked.as_json)


@batches.command()
@_one_batch
def cancel(asked: Asked, id: str) -> None:
    """Let a batch end. What it has answered by then is billed, and can be fetched."""

    async def ask(client: Client, given: Given) -> BatchInfo:
        return await client.batches.cancel(id, **given)

    print_value(asked.run(ask), as_json=asked.as_json)


@batches.command()
@_one_batch
def delete(asked: Asked, id: str) -> None:
    """Have a batch that has ended, and what came of it, deleted."""

    async def ask(client: Client, given: Given) -> None:
        await client.batches.delete(id, **given)

    asked.run(ask)
    print_fact({"id": id, "deleted": True}, f"{id} is deleted", as_json=asked.as_json)


@batches.command()
@_one_batch
def wait(asked: Asked, id: str) -> None:
    """Wait until a batch has ended. The exit status is 1 if it was refused, or some have failed."""

    async def ask(client: Client, given: Given) -> BatchInfo:
        with waiting() as hear:
            return await client.batches.wait(id, progress=hear, **given)

    info = asked.run(ask)
    print_value(info, as_json=asked.as_json)
    if info.refusals or info.failed:
        raise click.exceptions.Exit(1)


@batches.command()
@_one_batch
def fetch(asked: Asked, id: str) -> None:
    """Print what came of a batch: a line of JSON for each question, with its id and its text, its
    vectors, or its error. The exit status is 1 if some have failed, or the batch has not ended."""

    async def ask(client: Client, given: Given) -> int:
        with within(given.pop("timeout", None), "batches.fetch"):
            info = await client.batches.get(id, **given)
            if not info.ended:
                words = f"{_far(info)}: it has not ended, fetch it later"
                click.echo(tame(words), err=True)
            failed = int(not info.ended)
            async with aclosing(client.batches.each_result(id, **given)) as items:
                async for item in items:
                    click.echo(orjson.dumps(_row(item)))
                    failed += item.error is not None
            return failed

    if asked.run(ask):
        raise click.exceptions.Exit(1)


def _row(item: BatchItem) -> dict[str, Any]:
    if item.error is not None:
        return {
            "id": item.id,
            "error": {"type": type(item.error).__name__, "text": str(item.error)},
        }
    response = item.response
    row: dict[str, Any] = {"id": item.id}
    if isinstance(response, Generation):
        row |= {"text": response.text, "finish_reason": response.finish_reason or ""}
    if isinstance(response, Embeddings):
        row |= {"vectors": response.vectors}
    usage = response.usage if response is not None else None
    if usage is not None:
        told = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        row |= {"usage": told}
    return row


def _far(info: BatchInfo) -> str:
    done = (info.completed or 0) + (info.failed or 0)
    far = "" if info.total is None else f"  {done} of {info.total}"
    return f"{info.id}  {info.status}{far}"
