"""What is put to the test: a policy, a stack, or what makes one; made anew for each world."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import attrs

from llmmw._chain import Middleware

__all__ = ["MakeStack", "Subject", "maker_of"]

MakeStack: TypeAlias = Callable[[], Sequence[Middleware]]

Subject: TypeAlias = (
    Middleware
    | Sequence[Middleware]
    | Callable[[], Middleware]
    | Callable[[], Sequence[Middleware]]
)
"""A middleware, or a stack of them, outermost first: each run has a copy, as it was given. Or a
class or function without arguments that makes one, for what can't be copied."""


@attrs.define(eq=False)
class _Maker:
    """Makes stacks; the first is looked at closely."""

    make: Callable[[], Any]
    looked: bool = False

    def __call__(self) -> tuple[Middleware, ...]:
        made = self.make()
        if not self.looked:
            _check(made)
            self.looked = True
        return (made,) if callable(made) else tuple(made)


def maker_of(subject: Subject) -> MakeStack:
    """What makes the stack, such that no run sees what another has left in it.

    Raises:
        TypeError: for something that is neither middleware nor makes any, or can't be copied.
    """
    if isinstance(subject, _Maker):
        return subject
    if isinstance(subject, type) or (callable(subject) and _takes(subject, 0)):
        return _Maker(cast("Callable[[], Any]", subject))
    _check(subject)
    _copied(subject)
    return _Maker(lambda: _copied(subject))


def _check(made: Any) -> None:
    layers = (made,) if callable(made) else made
    if not isinstance(layers, Sequence) or not all(_takes(layer, 2) for layer in layers):
        raise TypeError(
            f"{made!r} is no middleware and no stack of it, nor does it make one: middleware is "
            "called with (call, next), and what makes one with nothing"
        )


def _takes(given: Any, count: int) -> bool:
    """Whether it can be called with so many arguments."""
    if isinstance(given, type) or inspect.isroutine(given) or not callable(given):
        return _binds(given, count)
    return _method_binds(type(given).__call__, 1 + count)


@functools.lru_cache
def _method_binds(method: Any, count: int) -> bool:
    return _binds(method, count)


def _binds(given: Any, count: int) -> bool:
    try:
        inspect.signature(given).bind(*[None] * count)
    except TypeError:
        return False
    return True


def _copied(stack: Any) -> Any:
    try:
        return copy.deepcopy(stack)
    except Exception as error:
        raise TypeError(
            f"{stack!r} can't be copied for each run ({error}): give a function that makes it, "
            "as `lambda: [MyPolicy()]`"
        ) from error
