"""The hooks of a plugin. Each returns specs, which name things without importing them.

A plugin is a module named by an entry point of the group of its kind, for example
`[project.entry-points."llmmw.provider"]  echo = "llmmw_echo"`. The name of the entry point is
what users type. In the module stands the hook of that kind::

    @hookimpl
    def llmmw_providers():
        return [Spec("echo", "llmmw_echo:Echo", "says what it hears")]
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs
import pluggy

__all__ = ["GROUPS", "HOOKS", "Kind", "Spec", "hookimpl", "hookspec"]

Kind: TypeAlias = Literal["provider", "middleware", "builtin", "store", "command", "pass"]

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker("llmmw")
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker("llmmw")

HOOKS: dict[Kind, str] = {
    "provider": "llmmw_providers",
    "middleware": "llmmw_middleware",
    "builtin": "llmmw_builtins",
    "store": "llmmw_stores",
    "command": "llmmw_commands",
    "pass": "llmmw_passes",
}
GROUPS: dict[str, Kind] = {f"llmmw.{kind}": kind for kind in HOOKS}


@attrs.frozen
class Spec:
    """One thing that a plugin offers."""

    name: str
    """What users type: the name of the plugin's entry point."""
    factory: str
    """`"module:attribute"`: imported and called with the options when it is needed."""
    summary: str = ""
    """One line for the listing."""
    preset: bool = attrs.field(default=False, kw_only=True)
    """A row of a table of compatible hosts; gives way to a distribution made for that name."""
    options: dict[str, object] = attrs.field(factory=dict, kw_only=True)
    """Options that the factory is given before the user's own."""


@hookspec
def llmmw_providers() -> list[Spec]:  # type: ignore[empty-body]
    """Providers: the factory gives a `Provider`; its keyword arguments are its options.
    Called once, when one of the module's provider names is first looked up."""


@hookspec
def llmmw_middleware() -> list[Spec]:  # type: ignore[empty-body]
    """Middleware: the factory gives an async callable of `(call, next)`."""


@hookspec
def llmmw_builtins() -> list[Spec]:  # type: ignore[empty-body]
    """Builtins of flows: the factory is a `Builtin`, taken as it is and not called."""


@hookspec
def llmmw_stores() -> list[Spec]:  # type: ignore[empty-body]
    """Stores: the factory gives key-value storage for policies."""


@hookspec
def llmmw_commands() -> list[Spec]:  # type: ignore[empty-body]
    """Commands: the factory is a `click.Command`, taken as it is and not called."""


@hookspec
def llmmw_passes() -> list[Spec]:  # type: ignore[empty-body]
    """Passes over the graphs of flows: the factory is a function of a graph that gives a graph,
    taken as it is and not called."""
