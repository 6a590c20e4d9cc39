"""The configuration: which model, which stack, which options of providers; read from a TOML file
and written as one.

A file says in tables what a program says in calls, with the same names and options::

    model = "openai:gpt-4o-mini"        # who is asked

    [[stack]]                           # the layers, outermost first
    use = "timeout"
    total = 60

    [[stack]]
    use = "attempts"
    [stack.retry]
    retries = 2
    [stack.fallback]
    targets = ["together:meta-llama/Llama-3-70b", "local:smollm2"]

    [providers.openai]                  # options of a provider
    api_key = "env:MY_KEY"

    [providers.second]                  # another account: asked as "second:gpt-4o-mini"
    use = "openai"
    api_key = "file:~/second.key"

    [capabilities."second:my-*"]        # what targets can do; see `Client(capabilities=…)`
    can = ["tools", "image"]
    cannot = ["n"]

    [prices."second:my-*"]              # what they cost; see `Client(prices=…)`
    input = "0.25"
    output = 2

The file is the one that is named, else that in `LLMMW_CONFIG`, else `llmmw/config.toml` in the
user's configuration folder, if it exists. A file in the working directory is never read by
itself: its `base_url` would be sent your key.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from llmmw._abilities import abilities_of
from llmmw._chain import Middleware
from llmmw._config._place import Place
from llmmw._config._read import Reader
from llmmw._config._toml import lines
from llmmw._config._write import Writer
from llmmw._plugins import Plugins
from llmmw._prices import prices_of
from llmmw._secret import guarded
from llmmw.errors import ConfigError

__all__ = ["Config", "client_arguments", "config_path", "load_config", "to_toml"]

_MOST_BYTES = 1_000_000
_DEEPEST = 32
_ROWS = ("capabilities", "prices")
"""Tables of rows by the targets they are for."""


def _stack(given: Sequence[Middleware] | None) -> tuple[Middleware, ...] | None:
    return None if given is None else tuple(given)


def _rows(given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {target: dict(row) for target, row in given.items()}


def _guarded(given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: guarded(options) for name, options in given.items()}


@attrs.frozen(kw_only=True)
class Config:
    """What a client is made of.

    Args:
        model: the target that is asked when a call names none.
        stack: the layers, outermost first; default: `default_stack(model)`.
        options: options of installed providers by their name. A name of your own with `use`, as
            `{"second": {"use": "openai", …}}`, is another account of a provider.
        capabilities: what targets can do, by target, as for `Client`.
        prices: what targets cost, by target, as for `Client`.
        path: the file it was read from.
    """

    model: str | None = None
    stack: tuple[Middleware, ...] | None = attrs.field(default=None, converter=_stack)
    options: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=dict, converter=_guarded, hash=False
    )
    capabilities: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=dict, converter=_rows, hash=False
    )
    prices: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict, converter=_rows, hash=False)
    path: Path | None = attrs.field(default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.model is not None:
            _check_model(self.model, Place() / "model")


def client_arguments(
    source: Config | str | Path | None,
    targets: Sequence[str],
    overrides: Mapping[str, Any],
) -> tuple[Sequence[str], dict[str, Any]]:
    """The targets of a client and its other arguments. Several targets that are named go before
    the configured stack, too: the default one has the further ones as fallbacks."""
    if not isinstance(source, Config):
        source = load_config(source, plugins=overrides.get("plugins"))
    named = tuple(targets) or ((source.model,) if source.model else ())
    stack = source.stack if len(named) < 2 else None
    given = {"options": source.options, "capabilities": source.capabilities}
    if source.prices:
        given["prices"] = source.prices
    return named, {"stack": stack, **given, **overrides}


def config_path() -> Path | None:
    """The file that would be read, or `None`."""
    named = os.environ.get("LLMMW_CONFIG")
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 (it leaves an unknown home as it is)
    base = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    folder = Path(base or os.path.expanduser("~/.config"))  # noqa: PTH111
    path = folder / "llmmw" / "config.toml"
    # Not is_file, which raises where the folder must not be looked into.
    return path if os.path.isfile(path) else None  # noqa: PTH113


def load_config(path: str | Path | None = None, *, plugins: Plugins | None = None) -> Config:
    """Read a configuration and make its layers.

    Args:
        path: the file; default: that of `LLMMW_CONFIG`, else the user's. Where there is none,
            nothing is configured.
        plugins: the registry that knows the names; default: what is installed.

    Raises:
        ConfigError: if the file can't be read, or has a wrong key or value; names the file, the
            path of the key, what was expected, and what was probably meant.
    """
    found = config_path() if path is None else Path(path)
    if found is None:
        return Config()
    try:
        return _config_of(found, plugins or Plugins())
    except ConfigError as error:
        # The frames hold what stands in the file.
        raise error.with_traceback(None) from error.__cause__


def _config_of(found: Path, plugins: Plugins) -> Config:
    place = Place(str(found))
    tables, problem = _tables_of(found)
    if problem:
        raise ConfigError(problem)
    known = [field.name for field in attrs.fields(Config) if field.name not in {"options", "path"}]
    for key in tables:
        if key not in {*known, "providers"}:
            raise (place / key).unknown([*known, "providers"])
    _check_depth(tables, place)
    model = tables.get("model")
    if model is not None:
        _check_model(model, place / "model")
    reader = Reader(plugins)
    stack = reader.stack(tables["stack"], place / "stack") if "stack" in tables else None
    options = {
        name: reader.provider(name, given, place / "providers" / name)
        for name, given in tables.get("providers", {}).items()
    }
    rows = {name: _table(tables, name, place) for name in _ROWS}
    abilities_of(rows["capabilities"], str(found))
    if rows["prices"]:
        prices_of(rows["prices"], str(found))
    return Config(model=model, stack=stack, options=options, path=found, **rows)


def _table(tables: Mapping[str, Any], name: str, place: Place) -> dict[str, Any]:
    """The rows of a table by targets; what is wrong in a row says who reads it."""
    given = tables.get(name, {})
    if not isinstance(given, dict):
        raise (place / name).wrong(given, f'tables, each [{name}."provider:model"]')
    return given


def _tables_of(path: Path) -> tuple[dict[str, Any], str]:
    """The tables of a file, secrets guarded; or what is wrong with it."""
    import tomllib  # kept out of programs that read no file

    try:
        # Opening a pipe would wait for somebody who writes to it.
        with open(path, "rb", opener=_opened_at_once) as file:
            is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # a path that no system has is a ValueError
        return {}, f"can't read the configuration {path}: {getattr(error, 'strerror', error)}"
    if is_pipe and not data:
        return {}, f"the configuration {path} is a pipe that nobody writes to"
    if len(data) > _MOST_BYTES:
        return {}, f"the configuration {path} is larger than {_MOST_BYTES} bytes"
    try:
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return {}, f"the configuration {path} is no UTF-8 text: {error.reason}"
    except ValueError as error:
        return {}, f"the configuration {path} is no TOML: {error}"
    except RecursionError:
        return {}, f"the configuration {path} nests too deep"
    if not isinstance(tables.get("providers", {}), dict):
        return {}, f"{path}: providers: expected tables, each [providers.NAME]"
    # What layers put into a request may be named so, too, and is no secret: prompt_cache_key.
    open_ = {name: tables[name] for name in ("stack", *_ROWS) if name in tables}
    return guarded(tables) | open_, ""


def _opened_at_once(path: str, flags: int) -> int:
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if os.name == "posix":
        os.set_blocking(file, True)
    return file


def _check_model(given: object, place: Place) -> None:
    if not isinstance(given, str) or not all(given.partition(":")):
        raise place.wrong(given, '"provider:model"')


def _check_depth(given: Any, place: Place, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise place.error(f"nests deeper than {_DEEPEST} levels")
    if isinstance(given, dict):
        for key, one in given.items():
            _check_depth(one, place / key, depth + 1)
    elif isinstance(given, list):
        for at, one in enumerate(given):
            _check_depth(one, place / at, depth + 1)


def to_toml(configured: Config | Sequence[Middleware], *, plugins: Plugins | None = None) -> str:
    """A configuration, or a stack, as the TOML text of a file that says the same.

    Args:
        configured: what to write. `load_config` makes an equal one of the text.
        plugins: the registry that knows the names; default: what is installed.

    Raises:
        ConfigError: for what no file can say: a function, a layer that is not registered, a
            secret in itself. It names the place.
    """
    config = configured if isinstance(configured, Config) else Config(stack=tuple(configured))
    writer, place = Writer(plugins or Plugins()), Place()
    tables: dict[str, Any] = {}
    if config.model is not None:
        tables["model"] = config.model
    try:
        if config.stack is not None:
            tables["stack"] = writer.stack(config.stack, place / "stack")
        if config.options:
            tables["providers"] = {
                name: writer.provider(name, given, place / "providers" / name)
                for name, given in config.options.items()
            }
        for name in _ROWS:
            if rows := getattr(config, name):
                tables[name] = writer.rows(rows, place / name)
    except RecursionError:
        raise ConfigError("a value that holds itself can't be written") from None
    _check_depth(tables, place)
    return "".join(f"{line}\n" for line in lines(tables)).lstrip("\n")
