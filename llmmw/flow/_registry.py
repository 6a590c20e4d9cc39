"""What builtins are bound to when they run: registries, which nest, copy, and bind to a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import attrs

from llmmw._plugins import Plugins, resolve
from llmmw.flow._signature import Takes

__all__ = [
    "Binding",
    "Registry",
    "copy_registry",
    "in_force",
    "registry",
    "reset_defaults",
    "set_registry",
]


@attrs.frozen
class Binding:
    """What a builtin does under a registry."""

    implementation: Callable[..., Any]
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    """Arguments for calls that do not give them, or give `None`."""
    takes: Takes | None = None
    """What it takes; `None` for what a builtin does by itself."""


@attrs.define(eq=False)
class Registry:
    """What builtins do, and with which client and defaults.

    Args:
        bindings: by the name of the builtin; others do what they do by themselves.
        defaults: arguments for every builtin that has such a parameter.
        client: the client to ask; default: the one that runs the flow.
        plugins: where builtins are looked up by their name; default: what is installed.
    """

    __reachable__: ClassVar[frozenset[str]] = frozenset()
    bindings: dict[str, Binding] = attrs.field(factory=dict)
    defaults: dict[str, Any] = attrs.field(factory=dict)
    client: Any = None
    plugins: Plugins | None = None

    def copy(self) -> Registry:
        """The same, independent of what is done to this one later."""
        return Registry(dict(self.bindings), dict(self.defaults), self.client, self.plugins)

    def builtin(self, name: str) -> Any:
        """The builtin of a name.

        Raises:
            PluginError: if there is none; the message says what exists.
        """
        if self.plugins is None:
            self.plugins = Plugins()
        return resolve(self.plugins.spec("builtin", name))

    def names(self) -> list[str]:
        """The names of the builtins that there are."""
        if self.plugins is None:
            self.plugins = Plugins()
        return self.plugins.names("builtin")


in_force: ContextVar[Registry] = ContextVar("llmmw_registry", default=Registry())  # noqa: B039


@contextmanager
def registry(
    base: Registry | None = None, *, client: Any = None, **defaults: Any
) -> Iterator[Registry]:
    """A registry of its own for the block: what is configured in it is undone at its end.

    Args:
        base: the registry to begin with; default: a copy of the one in force.
        client: the client to ask.
        defaults: arguments for every builtin that has such a parameter, as
            `model="openai:gpt-4o", temperature=0`.
    """
    own = in_force.get().copy() if base is None else base
    if client is not None:
        own.client = client
    own.defaults.update(defaults)
    outer = in_force.set(own)
    try:
        yield own
    finally:
        in_force.reset(outer)


def copy_registry() -> Registry:
    """A copy of the registry in force."""
    return in_force.get().copy()


def set_registry(new: Registry) -> None:
    """Put a registry into force, in this context and those that begin in it."""
    in_force.set(new)


def reset_defaults() -> None:
    """Have builtins do what they do by themselves again, under the registry in force."""
    bound = in_force.get()
    bound.bindings.clear()
    bound.defaults.clear()
