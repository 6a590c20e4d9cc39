"""Which models a command asks."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from llmmw._config import load_config
from llmmw._plugins import Plugins
from llmmw.errors import ConfigError

__all__ = ["check_target", "choose_models"]

SMALL_LOCAL = "local:smollm2"


def choose_models(named: Sequence[str], plugins: Plugins, *, quiet: bool = False) -> list[str]:
    """The targets in the order in which they are tried: what `-m` names, else `LLMMW_MODEL`,
    else the configuration's `model`, else the small local model if its plugin is installed.

    Raises:
        ConfigError: if none of these is there, or one is no target of an installed provider.
    """
    chosen = list(named) or _standing()
    if not chosen and "local" in plugins.names("provider"):
        chosen = [SMALL_LOCAL]
        if not quiet:
            note = "no model was named; -m names one"
            click.echo(f"using {SMALL_LOCAL} ({note})", err=True)
    if not chosen:
        raise ConfigError(
            "no model was named: pass -m provider:model, or set LLMMW_MODEL, or write "
            'model = "provider:model" into the configuration (llmmw/config.toml in your '
            "configuration folder, or the file that LLMMW_CONFIG names), or install llmmw-local, "
            f"which brings {SMALL_LOCAL}"
        )
    for target in chosen:
        check_target(target, plugins)
    return chosen


def _standing() -> list[str]:
    model = os.environ.get("LLMMW_MODEL") or load_config().model
    return [model] if model else []


def check_target(target: object, plugins: Plugins) -> None:
    """Raise `ConfigError` unless this is `"provider:model"` with a provider that is installed."""
    if not isinstance(target, str) or not all(target.partition(":")):
        raise ConfigError(f'the model {target!r} is not of the form "provider:model"')
    plugins.spec("provider", target.partition(":")[0])
