"""Prompts made of the columns of a row: `Translate {text} to {language}`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, time
from string import Formatter
from typing import Any

import attrs
import orjson

from llmmw.errors import BadRequest, ConfigError

__all__ = ["Template"]


@attrs.frozen
class Template:
    """Text with names of columns in braces; `{{` and `}}` are braces. There is nothing else in
    it: no attributes, no indices, no formats."""

    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, text: str) -> Template:
        """A template as it is written.

        Raises:
            ConfigError: if it is none.
        """
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise ConfigError(f"the template {text!r}: {error}; a brace is written {{{{") from error
        for _, name, form, change in parsed:
            if name == "" or form or change:
                raise ConfigError(
                    f"the template {text!r}: expected the name of a column in braces and nothing "
                    "else, for example {text}"
                )
        return cls(tuple((literal, name) for literal, name, _, _ in parsed))

    def check(self, columns: Collection[str]) -> None:
        """Raise `ConfigError` for a column that is not there."""
        for _, name in self.pieces:
            if name is not None and name not in columns:
                known = ", ".join(columns) or "none"
                raise ConfigError(f"the template names a column {name!r}; there are: {known}")

    def fill(self, row: Mapping[str, Any]) -> str:
        """The text for a row.

        Raises:
            BadRequest: if the row lacks a column.
        """
        return "".join(
            literal + (_text(row, name) if name is not None else "")
            for literal, name in self.pieces
        )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        raise BadRequest(f"the row has no {name!r}, which the template names")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    plain = not isinstance(value, (bool, dict, list))
    return str(value) if plain else orjson.dumps(value, default=str).decode()
