"""Layers, and options of providers, as tables from which a file makes the same again."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import attrs

from llmmw._config._place import Place
from llmmw._config._signature import Option, choices, error_class, is_value, options_of
from llmmw._plugins import Plugins, resolve
from llmmw._secret import Secret
from llmmw.errors import PluginError

__all__ = ["Writer", "name_of"]

_SCALARS = {str, bool, int, float, datetime.date, datetime.datetime, datetime.time}


def name_of(layer: object, plugins: Plugins) -> str | None:
    """The name under which the class of a layer is registered."""
    for name in plugins.names("middleware"):
        with suppress(PluginError):
            spec = plugins.spec("middleware", name)
            if resolve(spec) is type(layer) and not spec.options:
                return name
    return None


@attrs.frozen
class Writer:
    """Writes layers and options as tables from which a `Reader` makes the same again.

    Its methods raise `ConfigError` for what no file can say, with its place.
    """

    plugins: Plugins
    _shared: dict[int, Place] = attrs.field(factory=dict, init=False)

    def stack(self, stack: Iterable[Any], place: Place) -> list[dict[str, Any]]:
        """The tables of `[[stack]]`."""
        return [self.layer(one, place / at) for at, one in enumerate(stack)]

    def layer(self, item: Any, place: Place) -> dict[str, Any]:
        """The table of a layer, its `use` first."""
        name = name_of(item, self.plugins)
        if name is not None and attrs.has(type(item)):
            return {"use": name, **self._options(item, place)}
        what = getattr(item, "__qualname__", None) or type(item).__qualname__
        raise place.error(f"{what} is no registered middleware made of attrs: it has no name here")

    def provider(self, name: str, options: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """The table of a provider's options."""
        known: dict[str, Option] = {}
        with suppress(PluginError):
            spec = self.plugins.spec("provider", str(options.get("use", name)))
            known = options_of(resolve(spec))[0]
        return {
            key: self._value(one, place / key, known[key].hint if key in known else Any)
            for key, one in sorted(options.items(), key=lambda item: item[0] != "use")
        }

    def rows(self, rows: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """Rows by the targets they are for."""
        return {target: self._value(row, place / target) for target, row in rows.items()}

    def _options(self, item: Any, place: Place) -> dict[str, Any]:
        """What an instance was given and is not the default, by the names of the options."""
        found: dict[str, Any] = {}
        known = options_of(type(item))[0]
        for name, option in known.items():
            given = getattr(item, option.attribute)
            if option.holds_layers:
                found |= self._inside(given, name, known, place)
            elif not self._is_default(given, option, place / name):
                found[name] = self._value(given, place / name, option.hint)
        return found

    def _inside(
        self, layers: Iterable[Any], holder: str, known: Iterable[str], place: Place
    ) -> dict[str, Any]:
        tables = self.stack(layers, place / holder)
        names = [table["use"] for table in tables]
        if len({*names, *known}) < len(names) + len(list(known)):
            return {holder: tables}
        return {table.pop("use"): table for table in tables}

    def _is_default(self, given: Any, option: Option, place: Place) -> bool:
        if option.is_many and not given:
            return True
        if not is_value(type(given)) or type(given) is not type(option.default):
            return bool(given == option.default)
        if type(given).__eq__ is object.__eq__:  # it has a state, and who shares it matters
            first = self._shared.setdefault(id(given), place)
            if first != place:
                raise place.error(f"shares its {option.name} with {first.path}: no file can say so")
        return self._options(given, place) == self._options(option.default, place)

    def _value(self, given: Any, place: Place, hint: Any = Any) -> Any:
        if isinstance(given, Secret):
            raise place.error('a secret is never written; say "env:NAME" or "file:PATH" for it')
        if type(given) in _SCALARS:
            return _checked_text(given, place) if isinstance(given, str) else given
        for name, kind in error_class.items():
            if given is kind:
                return name
        if isinstance(given, Mapping):
            return {
                self._key(key, place): self._value(one, place / self._key(key, place))
                for key, one in given.items()
            }
        if isinstance(given, (set, frozenset)):
            given = sorted(given)
        if isinstance(given, (list, tuple)):
            return [self._value(one, place / at) for at, one in enumerate(given)]
        if is_value(type(given)) and type(given) in choices(hint):
            return self._options(given, place)
        what = getattr(given, "__qualname__", None) or type(given).__qualname__
        raise place.error(f"TOML can't say {what}")

    def _key(self, key: Any, place: Place) -> str:
        found = self._value(key, place)
        if not isinstance(found, str):
            raise place.error(f"TOML can't have the key {key!r}")
        return found


def _checked_text(given: str, place: Place) -> str:
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise place.error("TOML can't say a text with half a character") from error
    return given
