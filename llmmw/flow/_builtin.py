"""Builtins: operations whose interface stands apart from what carries them out.

A builtin is called like a function and gives an Executable. What it does is looked up when that
runs, in the registry in force there: what `configure` put there, else what its own body does. Of
several values for an argument the first of these counts: what the call gives, unless it is `None`;
what `configure` or `update` said; the defaults of the registry; the default in the signature.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial, update_wrapper
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, cast, overload

import attrs

from llmmw.errors import ConfigError
from llmmw.flow._here import here
from llmmw.flow._node import Executable, Future, Operation, node
from llmmw.flow._registry import Binding, in_force
from llmmw.flow._signature import Takes, check_stands_in

__all__ = ["Builtin", "builtin"]

P = ParamSpec("P")
T = TypeVar("T")


class Builtin(Generic[P, T]):
    """An operation that registries bind to what carries it out."""

    __reachable__: ClassVar[frozenset[str]] = frozenset({"name"})

    def __init__(self, function: Callable[..., Any], name: str, *, interface: bool) -> None:
        update_wrapper(self, function)
        self.name = name
        self.takes: Takes = Takes.of(function)
        self.default: Callable[..., Any] | None = None if interface else function
        self._own_defaults = self.takes.own_defaults()
        known = list(self.takes.parameters.values())
        if self.takes.open:
            known.append(inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD))
        self.__signature__: inspect.Signature = inspect.Signature(known)
        self.operation: Operation = Operation(
            name=name,
            function=partial(_bound, self),
            parameters=self.takes.places,
            kind="builtin",
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Executable[T]:
        return node(self.operation, **self.takes.named(self.name, args, kwargs))

    @property
    def is_configured(self) -> bool:
        """Whether it could run under the registry in force."""
        return self.default is not None or self.name in in_force.get().bindings

    def configure(self, implementation: Callable[..., Any], /, **defaults: Any) -> None:
        """Have another function carry it out, under the registry in force.

        Args:
            implementation: a function or method, sync or async, a generator, or something that
                gives an Executable. It is called with the parameters of the builtin by their
                names; optional ones that it does not have are not given to it.
            defaults: arguments for calls that do not give them. Those that are parameters of
                the implementation alone are set by this, once and for all.

        Raises:
            ConfigError: if it could not be called so.
        """
        takes = check_stands_in(self.name, self.takes, implementation, defaults)
        in_force.get().bindings[self.name] = Binding(implementation, defaults, takes)

    def update(self, **defaults: Any) -> None:
        """Change arguments for calls that do not give them, under the registry in force.

        Raises:
            ConfigError: for a name that is no parameter, or if nothing carries it out.
        """
        bindings = in_force.get().bindings
        bound = self._binding(bindings)
        merged = {**bound.defaults, **defaults}
        check_stands_in(self.name, self.takes, bound.implementation, merged)
        bindings[self.name] = attrs.evolve(bound, defaults=merged)

    def _binding(self, bindings: Mapping[str, Binding]) -> Binding:
        """What carries it out."""
        bound = bindings.get(self.name)
        if bound is not None:
            return bound
        if self.default is None:
            raise ConfigError(
                f"nothing carries out {self.name}: {self.name}.configure(…) a function that does"
            )
        return Binding(self.default)

    def arguments(
        self, given: Mapping[str, Any], bound: Binding, common: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What carries it out is called with these; what was said last stands last."""
        named = dict(self._own_defaults)
        shared = {name: one for name, one in common.items() if name in self.takes.parameters}
        for several in (shared, bound.defaults, given):
            for name, value in several.items():
                if value is not None:
                    named.pop(name, None)
                    named[name] = value
        takes = bound.takes or self.takes
        takes.check_whole(self.name, named)
        if takes.open or takes is self.takes:
            return named
        for name in named:
            if name not in takes.parameters and name not in self.takes.parameters:
                raise TypeError(f"{self.name} has no parameter {name!r} as it is configured")
        return {name: value for name, value in named.items() if name in takes.parameters}

    def __repr__(self) -> str:
        return f"<builtin {self.name}>"


async def _bound(builtin: Builtin[..., Any], /, **given: Any) -> Any:
    """Call what is bound to a builtin where it runs."""
    registry = here().scope.registry
    bound = builtin._binding(registry.bindings)  # noqa: SLF001 (one file, one idea)
    result = bound.implementation(**builtin.arguments(given, bound, registry.defaults))
    while inspect.isawaitable(result) and not isinstance(result, (Executable, Future)):
        result = await result
    return result


@overload
def builtin(function: Callable[P, Awaitable[T]], /) -> Builtin[P, T]: ...
@overload
def builtin(function: Callable[P, T], /) -> Builtin[P, T]: ...
@overload
def builtin(
    *, name: str | None = None, interface: bool = False
) -> Callable[[Callable[P, Awaitable[T]]], Builtin[P, T]]: ...


def builtin(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    interface: bool = False,
) -> Any:
    """Make a builtin of a function: its signature is the interface, its body what is done where
    a registry says nothing else.

    Args:
        function: takes what the builtin is called with. With `**parameters` it takes whatever
            an implementation may take beyond the rest.
        name: default: the function's name.
        interface: the body says nothing, so that a registry must.

    Raises:
        ConfigError: for parameters that can't be given by their names.
    """

    def made(given: Callable[..., Any]) -> Builtin[..., Any]:
        return Builtin(given, name or cast("Any", given).__name__, interface=interface)

    return made if function is None else made(function)
