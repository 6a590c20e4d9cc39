"""Layers, and options of providers, out of the tables of a file.

A factory's own signature and type hints say what a table may hold, so a class of a plugin needs
nothing more to stand in a file. A parameter `*targets` is the option `targets`, a list. A field
marked `metadata={"layers": True}` holds layers: a table for each, by its name, as
`[stack.retry]`; or a list by the field's name, as `[[stack.policies]]`, each with its `use`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

import attrs

from llmmw._chain import Middleware
from llmmw._config._place import Place, meant
from llmmw._config._signature import (
    LISTS,
    choices,
    error_class,
    fits,
    is_value,
    item_hint,
    options_of,
    origin,
    words,
)
from llmmw._plugins import Plugins, resolve
from llmmw.errors import ConfigError, LLMError, PluginError

__all__ = ["Reader"]

_MOST_LAYERS = 100

Table = Mapping[str, Any]
T = TypeVar("T")


@attrs.frozen
class Reader:
    """Makes what tables describe, by the names that the registry knows.

    Its methods raise `ConfigError` with the file, the path of the key and what was expected.
    """

    plugins: Plugins

    def stack(self, given: Any, place: Place) -> tuple[Middleware, ...]:
        """The layers of `[[stack]]`."""
        if type(given) is not list or any(type(one) is not dict for one in given):
            raise place.wrong(given, f"tables: [[{place.path}]], each with its use")
        if len(given) > _MOST_LAYERS:
            raise place.error(f"{len(given)} layers: expected {_MOST_LAYERS} at most")
        return tuple(self._used(one, place / at) for at, one in enumerate(given))

    def _used(self, table: Table, place: Place) -> Middleware:
        rest = dict(table)
        use = rest.pop("use", None)
        if use is None:
            known = ", ".join(self.plugins.names("middleware"))
            raise place.error(f"use is missing: which middleware is it? There is {known}")
        return self._layer(read(use, str, place / "use"), rest, place, place / "use")

    def _layer(self, use: str, table: Table, place: Place, named: Place) -> Middleware:
        try:
            spec = self.plugins.spec("middleware", use)
            factory = resolve(spec)
        except PluginError as error:
            raise named.error(str(error)) from error
        options = self._options(factory, table, place)
        _check_needed(factory, {**spec.options, **options}, place)

        def make(options: Table) -> Middleware:
            layer: Middleware = self.plugins.make("middleware", use, *_spread(factory, options))
            return layer

        return _made(make, factory, options, table, place)

    def _options(self, factory: Any, table: Table, place: Place) -> dict[str, Any]:
        """The options of a factory that may hold layers."""
        known = options_of(factory)[0]
        holder = next((one.name for one in known.values() if one.holds_layers), "")
        names = self.plugins.names("middleware") if holder else []
        short = {key: one for key, one in table.items() if key in names and key not in known}
        rest = {key: one for key, one in table.items() if key not in short}
        options = read_options(factory, rest, place, also=names)
        if holder in options:
            options[holder] = self.stack(options[holder], place / holder)
        if short:
            if holder in options:
                key = next(iter(short))
                raise (place / key).error(f"write it into {holder}, or each as a table of its own")
            options[holder] = [
                self._layer(key, read(one, dict, place / key), place / key, place / key)
                for key, one in short.items()
            ]
        return options

    def provider(self, name: str, given: Any, place: Place) -> dict[str, Any]:
        """The options of a provider. What is wrong with the plugin itself, or with what it finds
        on this machine, is told when it is asked."""
        table = read(given, dict, place)
        use = read(table.get("use", name), str, place / "use")
        there = [one.name for one in self.plugins.found if one.kind == "provider"]
        if use not in there:
            named = place / "use" if "use" in table else place
            account = "" if "use" in table else '; an account of your own needs its use = "…"'
            hint = meant(use, sorted(set(there)))
            raise named.error(f"no provider is named {use!r}{account}; {hint}")
        try:
            factory = resolve(self.plugins.spec("provider", use))
        except PluginError:
            return dict(table)
        rest = {key: one for key, one in table.items() if key != "use"}
        options = read_options(factory, rest, place, without={"name"})

        def make(options: Table) -> object:
            return self.plugins.make("provider", use, {"name": name, **options})

        try:
            make(options)
        except LLMError:
            pass
        except ConfigError as error:
            blamed = _blamed(make, factory, options, str(error), place)
            if blamed != place:
                raise blamed.error(str(error)) from error
        return {"use": use, **options} if "use" in table else options


def _spread(factory: Any, options: Table) -> tuple[Any, ...]:
    """The options by name, then those items that a factory takes by position."""
    many = [one.name for one in options_of(factory)[0].values() if one.is_many]
    named = {name: one for name, one in options.items() if name not in many}
    return (named, *(one for name in many for one in options.get(name, ())))


def _made(
    make: Callable[[Table], T], factory: Any, options: Table, table: Table, place: Place
) -> T:
    try:
        return make(options)
    except ConfigError as error:
        written = {name: one for name, one in options.items() if name in table}
        blamed = _blamed(make, factory, options, str(error), place, written)
        raise blamed.error(str(error)) from error


def _blamed(
    make: Callable[[Table], object],
    factory: Any,
    options: Table,
    message: str,
    place: Place,
    written: Iterable[str] | None = None,
) -> Place:
    """The place of the one option without which the factory says something else."""
    known = options_of(factory)[0]
    blamed = []
    for name in options if written is None else written:
        try:
            make({other: one for other, one in options.items() if other != name})
        except (ConfigError, LLMError) as error:
            if str(error) == message:
                continue
        blamed.append(name)
    optional = [name for name in blamed if name not in known or not known[name].is_needed]
    only = optional or blamed
    return place / only[0] if len(only) == 1 else place


def _check_needed(factory: Any, given: Iterable[str], place: Place) -> None:
    for option in options_of(factory)[0].values():
        if option.is_needed and option.name not in given:
            raise place.error(f"{option.name} is missing: expected {words(option.hint)}")


def read_options(
    factory: Any,
    table: Table,
    place: Place,
    *,
    also: Iterable[str] = (),
    without: Iterable[str] = (),
) -> dict[str, Any]:
    """The options that a table gives to a factory; layers are left as they are.

    Args:
        factory: whose options they are.
        table: the options by their names.
        place: of the table.
        also: what else may be meant by an unknown key.
        without: options that are not the user's.

    Raises:
        ConfigError: for an unknown key, or a value of another type.
    """
    known, is_open = options_of(factory)
    known = {name: one for name, one in known.items() if name not in without}
    found: dict[str, Any] = {}
    for key, given in table.items():
        if key in known:
            option = known[key]
            found[key] = given if option.holds_layers else read(given, option.hint, place / key)
        elif is_open and key not in without:
            found[key] = given
        else:
            raise (place / key).unknown([*known, *also])
    return found


def read(given: Any, hint: Any, place: Place) -> Any:
    """A value as an option with this type hint takes it.

    Raises:
        ConfigError: if it is of another type.
    """
    for one in choices(hint):
        if fits(given, one):
            return _read(given, one, place)
    raise place.wrong(given, words(hint))


def _read(given: Any, hint: Any, place: Place) -> Any:
    base = origin(hint)
    if base is type:
        if given not in error_class:
            raise place.error(f"no error is named {given!r}; {meant(given, list(error_class))}")
        return error_class[given]
    if type(given) is list:
        items = [read(one, item_hint(hint), place / at) for at, one in enumerate(given)]
        return LISTS.get(base, list)(items)
    if type(given) is dict and is_value(base):
        options = read_options(base, given, place)
        _check_needed(base, options, place)
        return _made(lambda options: base(**options), base, options, given, place)
    if type(given) is dict:
        key, item = get_args(hint) or (str, Any)
        return {read(k, key, place / k): read(one, item, place / k) for k, one in given.items()}
    return given
