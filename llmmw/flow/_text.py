"""Texts made of values that are not there yet: joined, formatted, rendered, and queried."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from llmmw._typed import dump
from llmmw.errors import BadRequest, ConfigError
from llmmw.flow._node import Executable, Operation, node
from llmmw.flow._templates import PLAIN

__all__ = ["as_text", "concat", "format", "formatted", "jinja", "jq"]

_WIDEST = 10_000
_INNER = re.compile(
    "_|((gi|cr|ag)_(frame|code|yieldfrom|await|origin)"
    "|tb_(frame|next)|f_(back|globals|locals|builtins|code))$"
)
"""Names of what is private, and of what leads to the frames of running code."""


def as_text(value: object) -> str:
    """The text of a value: of none "", of texts and numbers their own, else their JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, int, float)):
        return str(value)
    try:
        return dump(value)
    except TypeError:
        return str(value)


def _concat(*items: Any) -> str:
    return "".join(map(as_text, items))


_CONCAT = Operation(name="concat", function=_concat, pure=True, kind="concat")


def concat(*items: object) -> Executable[str]:
    """One text of several values and Executables.

    Args:
        items: texts as they are, `None` as no text, numbers as Python writes them, other values
            as JSON.
    """
    return node(_CONCAT, *items)


class _Formatter(string.Formatter):
    """Fields that reach no private attribute, and take no more room than a text may."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if isinstance(key, int):
            raise BadRequest("the fields of a format have names: write {x}, not {} or {0}")
        if key not in kwargs:
            raise BadRequest(f"the format needs {key!r}, which is not given")
        return kwargs[key]

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        parts = field_name.replace("[", ".").split(".")
        if any(map(_INNER.match, parts[1:])):
            raise BadRequest(f"the field {field_name!r} reaches for what is private")
        try:
            return super().get_field(field_name, args, kwargs)
        except (AttributeError, LookupError, TypeError) as error:
            raise BadRequest(f"the field {field_name!r}: {error}") from error

    def format_field(self, value: Any, format_spec: str) -> str:
        numbers = "".join(one if one.isdigit() else " " for one in format_spec).split()
        if any(int(one) > _WIDEST for one in numbers):
            raise BadRequest(f"the format {format_spec!r} is wider than {_WIDEST}")
        return super().format_field(value, format_spec) if format_spec else as_text(value)


def formatted(template: str, variables: Mapping[str, Any]) -> str:
    """A text with values in the places of its `{fields}`.

    Raises:
        BadRequest: if a field is missing, can't be formatted, or reaches for what is private.
    """
    if not isinstance(template, str):
        raise BadRequest(f"a format is a text, not {template!r}")
    try:
        return _Formatter().vformat(template, (), variables)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"the format {template[:80]!r}: {error}") from error


def _format(template: str, /, **variables: Any) -> str:
    return formatted(template, variables)


_FORMAT = Operation(name="format", function=_format, pure=True, kind="format")


def format(template: object, /, **variables: object) -> Executable[str]:  # noqa: A001
    """A text with values in the places of its `{fields}`, as `str.format` has them.

    Args:
        template: the text, or an Executable that gives it. Fields have names; they may go on to
            attributes and items, though to nothing private.
        variables: values and Executables.
    """
    return node(_FORMAT, template, **variables)


async def _jinja(template: str, /, **variables: Any) -> str:
    return await PLAIN.render(template, variables)


_JINJA = Operation(name="jinja", function=_jinja, pure=True, kind="jinja")


def jinja(template: object, /, **variables: object) -> Executable[str]:
    """A text by a Jinja template, in a sandbox; see `Prompt` for templates that are kept.

    Args:
        template: the template, or an Executable that gives it.
        variables: values and Executables.
    """
    return node(_JINJA, template, **variables)


def _jq(target: Any, query: str, all: bool) -> Any:
    try:
        import jq as library  # type: ignore[import-not-found]
    except ImportError as error:
        raise ConfigError("jq queries need a library: pip install llmmw[jq]") from error
    if not isinstance(query, str):
        raise BadRequest(f"a query of jq is a text, not {query!r}")
    try:
        text = dump(target)
    except TypeError as error:
        raise BadRequest(f"jq {query!r}: the target has no form in JSON: {error}") from error
    try:
        found = library.compile(query).input_text(text)
        return list(found) if all else next(iter(found), None)
    except ValueError as error:
        raise BadRequest(f"jq {query!r}: {error}") from error


_JQ = Operation(
    name="jq", function=_jq, pure=True, kind="jq", parameters=("target", "query", "all")
)


def jq(target: object, query: object, *, all: bool = False) -> Executable[Any]:
    """What a query in the language of jq finds in a value.

    Args:
        target: data, or an object that has a form in JSON, or an Executable that gives one.
            Of whole numbers above 2**53, jq keeps the first digits.
        query: as `.a[0].b`. It is a program, so let nobody write it whom you don't trust.
        all: all that it finds, as a list; default: the first, `None` if there is nothing.
    """
    return node(_JQ, target, query, all)
