"""What the fields of kept values may hold: bytes that somebody else has written are no answer only
because they can be read."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

__all__ = ["Test", "kinds_of", "test_of"]

Test: TypeAlias = Callable[[Any], bool]

_MOST_DIGITS = 60
_NUMBERS = {int, float}
_ANYTHING = {Any, object}
_OWN = {Decimal, *_ANYTHING}
"""What has a test of its own."""
_SIMPLE = {str, bool, bytes, int, float, NoneType}


@cache
def test_of(hint: Any) -> Test:
    """Whether something is of the type that this hint names; what is anybody's own is anything."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(hint)
    if origin is Literal:
        return lambda given: type(given) is str and given in args
    if origin is tuple:
        return _row_of(args)
    if origin is abc.Mapping:
        return _mapping_of(*args)
    if hint is Decimal:
        return _is_sum
    if hint is float:
        return lambda given: type(given) in _NUMBERS
    if hint in _SIMPLE:
        return lambda given: type(given) is hint
    if isinstance(hint, type) and hint not in _ANYTHING:
        return lambda given: isinstance(given, hint)
    return lambda given: True


def kinds_of(hint: Any) -> frozenset[type]:
    """The types of which whatever there is fits this hint: most of what is met, told quickly."""
    hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = frozenset(one for one in hints if isinstance(one, type) and one not in _OWN)
    return kinds | _NUMBERS if float in kinds else kinds


def _one_of(hint: Any) -> Test:
    kinds = kinds_of(hint)
    others = [test_of(one) for one in get_args(hint) if one not in kinds]
    return lambda given: type(given) in kinds or any(test(given) for test in others)


def _row_of(hints: tuple[Any, ...]) -> Test:
    if len(hints) == 2 and hints[1] is Ellipsis:
        if hints[0] is float:  # there may be thousands
            return lambda row: type(row) is tuple and {*map(type, row)} <= _NUMBERS
        test = test_of(hints[0])
        return lambda row: type(row) is tuple and all(map(test, row))
    tests = [test_of(one) for one in hints]
    return lambda row: (
        type(row) is tuple
        and len(row) == len(tests)
        and all(test(one) for test, one in zip(tests, row, strict=True))
    )


def _mapping_of(key: Any, item: Any) -> Test:
    of_key, of_item = test_of(key), test_of(item)
    return lambda given: (
        type(given) is dict and all(map(of_key, given)) and all(map(of_item, given.values()))
    )


def _is_sum(given: Any) -> bool:
    """A number that can be added up and printed."""
    return (
        type(given) is Decimal
        and given.is_finite()
        and abs(given.adjusted()) < _MOST_DIGITS
        and len(given.as_tuple().digits) <= _MOST_DIGITS
    )
