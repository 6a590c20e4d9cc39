"""Validators of policies' options: a wrong value names its field, the value, what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from llmmw.errors import ConfigError

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def seconds(low: float) -> Validator:
    """A finite number of seconds, `low` or more, or `None` where that is the default."""

    def check(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
        if given is None and field.default is None:
            return
        if type(given) not in {int, float} or not low <= given < math.inf:
            raise _wrong(item, field, given, f"seconds, a number from {low:g} on")

    return check


def whole(low: int) -> Validator:
    """A whole number, `low` or more, or `None` where that is the default."""

    def check(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
        if given is None and field.default is None:
            return
        if type(given) is not int or given < low:
            raise _wrong(item, field, given, f"a whole number from {low} on")

    return check


def share(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
    """A part of a whole: above 0, up to 1."""
    if type(given) not in {int, float} or not 0 < given <= 1:
        raise _wrong(item, field, given, "a number above 0, up to 1")


def above_zero(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
    """A finite number above 0, or `None` where that is the default."""
    if given is None and field.default is None:
        return
    if type(given) not in {int, float} or not 0 < given < math.inf:
        raise _wrong(item, field, given, "a number above 0")


def one_of(*words: str) -> Validator:
    """One of the given words."""

    def check(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
        if given not in words:
            raise _wrong(item, field, given, f"one of {', '.join(map(repr, words))}")

    return check


def _wrong(item: Any, field: attrs.Attribute[Any], given: Any, what: str) -> ConfigError:
    return ConfigError(f"{type(item).__name__}({field.name}={given!r}): expected {what}")


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """A converter: one name, or some. What is neither is left to validators."""
    some: Any = given
    return tuple(some) if isinstance(some, Iterable) and not isinstance(some, str) else (some,)
