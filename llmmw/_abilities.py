"""What targets can do, as users say: rows that change what a provider tells of its models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast, get_args

import attrs

from llmmw._capabilities import Capabilities, Media, Output
from llmmw._request import (
    CountTokens,
    Detokenize,
    Embed,
    Generate,
    Request,
    Score,
    Tokenize,
    parameter_names,
)
from llmmw.errors import ConfigError

__all__ = ["Abilities", "Ability", "GivenCapabilities", "abilities_of", "row_of"]

GivenCapabilities: TypeAlias = Mapping[str, Mapping[str, Any]] | str | Path
"""Rows by the targets they are for, `{"openai:my-*": {"can": ["tools"], "output_limit": 4096}}`,
or a TOML file of tables `[capabilities."openai:my-*"]`. The words of `can` and `cannot` are the
parameters of `Generate`, `image`, `audio`, `video`, `document`, the forms of `output` (`json`,
`schema`, `grammar`, `regex`, `choice`), `prefill`, and `generate`, `embed`, `score`,
`count_tokens`, `tokenize` and `detokenize`."""

T = TypeVar("T")

_KINDS: Mapping[str, type[Request]] = {
    "generate": Generate,
    "embed": Embed,
    "score": Score,
    "count_tokens": CountTokens,
    "tokenize": Tokenize,
    "detokenize": Detokenize,
}
_MEDIA: frozenset[Media] = frozenset(get_args(Media))
_OUTPUTS: frozenset[Output] = frozenset(get_args(Output))
_PARAMETERS = frozenset(parameter_names())
_WORDS = (*_PARAMETERS, *_MEDIA, *_OUTPUTS, "prefill", *_KINDS)
_FIELDS = ("can", "cannot", "input_limit", "output_limit", "bills_on_cancel")


@attrs.frozen
class Ability:
    """What the user says of the targets that `model` matches."""

    model: str
    can: frozenset[str] = frozenset()
    cannot: frozenset[str] = frozenset()
    input_limit: int | None = None
    output_limit: int | None = None
    bills_on_cancel: bool | None = None

    @classmethod
    def of(cls, model: str, row: Any, where: str) -> Ability:
        """A row of a table.

        Raises:
            ConfigError: for what is no row; `where` says whose it is.
        """
        where = f"{where}: the capabilities of {model!r}"
        if not isinstance(row, Mapping):
            raise ConfigError(f"{where}: expected a table with can and cannot, got {row!r}")
        if not model.partition(":")[1]:
            raise ConfigError(f'{where}: expected "provider:model"')
        for name in row:
            if name not in _FIELDS:
                raise ConfigError(f"{where} have no field {name!r}; known are {', '.join(_FIELDS)}")
        for name in ("input_limit", "output_limit"):
            given = row.get(name, 1)
            if type(given) is not int or given < 1:
                raise ConfigError(f"{where}: {name}={given!r}: expected a whole number from 1")
        if not isinstance(row.get("bills_on_cancel", True), bool):
            raise ConfigError(
                f"{where}: bills_on_cancel={row['bills_on_cancel']!r}: true or false?"
            )
        words = {name: _words(row.get(name, ()), f"{where}: {name}") for name in ("can", "cannot")}
        both = words["can"] & words["cannot"]
        if both:
            raise ConfigError(f"{where}: {min(both)!r} stands in can and in cannot")
        return cls(model, **{**row, **words})

    def over(self, told: Capabilities) -> Capabilities:
        """What a provider tells, changed by this row. What is unknown stays so, but for what is
        named in `cannot`."""
        parameters = self._changed(told.parameters, _PARAMETERS)
        outputs = self._changed(told.outputs, _OUTPUTS)
        if told.parameters is not None and "output" not in told.parameters:
            forms = (self.can & _OUTPUTS) if "output" not in self.cannot else frozenset()
            if forms:
                parameters = frozenset({*(parameters or ()), "output"})
                outputs = cast("frozenset[Output]", forms)
            elif "output" in self.can:  # which of its forms, was said by nobody
                outputs = self._changed(None, _OUTPUTS)
        names = {name for name, kind in _KINDS.items() if told.kinds and kind in told.kinds}
        kinds = self._changed(None if told.kinds is None else names, _KINDS)
        prefill = "prefill" in self.can or (told.prefill and "prefill" not in self.cannot)
        changes = {
            name: given
            for name in ("input_limit", "output_limit", "bills_on_cancel")
            if (given := getattr(self, name)) is not None
        }
        return attrs.evolve(
            told,
            parameters=parameters,
            outputs=outputs,
            media=self._changed(told.media, _MEDIA),
            kinds=None if kinds is None else self._kinds(kinds, told),
            prefill=prefill,
            **changes,
        )

    def _kinds(self, names: Collection[str], told: Capabilities) -> frozenset[type[Request]]:
        """Kinds of requests by their names; and what stands for several of a kind, with that."""
        unnamed = frozenset(told.kinds or ()).difference(_KINDS.values())
        kept = unnamed if "generate" in names else frozenset()
        return kept | {_KINDS[name] for name in names}

    def _changed(self, told: Collection[T] | None, every: Collection[T]) -> frozenset[T] | None:
        """Some words, with those of `every` that this row adds and takes away."""
        taken = self.cannot.intersection(cast("Any", every))
        if told is None:
            return frozenset(every).difference(taken) if taken else None
        added = cast("frozenset[T]", self.can.intersection(cast("Any", every)))
        return (frozenset(told) | added).difference(taken)


def row_of(can: Capabilities) -> dict[str, Any]:
    """What is known of a target, as a row says it."""
    words: dict[str, list[str]] = {"can": ["prefill"] if can.prefill else [], "cannot": []}
    kinds = None if can.kinds is None else {n for n, kind in _KINDS.items() if kind in can.kinds}
    told: tuple[tuple[Collection[str] | None, Collection[str]], ...] = (
        (kinds, _KINDS),
        (can.parameters, _PARAMETERS),
        (can.media, _MEDIA),
        (can.outputs, _OUTPUTS),
    )
    for known, every in told:
        if known is not None:
            words["can"] += sorted(set(every).intersection(known))
            words["cannot"] += sorted(set(every).difference(known))
    row = {name: getattr(can, name, None) for name in _FIELDS}
    return {name: given for name, given in (row | words).items() if given not in (None, [])}


def _words(given: Any, where: str) -> frozenset[str]:
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise ConfigError(f"{where}={given!r}: expected a list of words")
    for word in given:
        if word not in _WORDS:
            known = ", ".join(sorted(_WORDS))
            raise ConfigError(f"{where}: {word!r} is none of the words {known}")
    return frozenset(given)


@attrs.frozen
class Abilities:
    """A table of what users say. Of several rows that match, an exact name wins, then the longest
    pattern, then the earlier row."""

    rows: tuple[Ability, ...] = ()

    def row(self, target: str) -> Ability | None:
        """What is said of a target, or `None`."""
        fitting = [r for r in self.rows if r.model == target or fnmatchcase(target, r.model)]
        return max(fitting, key=lambda r: (r.model == target, len(r.model)), default=None)


def abilities_of(given: GivenCapabilities | None, where: str = "capabilities") -> Abilities:
    """The table that is given.

    Raises:
        ConfigError: for a file that can't be read, or what is no table of capabilities.
    """
    if given is None:
        return Abilities()
    if not isinstance(given, (str, Path, Mapping)):
        raise ConfigError(f"{where}={given!r}: expected a table or the path of a file")
    if not isinstance(given, Mapping):
        return abilities_of(_tables_of(Path(given)), str(given))
    return Abilities(tuple(Ability.of(str(model), row, where) for model, row in given.items()))


def _tables_of(path: Path) -> Mapping[str, Any]:
    import tomllib  # kept out of programs that read no file

    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read the capabilities in {path}: {error}") from error
    rows = tables.get("capabilities")
    if set(tables) != {"capabilities"} or not isinstance(rows, dict):
        raise ConfigError(f'{path}: expected tables [capabilities."provider:model"] and no others')
    return rows
