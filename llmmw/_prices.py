"""What tokens cost: a table of prices, each with the day and the page that it was read from.

A price that nobody knows is `None`, never 0, and so is what is made of it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from llmmw._response import Usage
from llmmw.errors import ConfigError

__all__ = ["GivenPrices", "Price", "Prices", "built_in_prices", "price_of", "prices_of"]

GivenPrices: TypeAlias = Mapping[str, Mapping[str, Any]] | str | Path
"""Rows by the targets they are for, `{"openai:gpt-x": {"input": "0.25", "output": "2"}}`, or a
file of the same form as the library's own `prices.toml`."""

_MILLION = 1_000_000
_MANY = 10_000
_MONEY = ("input", "output", "cache_read", "cache_write")


def _money(given: Any) -> Decimal | None:
    """Dollars out of text or a number; floats are taken as they are written."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (str, int, float, Decimal)):
        raise TypeError(given)
    money = Decimal(str(given))
    if not money.is_finite() or not 0 <= money < _MILLION:
        raise ValueError(given)
    return money


@attrs.frozen
class Price:
    """US dollars for a million tokens of the models that `model` matches.

    Args:
        model: a target, `"provider:model"`; `*`, `?` and `[0-9]` match as in names of files.
        input: of tokens that came from no cache.
        output: `None` for models that answer with no text.
        cache_read: of input tokens that came from the provider's cache. `None` is unknown.
        cache_write: of input tokens that went into it, for its shortest time. `None` is unknown.
        read: the day when somebody read it.
        source: the page of the vendor that says it.
    """

    model: str
    input: Decimal
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    read: date | None = None
    source: str = ""

    @classmethod
    def of(cls, model: str, row: Any, where: str) -> Price:
        """A row of a table.

        Raises:
            ConfigError: for what is no row; `where` says whose it is.
        """
        where = f"{where}: the price of {model!r}"
        if not isinstance(row, Mapping):
            raise ConfigError(f"{where}: expected a table with input and output, got {row!r}")
        known = [field.name for field in attrs.fields(cls)[1:]]
        for name, given in row.items():
            if name not in known:
                raise ConfigError(f"{where} has no field {name!r}; known are {', '.join(known)}")
            if name not in _MONEY and not isinstance(given, date if name == "read" else str):
                raise ConfigError(f"{where}: {name}={given!r} is not what it should be")
        if not model.partition(":")[1]:
            raise ConfigError(f'{where}: expected "provider:model"')
        fields: dict[str, Any] = dict(row)
        for name in _MONEY:
            try:
                fields[name] = _money(row.get(name))
            except (InvalidOperation, TypeError, ValueError):
                what = "expected dollars for a million tokens, as text or number"
                raise ConfigError(f"{where}: {name}={row[name]!r}: {what}") from None
        if fields["input"] is None:
            raise ConfigError(f"{where} says nothing of input")
        return cls(model, **fields)

    def cost(self, usage: Usage) -> Decimal | None:
        """What tokens cost; `None` where some price, or some number of tokens, is unknown."""
        special = (usage.input_audio_tokens, usage.output_audio_tokens)
        if usage.input_tokens is None or any(special) or any(usage.server_tool_calls.values()):
            return None
        read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        made = usage.output_tokens
        total = self.input * max(usage.input_tokens - read - written, 0)
        if made is None and self.output is not None:
            return None
        for price, tokens in (
            (self.output, made or 0),
            (self.cache_read, read),
            (self.cache_write, written),
        ):
            if tokens and price is None:
                return None
            total += (price or 0) * tokens
        return total / _MILLION


@attrs.frozen
class Prices:
    """A table of prices. Of several rows that match, an exact name wins, then the longest
    pattern, then the earlier row."""

    rows: tuple[Price, ...]
    _found: dict[str, Price | None] = attrs.field(factory=dict, init=False, eq=False, repr=False)

    def row(self, target: str) -> Price | None:
        """The price of a target, or `None`."""
        if target in self._found:
            return self._found[target]
        fitting = [r for r in self.rows if r.model == target or fnmatchcase(target, r.model)]
        best = max(fitting, key=lambda r: (r.model == target, len(r.model)), default=None)
        if len(self._found) < _MANY:
            self._found[target] = best
        return best

    def cost(self, target: str, usage: Usage | None) -> Decimal | None:
        """What a call cost, in US dollars: what the host told, else by the table, else `None`."""
        if usage is None:
            return None
        row = self.row(target) if usage.cost is None else None
        return usage.cost if row is None else row.cost(usage)

    def priced(self, target: str, usage: Usage | None) -> Usage | None:
        """The usage with its cost, where that is known."""
        if usage is None or usage.cost is not None:
            return usage
        cost = self.cost(target, usage)
        return usage if cost is None else attrs.evolve(usage, cost=cost)


def prices_of(given: GivenPrices | None, where: str = "prices") -> Prices:
    """The built-in prices, after those given.

    Raises:
        ConfigError: for a file that can't be read, or what is no table of prices.
    """
    if given is None:
        return built_in_prices()
    if isinstance(given, Mapping):
        rows = tuple(Price.of(str(model), row, where) for model, row in given.items())
    else:
        rows = tuple(_rows(Path(given)))
    return Prices((*rows, *(r for r in built_in_prices().rows if not _covered(r, rows))))


def _covered(row: Price, by: Iterable[Price]) -> bool:
    """Whether a row of the user's takes the place of a built-in one, however long its name."""
    return any(fnmatchcase(row.model, other.model) for other in by)


@functools.cache
def built_in_prices() -> Prices:
    """The prices that come with the library, `llmmw/prices.toml`."""
    return Prices(tuple(_rows(Path(__file__).with_name("prices.toml"))))


def price_of(target: str, usage: Usage | None, prices: Prices | None = None) -> Decimal | None:
    """What a call cost, in US dollars.

    Args:
        target: the model that answered, `"provider:model"`.
        usage: its tokens; a cost that the host told wins.
        prices: default: those that come with the library.

    Returns:
        `None` where the price or a number of tokens is unknown. A model costs 0 only where its
        row says so.
    """
    return (prices or built_in_prices()).cost(target, usage)


def _rows(path: Path) -> Iterable[Price]:
    import tomllib  # only where prices are asked for

    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read the prices in {path}: {error}") from error
    rows = table.get("price")
    if set(table) != {"price"} or not isinstance(rows, list):
        raise ConfigError(f"{path}: expected [[price]] tables and nothing else")
    for row in rows:
        fields = dict(row) if isinstance(row, Mapping) else {}
        yield Price.of(str(fields.pop("model", "")), fields, str(path))
