"""What form an answer must have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from llmmw._plain import value
from llmmw.errors import BadRequest

__all__ = [
    "Choice",
    "Grammar",
    "JsonObject",
    "JsonSchema",
    "OutputFormat",
    "output_of",
    "strings",
]


def strings(item: str | Iterable[str]) -> tuple[str, ...]:
    """Several texts; a single one stands for itself."""
    return (item,) if isinstance(item, str) else tuple(item)


def _schema(output: Any, field: Any, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise BadRequest(f"a JSON schema is an object, not {given!r}")


def _text(output: Any, field: Any, given: Any) -> None:
    if not isinstance(given, str):
        raise BadRequest(f"a grammar is a text, not {given!r}")


def _texts(output: Any, field: Any, given: Any) -> None:
    if not given or not all(isinstance(one, str) for one in given):
        raise BadRequest(f"a choice is of texts, at least one, not {given!r}")


@value
@attrs.frozen
class JsonObject:
    """Any JSON object. Most hosts want the word JSON in the prompt."""


@value
@attrs.frozen
class JsonSchema:
    """JSON that follows a schema."""

    schema: Mapping[str, Any] = attrs.field(hash=False, validator=_schema)
    name: str = attrs.field(default="answer", kw_only=True)
    description: str | None = attrs.field(default=None, kw_only=True)
    strict: bool | None = attrs.field(default=None, kw_only=True)


@value
@attrs.frozen
class Grammar:
    """Text that a grammar or a regular expression accepts."""

    text: str = attrs.field(validator=_text)
    syntax: Literal["gbnf", "lark", "ebnf", "regex"] = "gbnf"


@value
@attrs.frozen
class Choice:
    """One of the given texts."""

    options: tuple[str, ...] = attrs.field(converter=strings, validator=_texts)


OutputFormat: TypeAlias = JsonObject | JsonSchema | Grammar | Choice

_SHORT_OUTPUTS: Mapping[str, Any] = {
    "json_schema": JsonSchema,
    "grammar": Grammar,
    "regex": lambda pattern: Grammar(pattern, "regex"),
    "choice": Choice,
}


def output_of(item: object) -> OutputFormat | None:
    """`"json"`, a JSON schema as dict, `{"regex": …}`, `{"grammar": …}` or `{"choice": […]}`."""
    if item is None or isinstance(item, (JsonObject, JsonSchema, Grammar, Choice)):
        return item
    if item == "json":
        return JsonObject()
    if isinstance(item, Mapping):
        if len(item) == 1 and (short := next(iter(item))) in _SHORT_OUTPUTS:
            return _SHORT_OUTPUTS[short](item[short])  # type: ignore[no-any-return]
        return JsonSchema(item)
    raise BadRequest(f"output={item!r}: give 'json', a JSON schema, a Grammar or a Choice")
