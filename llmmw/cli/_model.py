"""Which models a command asks, and how: what is named before the environment, that before the
configuration, that before the default."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from llmmw._config._file import Config, load_config
from llmmw._instrument import Instrument
from llmmw._plugins import Plugins
from llmmw._session import Client
from llmmw.errors import ConfigError

__all__ = ["Setup", "check_target", "choose_models", "set_up"]

SMALL_LOCAL = "local:smollm2"


@attrs.frozen
class Setup:
    """What the options, the environment and the configuration say."""

    plugins: Plugins
    models: Sequence[str]
    config: Config

    def check_target(self, target: object) -> None:
        """Raise `ConfigError` unless this can be asked."""
        check_target(target, self.plugins, self.config.options)

    def client(self, instruments: Sequence[Instrument]) -> Client:
        """The client of the command."""
        return Client.from_config(
            self.config, *self.models, plugins=self.plugins, instruments=instruments
        )


def set_up(named: Sequence[str], path: Path | None, *, quiet: bool = False) -> Setup:
    """Read the configuration and choose the models.

    Raises:
        ConfigError: if the configuration is wrong, or there is no model.
    """
    plugins = Plugins()
    config = load_config(path, plugins=plugins)
    return Setup(plugins, choose_models(named, plugins, config, quiet=quiet), config)


def choose_models(
    named: Sequence[str], plugins: Plugins, config: Config, *, quiet: bool = False
) -> list[str]:
    """The targets in the order in which they are tried: what `-m` names, else `LLMMW_MODEL`,
    else the configuration's `model`, else the small local model if its plugin is installed.

    Raises:
        ConfigError: if none of these is there, or one is no target of an installed provider.
    """
    standing = os.environ.get("LLMMW_MODEL") or config.model
    chosen = list(named) or ([standing] if standing else [])
    if not chosen and "local" in plugins.names("provider"):
        chosen = [SMALL_LOCAL]
        if not quiet:
            note = "no model was named; -m names one"
            click.echo(f"using {SMALL_LOCAL} ({note})", err=True)
    if not chosen:
        raise ConfigError(
            "no model was named: pass -m provider:model, or set LLMMW_MODEL, or write "
            'model = "provider:model" into the configuration (llmmw/config.toml in your '
            "configuration folder, or the file that --config or LLMMW_CONFIG names), or install "
            f"llmmw-local, which brings {SMALL_LOCAL}"
        )
    for target in chosen:
        check_target(target, plugins, config.options)
    return chosen


def check_target(
    target: object, plugins: Plugins, options: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raise `ConfigError` unless this is `"provider:model"` with a provider that is installed, or
    an account of one."""
    if not isinstance(target, str) or not all(target.partition(":")):
        raise ConfigError(f'the model {target!r} is not of the form "provider:model"')
    name = target.partition(":")[0]
    plugins.spec("provider", str(options.get(name, {}).get("use", name)))
