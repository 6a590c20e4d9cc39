"""Signatures of builtins: what they take, and whether a function can stand in for another."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import UnionType
from typing import Any, Literal, TypeVar, Union, Unpack, get_args, get_origin, get_type_hints

import attrs

from llmmw.errors import ConfigError
from llmmw.flow._executable import Flow

__all__ = ["Takes", "check_stands_in", "hints_of"]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@attrs.frozen
class Takes:
    """What a function takes by names."""

    parameters: Mapping[str, inspect.Parameter]
    open: bool
    """Further ones, too."""
    places: tuple[str, ...]
    """The names of those that may be given by their place."""
    needed: tuple[str, ...]
    """Those that it can't do without."""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Takes:
        """Read from its signature. Parameters written as `**name: Unpack[ATypedDict]` are those
        of the `TypedDict`, each `None` where it is not given.

        Raises:
            ConfigError: for what can't be given by name.
        """
        if isinstance(function, Flow):
            function = function.function
        hints = hints_of(function)
        named: dict[str, inspect.Parameter] = {}
        is_open = False
        for one in inspect.signature(function).parameters.values():
            hint = hints.get(one.name, one.annotation)
            if one.kind is one.VAR_KEYWORD:
                several = _unpacked(hint)
                is_open = is_open or not several
                named.update(several)
            elif one.kind in _BY_NAME:
                named[one.name] = one.replace(annotation=hint)
            elif one.kind is one.POSITIONAL_ONLY and one.default is one.empty:
                raise ConfigError(f"{_named(function)}: {one} can't be given by its name")
        places = [one.name for one in named.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
        needed = [one.name for one in named.values() if one.default is one.empty]
        return cls(named, is_open, tuple(places), tuple(needed))

    def named(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by their names, as far as they are given.

        Raises:
            TypeError: for those that it does not take.
        """
        if len(args) > len(self.places):
            most = len(self.places)
            raise TypeError(f"{name} takes {most} positional arguments at most, not {len(args)}")
        given = dict(zip(self.places, args, strict=False))
        for key, value in kwargs.items():
            if key in given:
                raise TypeError(f"{name} has two values for {key!r}")
            if key not in self.parameters and not self.open:
                raise TypeError(_unknown(name, key, self.parameters))
            given[key] = value
        return given

    def check_whole(self, name: str, given: Mapping[str, Any]) -> None:
        """Raise `TypeError` if an argument that it can't do without is missing."""
        for one in self.needed:
            if one not in given:
                raise TypeError(f"{name} needs {one!r}")

    def own_defaults(self) -> dict[str, Any]:
        """The defaults that stand in the signature and say something."""
        told = ((name, one.default) for name, one in self.parameters.items())
        return {n: one for n, one in told if one is not None and one is not inspect.Parameter.empty}


def _unpacked(hint: Any) -> dict[str, inspect.Parameter]:
    if get_origin(hint) is not Unpack:
        return {}
    (kind,) = get_args(hint)
    return {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=one)
        for name, one in get_type_hints(kind).items()
    }


def hints_of(function: Any) -> dict[str, Any]:
    """The type hints of a function as far as they can be told."""
    told = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    try:
        return get_type_hints(told)
    except Exception:  # a name that is not there yet, or only for type checkers
        return dict.fromkeys(getattr(told, "__annotations__", {}), Any)


def check_stands_in(
    name: str, takes: Takes, function: Callable[..., Any], given: Mapping[str, Any]
) -> Takes:
    """What a function takes that is to carry out a builtin.

    Raises:
        ConfigError: if it could not be called as the builtin is, with what is `given` besides.
    """
    if isinstance(function, partial):
        raise ConfigError(
            f"{name} can't be carried out by a partial: give the function, and what it is to be "
            f"called with as {name}.configure(function, …)"
        )
    if not callable(function):
        raise ConfigError(f"{name} can't be carried out by {function!r}: give a function")
    other, what = Takes.of(function), _named(function)
    for key in given:
        if key not in takes.parameters and key not in other.parameters and not other.open:
            raise ConfigError(_unknown(f"{name} (carried out by {what})", key, takes.parameters))
    for one in takes.parameters.values():
        if one.name in other.parameters:
            _check_same(name, what, one, other.parameters[one.name])
        elif one.default is one.empty and not other.open:
            raise ConfigError(f"{what} takes no {one.name!r}, which {name} is called with")
    for one in other.parameters.values():
        is_told = one.name in takes.parameters or one.name in given
        if one.default is one.empty and not is_told:
            raise ConfigError(
                f"{what} needs {one.name!r}, which {name} does not have: give it once and for "
                f"all, {name}.configure({what}, {one.name}=…)"
            )
    return other


def _check_same(name: str, what: str, own: inspect.Parameter, other: inspect.Parameter) -> None:
    if not _meet(own.annotation, other.annotation):
        shown = inspect.formatannotation(own.annotation), inspect.formatannotation(other.annotation)
        raise ConfigError(f"{name} has {own.name}: {shown[0]}, but {what} takes {shown[1]} for it")


def _meet(one: Any, other: Any) -> bool:
    """Whether some value is of both types, as far as can be told."""
    if one == other or _is_any(one) or _is_any(other):
        return True
    for left, right in ((one, other), (other, one)):
        if get_origin(left) in (Union, UnionType):
            return any(_meet(each, right) for each in get_args(left) if each is not type(None))
        if get_origin(left) is Literal:
            return any(_meet(type(each), right) for each in get_args(left))
    outer, inner = get_origin(one) or one, get_origin(other) or other
    if not (isinstance(outer, type) and isinstance(inner, type)):
        return True
    if {outer, inner} == {int, float}:
        return True
    try:
        if not (issubclass(outer, inner) or issubclass(inner, outer)):
            return False
    except TypeError:  # a protocol that can't be asked
        return True
    pairs = zip(get_args(one), get_args(other), strict=False)
    return outer is not inner or all(_meet(left, right) for left, right in pairs)


def _is_any(hint: Any) -> bool:
    return hint in (Any, object, inspect.Parameter.empty) or isinstance(hint, (TypeVar, str))


def _named(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function))


def _unknown(name: str, key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), 1)
    meant = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}"
    return f"{name} has no parameter {key!r}{meant}"
