"""Which options a factory takes, by its signature, and which plain data these take, by its type
hints. A hint that says nothing about plain data lets everything pass; the class then judges."""

from __future__ import annotations

import inspect
from collections import abc
from collections.abc import Mapping
from contextlib import suppress
from types import GenericAlias, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from llmmw import errors
from llmmw._plain import default_of
from llmmw._secret import Secret
from llmmw.errors import LLMError

__all__ = [
    "LISTS",
    "Option",
    "choices",
    "error_class",
    "fits",
    "is_value",
    "item_hint",
    "options_of",
    "origin",
    "words",
]

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
LISTS: dict[Any, type] = {
    list: list,
    tuple: tuple,
    abc.Sequence: tuple,
    abc.Collection: tuple,
    abc.Iterable: tuple,
    set: set,
    frozenset: frozenset,
    abc.Set: frozenset,
}
"""What is made of a list where a hint has one of these."""
_TABLES = {dict, abc.Mapping, abc.MutableMapping}

error_class: Mapping[str, type[LLMError]] = {
    name: kind
    for name in errors.__all__
    if isinstance(kind := getattr(errors, name), type) and issubclass(kind, LLMError)
}
"""The classes of errors that calls end with, by their names."""


@attrs.frozen
class Option:
    """A parameter of a factory."""

    name: str
    hint: Any
    default: object
    """`attrs.NOTHING` where there is none."""
    attribute: str
    """Where an instance keeps it."""
    is_many: bool
    """It is a parameter `*name`."""
    holds_layers: bool

    @property
    def is_needed(self) -> bool:
        """Whether it must be given."""
        return self.default is attrs.NOTHING and not self.is_many


def options_of(factory: Any) -> tuple[dict[str, Option], bool]:
    """The options of a factory by their names, and whether it takes others, too."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # written in C
        return {}, True
    of_class, of_init = _hints(factory), _hints(getattr(factory, "__init__", None))
    fields = {f.alias: f for f in attrs.fields(factory)} if attrs.has(factory) else {}
    found = {}
    for one in parameters:
        if one.kind in {one.VAR_KEYWORD, one.POSITIONAL_ONLY}:
            continue
        field, is_many = fields.get(one.name), one.kind is one.VAR_POSITIONAL
        hint = of_class.get(field.name if field else one.name, Any)
        if one.name in of_init:
            given = of_init[one.name]
            hint = GenericAlias(tuple, (given, ...)) if is_many else given
        if field is not None and field.converter is not None:
            hint = Any
        if field is not None:
            default = default_of(field)
        else:
            default = attrs.NOTHING if one.default is one.empty else one.default
        layers = bool(field is not None and field.metadata.get("layers"))
        place = field.name if field is not None else one.name
        found[one.name] = Option(one.name, hint, default, place, is_many, layers)
    return found, any(one.kind is one.VAR_KEYWORD for one in parameters)


def _hints(item: Any) -> dict[str, Any]:
    with suppress(Exception):  # names that only a type checker can see
        return get_type_hints(item)
    return {}


def origin(hint: Any) -> Any:
    """`tuple` of `tuple[str, ...]`; a plain class is its own."""
    return get_origin(hint) or hint


def choices(hint: Any) -> list[Any]:
    """The members of a union that a file could name, or the hint itself."""
    if get_origin(hint) in {Union, UnionType}:
        return [c for one in get_args(hint) for c in choices(one) if c is not NoneType]
    return [hint]


def item_hint(hint: Any) -> Any:
    """The hint of a list's items."""
    args = get_args(hint)
    if len(args) == 1 or (len(args) == 2 and args[1] is ...):
        return args[0]
    return Any


def fits(given: Any, hint: Any) -> bool:
    """Whether data has the outer shape of what a hint takes."""
    base = origin(hint)
    kind = str if isinstance(given, Secret) else type(given)
    if base is Literal:
        return any(given == one and kind is type(one) for one in get_args(hint))
    if base is abc.Callable:
        return False
    if base is float:
        return kind in {int, float}
    if base in _WORDS:
        return kind is base
    if base is Secret or _is_error_class(hint):
        return kind is str
    if base in LISTS:
        return kind is list
    if base in _TABLES or is_value(base):
        return kind is dict
    return True


def words(hint: Any) -> str:
    """What a hint takes, for people."""
    return " or ".join(dict.fromkeys(filter(None, map(_word, choices(hint))))) or "nothing"


def _word(hint: Any) -> str:
    base = origin(hint)
    if base is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    if base is abc.Callable:
        return ""
    if base is Secret:
        return "text"
    if _is_error_class(hint):
        return "the name of an error"
    if base in LISTS:
        return "a list"
    if base in _TABLES or is_value(base):
        return "a table"
    return _WORDS.get(base, "any value")


def _is_error_class(hint: Any) -> bool:
    args = get_args(hint)
    return get_origin(hint) is type and isinstance(args[0], type) and issubclass(args[0], LLMError)


def is_value(base: Any) -> bool:
    """Whether this is a class whose instances a table makes, such as `Budget`."""
    return isinstance(base, type) and attrs.has(base) and not issubclass(base, LLMError)
