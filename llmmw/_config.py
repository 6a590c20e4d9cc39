"""Configuration read from a TOML file: for now, the model to use when none is named.

The file is named by `LLMMW_CONFIG`, else it is `llmmw/config.toml` in the user's configuration
folder, if that exists. A file in the working directory is never read by itself.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

import attrs

from llmmw.errors import ConfigError

__all__ = ["Config", "config_path", "load_config"]

_MOST_BYTES = 1_000_000


@attrs.frozen(kw_only=True)
class Config:
    """What a configuration file says."""

    model: str | None = None


def config_path() -> Path | None:
    """The file that would be read, or `None`."""
    named = os.environ.get("LLMMW_CONFIG")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    folder = Path(base) if base else Path.home() / ".config"
    path = folder / "llmmw" / "config.toml"
    return path if path.is_file() else None


def load_config(path: Path | None = None) -> Config:
    """Read the configuration; an empty one if there is no file.

    Raises:
        ConfigError: if the file can't be read or says something unknown; names file and key.
    """
    path = path or config_path()
    if path is None:
        return Config()
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"can't read the configuration {path}: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"the configuration {path} is larger than {_MOST_BYTES} bytes")
    try:
        return _config(path, tomllib.loads(data.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} is no TOML: {error}") from error


def _config(path: Path, data: dict[str, Any]) -> Config:
    known = [field.name for field in attrs.fields(Config)]
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {key!r}; {hint}")
    model = data.get("model")
    if model is not None and not (isinstance(model, str) and ":" in model):
        raise ConfigError(f'{path}: model = {model!r}: expected "provider:model"')
    return Config(model=model)
