"""`llmmw batches`: the batches at providers, and what a journal knows of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import orjson
import trio

from llmmw._administration import BatchInfo, BatchItem
from llmmw._verbs import ClientBatches
from llmmw._config._file import load_config
from llmmw._plugins import Plugins
from llmmw._response import Embeddings, Generation
from llmmw._session import Client
from llmmw.cli._model import choose_models
from llmmw.cli._options import config_option
from llmmw.cli._run import tame
from llmmw.errors import ConfigError
from llmmw.policies._batch_journal import JournalBatch, batches_in

__all__ = ["batches"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_journal = click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The journal of a BatchApi.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_provider = click.option(
    "-p",
    "--provider",
    metavar="NAME",
    help="Whose batches. Default: as --journal says, else the provider of the model that `llmmw "
    "ask` would ask.",
)


def _which(command: F) -> F:
    for option in (config_option, _journal, _provider):
        command = option(command)
    return click.argument("id")(command)


@attrs.frozen
class _Asked:
    """Whom a command asks."""

    provider: str | None
    journal: Path | None
    config: Path | None

    def run(self, ask: Callable[[ClientBatches, str], Awaitable[T]], id: str = "") -> T:
        """Ask the provider."""
        plugins = Plugins()
        config = load_config(self.config, plugins=plugins)
        name = self.provider or self._by_journal(id)
        if name is None:
            name = choose_models((), plugins, config, quiet=True)[0].partition(":")[0]

        async def work() -> T:
            async with Client(stack=[], options=config.options, plugins=plugins) as client:
                return await ask(client.batches, name)

        return trio.run(work)

    def _by_journal(self, id: str) -> str | None:
        if self.journal is None:
            return None
        rows = [row for row in batches_in(self.journal) if row.id == id]
        if not rows:
            raise ConfigError(f"the journal {self.journal} knows no batch {id!r}")
        return rows[0].provider


@click.group(short_help="List batches at providers, cancel and fetch them.")
def batches() -> None:
    """List the batches at a provider, look at one, cancel it, fetch what came.

    \b
    Examples:
      llmmw batches list -p openai
      llmmw batches list --journal night.db
      llmmw batches show batch_abc -p openai
      llmmw batches cancel batch_abc --journal night.db
      llmmw batches fetch msgbatch_abc -p anthropic > answers.jsonl
    """  # noqa: D301 (click wants the character)


@batches.command(name="list")
@_provider
@_journal
@config_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@_json
def list_batches(
    provider: str | None, journal: Path | None, config: Path | None, limit: int, as_json: bool
) -> None:
    """List batches, the newest first: those of the account, or those that a journal knows."""
    if journal is not None:
        for row in batches_in(journal)[:limit]:
            click.echo(orjson.dumps(attrs.asdict(row)) if as_json else _journal_words(row))
        return

    async def ask(verbs: ClientBatches, name: str) -> tuple[BatchInfo, ...]:
        return await verbs.list(provider=name, limit=limit)

    for info in _Asked(provider, None, config).run(ask):
        _print(info, as_json)


@batches.command()
@_which
@_json
def show(
    id: str, provider: str | None, journal: Path | None, config: Path | None, as_json: bool
) -> None:
    """How far a batch is."""

    async def ask(verbs: ClientBatches, name: str) -> BatchInfo:
        return await verbs.get(id, provider=name)

    _print(_Asked(provider, journal, config).run(ask, id), as_json)


@batches.command()
@_which
@_json
def cancel(
    id: str, provider: str | None, journal: Path | None, config: Path | None, as_json: bool
) -> None:
    """Let a batch end. What it has answered by then is billed, and can be fetched."""

    async def ask(verbs: ClientBatches, name: str) -> BatchInfo:
        return await verbs.cancel(id, provider=name)

    _print(_Asked(provider, journal, config).run(ask, id), as_json)


@batches.command()
@_which
def fetch(id: str, provider: str | None, journal: Path | None, config: Path | None) -> None:
    """Print what came of a batch: a line of JSON for each question, with its id and its text, its
    vectors, or its error. The exit status is 1 if some have failed, or the batch has not ended."""

    async def ask(verbs: ClientBatches, name: str) -> int:
        info = await verbs.get(id, provider=name)
        if not info.ended:
            click.echo(tame(f"{_words(info)}: it has not ended, fetch it later"), err=True)
        failed = int(not info.ended)
        async with aclosing(verbs.each_result(id, provider=name)) as items:
            async for item in items:
                click.echo(orjson.dumps(_row(item)))
                failed += item.error is not None
        return failed

    if _Asked(provider, journal, config).run(ask, id):
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


def _print(info: BatchInfo, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(attrs.asdict(info, recurse=True), default=str))
        return
    click.echo(tame(f"{_words(info)}{_age(info.created)}"))
    for refusal in info.refusals:
        where = "" if refusal.line is None else f"line {refusal.line}: "
        click.echo(tame(f"  {where}{refusal.message}"))


def _words(info: BatchInfo) -> str:
    done = (info.completed or 0) + (info.failed or 0)
    far = "" if info.total is None else f"  {done} of {info.total}"
    return f"{info.id}  {info.status}{far}"


def _journal_words(row: JournalBatch) -> str:
    named = row.id or "(not known yet)"
    return f"{named}  {row.provider}  {row.state}  {row.lines} questions{_age(row.made)}"


def _age(made: float | None) -> str:
    if made is None:
        return ""
    seconds = max(0.0, time.time() - made)
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"  {seconds / size:.0f} {name} ago"
    return f"  {seconds:.0f} s ago"
