"""Options that several commands have, and how they become a request."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from llmmw._request import generate_of
from llmmw.errors import BadRequest

__all__ = ["asking_options", "check_parameters", "config_option", "named_values", "seconds_given"]

F = TypeVar("F", bound=Callable[..., Any])


def _parameters(
    ctx: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any]:
    parameters = named_values(given, "top_p=0.9")
    for name in parameters.keys() & {"model", "prompt", "messages"}:
        raise click.BadParameter(f"{name} is no parameter: use -m, or the input")
    return parameters


def named_values(given: Sequence[str], example: str) -> dict[str, Any]:
    """`name=value` each; a value is JSON where it parses, else text."""
    values: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{one!r}: expected name=value, for example {example}")
        try:
            values[name] = orjson.loads(text)
        except orjson.JSONDecodeError:
            values[name] = text
    return values


def seconds_given(ctx: click.Context, option: click.Parameter, given: float | None) -> float | None:
    """A limit of time, or none."""
    if given is not None and not 0 < given < math.inf:
        raise click.BadParameter(f"{given}: expected a number of seconds above 0")
    return given


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration. Default: the file that LLMMW_CONFIG names, else llmmw/config.toml in "
    "your configuration folder.",
)

_ASKING = (
    click.option(
        "-m",
        "--model",
        "models",
        multiple=True,
        metavar="PROVIDER:MODEL",
        help="The model to ask. Further ones are its fallbacks, in their order, in the default "
        "stack. Default: LLMMW_MODEL, else the configuration's model, else local:smollm2.",
    ),
    click.option("-s", "--system", metavar="TEXT", help="What the model is told first."),
    click.option(
        "-p",
        "--param",
        "parameters",
        multiple=True,
        callback=_parameters,
        metavar="NAME=VALUE",
        help="A parameter of the request, for example top_p=0.9. A value that is JSON is taken "
        "as such, any other is text. Repeatable.",
    ),
    click.option(
        "--timeout",
        type=float,
        callback=seconds_given,
        metavar="SECONDS",
        help="For each call, with its retries.",
    ),
    config_option,
)


def asking_options(command: F) -> F:
    """Gives a command the options -m, -s, -p, --timeout and --config."""
    for option in reversed(_ASKING):
        command = option(command)
    return command


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise a usage error for parameters that no request could have."""
    try:
        generate_of("?", **parameters)
    except BadRequest as error:
        raise click.UsageError(str(error)) from error
