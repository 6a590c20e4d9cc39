"""`llmmw models`: what providers serve, or can be made to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmmw._administration import ModelInfo
from llmmw._session import Client
from llmmw.cli._administered import (
    Asked,
    Given,
    administering,
    fields_option,
    ids_argument,
    limit_option,
)
from llmmw.cli._values import Table, print_fact, print_value, transferring, waiting

__all__ = ["models"]


@click.group(short_help="List models at providers, make, fetch and delete them.")
def models() -> None:
    """List the models at a provider, look at one; and where it can be asked for that: have one
    made, changed, pulled, deleted, or save its files.

    \b
    Examples:
      llmmw models list -p openai
      llmmw models list -p anthropic --json | jq -r .id
      llmmw models pull qwen3:4b -p ollama
      llmmw models delete ft:gpt-4o-mini:me::abc -p openai
    """  # noqa: D301 (click wants the character)


@models.command(name="list")
@administering
@limit_option
def list_models(asked: Asked, limit: int | None) -> None:
    """List the models that the account may ask, as they come, page by page."""

    async def ask(client: Client, given: Given) -> None:
        columns = ("id", "name", "owner", "status", "input_limit", "output_limit", "bytes")
        table = Table(*columns, "created", as_json=asked.as_json)
        await table.print_all(client.models.list(limit=limit, **given))

    asked.run(ask)


@models.command()
@click.argument("id")
@administering
def show(asked: Asked, id: str) -> None:
    """What is known of a model."""

    async def ask(client: Client, given: Given) -> ModelInfo:
        return await client.models.get(id, **given)

    print_value(asked.run(ask), as_json=asked.as_json)


@models.command()
@click.argument("id")
@fields_option
@administering
def create(asked: Asked, id: str, fields: dict[str, Any]) -> None:
    """Have a host serve a model; `llmmw models wait` waits until it does."""

    async def ask(client: Client, given: Given) -> ModelInfo:
        return await client.models.create(id, **given, **fields)

    print_value(asked.run(ask), as_json=asked.as_json)


@models.command()
@click.argument("id")
@fields_option
@administering
def update(asked: Asked, id: str, fields: dict[str, Any]) -> None:
    """Change how a host serves a model."""

    async def ask(client: Client, given: Given) -> ModelInfo:
        return await client.models.update(id, **given, **fields)

    print_value(asked.run(ask), as_json=asked.as_json)


@models.command()
@ids_argument
@administering
def delete(asked: Asked, ids: tuple[str, ...]) -> None:
    """Have models deleted."""

    async def ask(client: Client, given: Given) -> None:
        for one in ids:
            await client.models.delete(one, **given)
            print_fact({"id": one, "deleted": True}, f"{one} is deleted", as_json=asked.as_json)

    asked.run(ask)


@models.command()
@click.argument("id")
@administering
def pull(asked: Asked, id: str) -> None:
    """Have a host fetch a model from its registry, and wait until it has it."""

    async def ask(client: Client, given: Given) -> ModelInfo:
        with transferring(id) as hear:
            return await client.models.pull(id, progress=hear, **given)

    print_value(asked.run(ask), as_json=asked.as_json)


@models.command()
@click.argument("id")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@fields_option
@administering
def download(asked: Asked, id: str, folder: Path, fields: dict[str, Any]) -> None:
    """Save the files of a model in a folder, and print where they are."""

    async def ask(client: Client, given: Given) -> tuple[Path, ...]:
        with transferring(id) as hear:
            return await client.models.download(id, folder, progress=hear, **given, **fields)

    for path in asked.run(ask):
        print_fact({"path": str(path)}, str(path), as_json=asked.as_json)


@models.command()
@click.argument("id")
@administering
def wait(asked: Asked, id: str) -> None:
    """Wait until a model is ready. The exit status is 1 if it will not be."""

    async def ask(client: Client, given: Given) -> ModelInfo:
        with waiting() as hear:
            return await client.models.wait(id, progress=hear, **given)

    info = asked.run(ask)
    print_value(info, as_json=asked.as_json)
    if info.failed:
        raise click.exceptions.Exit(1)
