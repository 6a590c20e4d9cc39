"""`llmmw fine-tunes`: models that hosts train further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmmw._administration import FineTuneInfo
from llmmw._session import Client
from llmmw.cli._administered import (
    Asked,
    Given,
    administering,
    fields_option,
    ids_argument,
    limit_option,
)
from llmmw.cli._options import named_values
from llmmw.cli._values import Table, print_fact, print_value, waiting

__all__ = ["fine_tunes"]


@click.group(name="fine-tunes", short_help="Have models trained further, and follow that.")
def fine_tunes() -> None:
    """Have a provider train a model on a file of examples, follow what it says, wait for it.

    \b
    Examples:
      llmmw fine-tunes create gpt-4o-mini examples.jsonl -H n_epochs=3 -p openai
      llmmw fine-tunes list -p openai
      llmmw fine-tunes events ftjob-abc --follow -p openai
      llmmw fine-tunes wait ftjob-abc -p openai && echo "it is trained"
    """  # noqa: D301 (click wants the character)


def _file(ctx: click.Context, option: click.Parameter, given: str | None) -> str | Path | None:
    """A file that is here, else what the host knows one by."""
    if given is None or not Path(given).is_file():
        looks_local = given is not None and "://" not in given and Path(given).suffix
        if looks_local:
            raise click.BadParameter(f"there is no file {given}")
        return given
    return Path(given)


def _hyperparameters(
    ctx: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any] | None:
    return named_values(given, "n_epochs=3") or None


@fine_tunes.command(name="list")
@administering
@limit_option
def list_fine_tunes(asked: Asked, limit: int | None) -> None:
    """List the fine-tunes of the account, as they come, page by page."""

    async def ask(client: Client, given: Given) -> None:
        columns = ("id", "status", "model", "fine_tuned_model", "created")
        table = Table(*columns, as_json=asked.as_json)
        await table.print_all(client.fine_tunes.list(limit=limit, **given))

    asked.run(ask)


@fine_tunes.command()
@click.argument("id")
@administering
def show(asked: Asked, id: str) -> None:
    """How far a fine-tune is."""

    async def ask(client: Client, given: Given) -> FineTuneInfo:
        return await client.fine_tunes.get(id, **given)

    print_value(asked.run(ask), as_json=asked.as_json)


@fine_tunes.command()
@click.argument("model")
@click.argument("training_file", callback=_file)
@click.option("--validation-file", callback=_file, metavar="FILE", help="As TRAINING_FILE.")
@click.option(
    "-H",
    "--hyperparameter",
    "hyperparameters",
    multiple=True,
    callback=_hyperparameters,
    metavar="NAME=VALUE",
    help="By the host's name, for example n_epochs=3. Repeatable.",
)
@click.option("--suffix", help="A part of the new model's name.")
@fields_option
@administering
def create(
    asked: Asked,
    model: str,
    training_file: str | Path,
    validation_file: str | Path | None,
    hyperparameters: dict[str, Any] | None,
    suffix: str | None,
    fields: dict[str, Any],
) -> None:
    """Begin a fine-tune of MODEL. TRAINING_FILE is a file here, which is looked through where the
    host's rules are known, and sent; else what the host knows one by: an id, or an address."""

    async def ask(client: Client, given: Given) -> FineTuneInfo:
        return await client.fine_tunes.create(
            model,
            training_file,
            validation_file=validation_file,
            hyperparameters=hyperparameters,
            suffix=suffix,
            **given,
            **fields,
        )

    print_value(asked.run(ask), as_json=asked.as_json)


@fine_tunes.command()
@click.argument("id")
@administering
def cancel(asked: Asked, id: str) -> None:
    """Have a fine-tune stopped."""

    async def ask(client: Client, given: Given) -> FineTuneInfo:
        return await client.fine_tunes.cancel(id, **given)

    print_value(asked.run(ask), as_json=asked.as_json)


@fine_tunes.command()
@ids_argument
@administering
def delete(asked: Asked, ids: tuple[str, ...]) -> None:
    """Have what fine-tunes have made deleted."""

    async def ask(client: Client, given: Given) -> None:
        for one in ids:
            await client.fine_tunes.delete(one, **given)
            print_fact({"id": one, "deleted": True}, f"{one} is deleted", as_json=asked.as_json)

    asked.run(ask)


@fine_tunes.command()
@click.argument("id")
@click.option("--follow", is_flag=True, help="Wait for what it will say, until it has ended.")
@administering
@limit_option
def events(asked: Asked, id: str, follow: bool, limit: int | None) -> None:
    """What the host has said of a fine-tune; followed, in the order of time."""
    if follow and limit is not None:
        raise click.UsageError("--follow prints all: leave --limit out")

    async def ask(client: Client, given: Given) -> None:
        table = Table("at", "level", "message", as_json=asked.as_json)
        pages = client.fine_tunes.events(id, follow=follow, limit=limit, **given)
        await table.print_all(pages)

    asked.run(ask)


@fine_tunes.command()
@click.argument("id")
@administering
@limit_option
def checkpoints(asked: Asked, id: str, limit: int | None) -> None:
    """The models on the way."""

    async def ask(client: Client, given: Given) -> None:
        table = Table("id", "step", "model", "metrics", "created", as_json=asked.as_json)
        await table.print_all(client.fine_tunes.checkpoints(id, limit=limit, **given))

    asked.run(ask)


@fine_tunes.command()
@click.argument("id")
@administering
def wait(asked: Asked, id: str) -> None:
    """Wait until a fine-tune has ended. The exit status is 1 if it has not succeeded."""

    async def ask(client: Client, given: Given) -> FineTuneInfo:
        with waiting() as hear:
            return await client.fine_tunes.wait(id, progress=hear, **given)

    info = asked.run(ask)
    print_value(info, as_json=asked.as_json)
    if not info.succeeded:
        raise click.exceptions.Exit(1)
