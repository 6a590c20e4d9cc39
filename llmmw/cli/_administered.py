"""What the commands for models, files, fine-tunes and batches share: whom they ask, and how."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import attrs
import click
import trio

from llmmw._config._file import load_config
from llmmw._plugins import Plugins
from llmmw._session import Client
from llmmw.cli._model import check_target
from llmmw.cli._options import config_option, named_values, seconds_given
from llmmw.errors import ConfigError

__all__ = ["Asked", "Given", "administering", "fields_option", "ids_argument", "limit_option"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

Given: TypeAlias = dict[str, Any]
"""Arguments that all verbs have: `provider`, and `timeout` if one was given."""


@attrs.frozen
class Asked:
    """Whom a command asks, and how it prints."""

    provider: str | None
    config: Path | None
    timeout: float | None
    as_json: bool

    def run(self, ask: Callable[[Client, Given], Awaitable[T]]) -> T:
        """Ask with a client that is open, and nothing between it and the provider."""
        plugins = Plugins()
        config = load_config(self.config, plugins=plugins)
        standing = os.environ.get("LLMMW_MODEL") or config.model or ""
        name = self.provider or standing.partition(":")[0]
        if not name:
            raise ConfigError(
                "whom to ask? -p names a provider; else it is that of LLMMW_MODEL, or of the "
                "configuration's model"
            )
        check_target(f"{name}:any", plugins, config.options)
        given: Given = {"provider": name}
        if self.timeout is not None:
            given["timeout"] = self.timeout

        async def work() -> T:
            async with Client(stack=[], options=config.options, plugins=plugins) as client:
                return await ask(client, given)

        return trio.run(work)


_OPTIONS = (
    click.option(
        "-p",
        "--provider",
        metavar="NAME",
        help="Whom to ask. Default: whose LLMMW_MODEL is, else the configuration's model.",
    ),
    config_option,
    click.option(
        "--timeout",
        type=float,
        callback=seconds_given,
        metavar="SECONDS",
        help="For the whole; of a list, for each page. Default: none for what moves files or "
        "waits, else 60.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each."),
)


def administering(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options -p, --config, --timeout and --json, as its first argument."""

    @functools.wraps(command)
    def with_asked(
        *args: Any,
        provider: str | None,
        config: Path | None,
        timeout: float | None,
        as_json: bool,
        **others: Any,
    ) -> Any:
        return command(Asked(provider, config, timeout, as_json), *args, **others)

    for option in reversed(_OPTIONS):
        with_asked = option(with_asked)
    return with_asked


limit_option = click.option(
    "--limit", type=click.IntRange(0), metavar="N", help="So many at most. Default: all."
)

ids_argument = click.argument("ids", nargs=-1, required=True, metavar="ID...")


_OF_VERBS = {"provider", "timeout", "progress", "to"}


def _fields(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    fields = named_values(given, "min_workers=1")
    ours = _OF_VERBS | ({one.name for one in ctx.command.params} - {"config", "as_json", "fields"})
    for name in sorted(fields.keys() & ours):
        raise click.BadParameter(f"{name} is no field: it is an argument or option of its own")
    return fields


def fields_option(command: F) -> F:
    """Gives a command the option -f, whose values are `fields`."""
    return click.option(
        "-f",
        "--field",
        "fields",
        multiple=True,
        callback=_fields,
        metavar="NAME=VALUE",
        help="A field of the host's own. A value that is JSON is taken as such, any other is text. "
        "Repeatable.",
    )(command)
