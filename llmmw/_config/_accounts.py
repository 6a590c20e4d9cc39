"""The providers that a configuration uses: whether they can be used here, and where their keys
come from, which is told without reading one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

import attrs

from llmmw._abilities import abilities_of
from llmmw._capabilities import Capabilities
from llmmw._chain import Middleware
from llmmw._config._file import Config
from llmmw._plugins import Plugins
from llmmw._secret import Secret, guarded
from llmmw.errors import ConfigError, LLMError, PluginError

__all__ = ["Account", "able_targets", "accounts_of", "layers_in", "models_of", "targets_of"]


@attrs.frozen(kw_only=True)
class Account:
    """A provider with options, under the name that targets begin with."""

    name: str
    provider: str
    """The name of the plugin behind it."""
    state: Literal["ready", "not ready", "not installed"]
    reason: str = ""
    """Why it is not ready."""
    distribution: str = ""
    version: str = ""
    options: tuple[str, ...] = ()
    """The names of the options that it is given."""
    keys: tuple[str, ...] = ()
    """Where its keys come from."""
    lacking: tuple[str, ...] = ()
    """Those of them that are not there."""


def layers_in(layer: Middleware) -> tuple[Any, ...]:
    """The policies inside a layer that is made of some."""
    kind: Any = type(layer)
    fields = attrs.fields(kind) if attrs.has(kind) else ()
    return tuple(
        one
        for field in fields
        if field.metadata.get("layers")
        for one in getattr(layer, field.name)
    )


def targets_of(layer: object) -> Iterator[str]:
    """The models that a layer may send calls to: those of its `targets`, and of `on`."""
    lists = [getattr(layer, "targets", ()), *getattr(layer, "on", {}).values()]
    for target in (one for many in lists for one in many):
        model = target.get("model") if isinstance(target, Mapping) else target
        if isinstance(model, str):
            yield model


def models_of(config: Config) -> list[str]:
    """The targets that a configuration names: its model, and those of its layers."""
    models = [config.model] if config.model else []
    for layer in config.stack or ():
        models += [m for one in (layer, *layers_in(layer)) for m in targets_of(one)]
    return list(dict.fromkeys(models))


def able_targets(config: Config, plugins: Plugins) -> dict[str, Capabilities]:
    """What each target can do that a configuration names, where its provider can be made."""
    table, found = abilities_of(config.capabilities), {}
    for target in models_of(config):
        name, _, model = target.partition(":")
        options = {"name": name, **config.options.get(name, {})}
        use = str(options.pop("use", name))
        with suppress(ConfigError, LLMError, PluginError):
            can = plugins.make("provider", use, options).capabilities(model)
            row = table.row(target) or table.row(f"{use}:{model}")
            found[target] = can if row is None else row.over(can)
    return found


def accounts_of(config: Config, plugins: Plugins) -> tuple[Account, ...]:
    """Every account that the model, a layer or the options name, in this order."""
    names = dict.fromkeys([model.partition(":")[0] for model in models_of(config)])
    names.update(dict.fromkeys(config.options))
    return tuple(_account(name, config.options.get(name, {}), plugins) for name in names)


def _account(name: str, options: Mapping[str, Any], plugins: Plugins) -> Account:
    use = str(options.get("use", name))
    rest = {key: one for key, one in options.items() if key != "use"}
    account = Account(name=name, provider=use, state="ready", options=tuple(rest))
    try:
        there = plugins.named("provider", use)
    except PluginError as error:
        known = any(one.name == use and one.kind == "provider" for one in plugins.found)
        state: Any = "not ready" if known else "not installed"
        return attrs.evolve(account, state=state, reason=str(error))
    account = attrs.evolve(account, distribution=there.distribution, version=there.version)
    made = None
    try:
        made = plugins.make("provider", use, {"name": name, **rest})
    except (ConfigError, LLMError) as error:
        account = attrs.evolve(account, state="not ready", reason=str(error))
    found = _keys(rest, getattr(made, "key", None))
    keys = tuple(f"{where} ({state})" for where, state in found.items())
    lacking = tuple(where for where, state in found.items() if state == _LACKING)
    return attrs.evolve(account, keys=keys, lacking=lacking)


def _is_file(place: str) -> bool:
    # Not pathlib's, which raise for a home that nobody has and a folder that can't be looked into.
    return os.path.isfile(os.path.expanduser(place))  # noqa: PTH111, PTH113


_LACKING = "not there"


def _keys(options: Mapping[str, Any], key: Any) -> dict[str, str]:
    """Where the keys among the options are, else where the provider looks for its own; and
    whether they are there."""
    found: dict[str, str] = {}
    for name, given in options.items():
        if isinstance(given, Secret):
            found[f"{name} in the configuration"] = "there"
        elif isinstance(guarded({name: "?"})[name], Secret) and isinstance(given, str):
            kind, _, place = given.partition(":")
            there = place in os.environ if kind == "env" else _is_file(place)
            source = "the variable " + place if kind == "env" else "the file " + place
            found[source] = "there" if there else _LACKING
    variables = () if found else getattr(key, "variables", ())
    if variables:
        present = [name for name in variables if os.environ.get(name)]
        where = present[0] if present else " or ".join(variables)
        absent = _LACKING if getattr(key, "needed", True) else "not there, and not needed"
        found["the variable " + where] = "there" if present else absent
    return found
