"""Find plugins, load them when they are asked for, and say what is there.

Two phases: names come from the metadata of installed distributions, without importing any; a
plugin's module is imported when one of its names is wanted. pluggy registers and validates
modules; it is never on the way of a request.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import attrs
import pluggy

from llmmw import _hookspecs
from llmmw._hookspecs import GROUPS, HOOKS, Kind, Spec
from llmmw._plain import default_of
from llmmw.errors import ConfigError, LLMError, PluginError

__all__ = ["Listing", "Named", "Plugins"]

State = Literal["ready", "blocked", "broken", "gives way"]


@attrs.frozen
class Named:
    """A name that some distribution offers, known from metadata alone."""

    kind: Kind
    name: str
    module: str
    distribution: str
    version: str


@attrs.frozen(kw_only=True)
class Listing:
    """What `llmmw plugins` shows of one name."""

    name: str
    kind: Kind
    distribution: str
    version: str
    state: State
    reason: str = ""
    summary: str = ""
    options: dict[str, Any] = attrs.field(factory=dict)
    """Options with their defaults; without the default where one must be given."""


def installed() -> list[Named]:
    """Every name that the installed distributions offer."""
    return [_named(kind, point) for group, kind in GROUPS.items() for point in _points(group)]


def _points(group: str) -> Iterable[EntryPoint]:
    return sorted(entry_points(group=group), key=lambda point: (point.name, point.value))


def _named(kind: Kind, point: EntryPoint) -> Named:
    dist = point.dist
    name, version = (dist.name, dist.version) if dist is not None else ("unknown", "")
    return Named(kind, point.name, point.value, name, version)


def _blocked_names() -> list[str]:
    return [word.strip() for word in os.environ.get("LLMMW_BLOCK", "").split(",") if word.strip()]


@attrs.define(eq=False)
class Plugins:
    """A registry: the names it knows, and what it has loaded of them.

    Args:
        found: what there is; default: what is installed.
        blocked: `[distribution/][kind:]name` of what to leave out; default: `LLMMW_BLOCK`.
    """

    found: list[Named] = attrs.field(factory=installed)
    blocked: list[str] = attrs.field(factory=_blocked_names)
    _manager: pluggy.PluginManager = attrs.field(init=False, repr=False)
    _broken: dict[str, str] = attrs.field(factory=dict, init=False)
    _specs: dict[tuple[str, Kind], dict[str, Spec]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._manager = pluggy.PluginManager("llmmw")
        self._manager.add_hookspecs(_hookspecs)

    def names(self, kind: Kind) -> list[str]:
        """The names of this kind that can be used, without importing a plugin."""
        return sorted({one.name for one in self.found if one.kind == kind and not self._out(one)})

    def _out(self, one: Named) -> bool:
        short = f"{one.kind}:{one.name}"
        forms = {one.name, short, f"{one.distribution}/{one.name}", f"{one.distribution}/{short}"}
        return not forms.isdisjoint(self.blocked)

    def named(self, kind: Kind, name: str) -> Named:
        """The one offer of a name that counts, with its plugin loaded.

        Raises:
            PluginError: if there is no such name (the message says what exists), two
                distributions claim it, it is blocked, or its plugin is broken.
        """
        there = [one for one in self.found if (one.kind, one.name) == (kind, name)]
        usable = self._winners([one for one in there if not self._out(one)])
        if not usable:
            raise PluginError(self._missing(kind, name, there))
        if len(usable) > 1:
            raise PluginError(_clash(usable))
        reason = self._load(usable[0])
        if reason:
            raise PluginError(reason)
        return usable[0]

    def spec(self, kind: Kind, name: str) -> Spec:
        """What a name stands for.

        Raises:
            PluginError: as `named`.
        """
        return self._specs[self.named(kind, name).module, kind][name]

    def make(self, kind: Kind, name: str, options: Mapping[str, Any], *items: Any) -> Any:
        """Import what a name stands for and call it with the options, and with `items` by
        position, for a factory that takes some, as `Fallback(*targets)`.

        Raises:
            PluginError: as `spec`, or if the factory can't be imported.
            ConfigError: for options that the factory does not take.
        """
        spec = self.spec(kind, name)
        factory = resolve(spec)
        try:
            return factory(*items, **(spec.options | dict(options)))
        except (ConfigError, LLMError) as error:
            # The frames of a factory hold options, and what is half made and has no repr yet.
            error.__traceback__ = None
            raise
        except TypeError as error:
            raise ConfigError(f"options of the {kind} {name!r}: {error}") from error
        except Exception as error:  # whatever a stranger's code does is told as its own
            what = f"{type(error).__name__}: {error}"
            raise PluginError(f"{spec.factory} can't be made: {what}") from error

    def _winners(self, usable: list[Named]) -> list[Named]:
        """Without the presets, where a distribution made for the name exists."""
        if len(usable) < 2:
            return usable
        made = [one for one in usable if not self._is_preset(one)]
        return made or usable

    def _is_preset(self, one: Named) -> bool:
        return not self._load(one) and self._specs[one.module, one.kind][one.name].preset

    def _missing(self, kind: Kind, name: str, there: list[Named]) -> str:
        if there:
            held = there[0]
            return (
                f"the {kind} {name!r} of {held.distribution} is switched off by LLMMW_BLOCK="
                f"{','.join(self.blocked)}"
            )
        known = self.names(kind)
        near = difflib.get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        exists = f"there is {', '.join(known)}" if known else "none is installed"
        return f"no {kind} is named {name!r}; {meant}{exists}"

    def _load(self, one: Named) -> str:
        """Import the module of a name once; the reason why it can't be used, or `""`."""
        module = one.module
        if module not in self._broken and not self._manager.has_plugin(module):
            self._broken[module] = self._register(one)
        if self._broken.get(module):
            return self._broken[module]
        try:
            specs = self._specs_of(module, one.kind)
        except Exception as error:  # whatever a stranger's module does harms only itself
            what = f"{type(error).__name__}: {error}"
            return f"{HOOKS[one.kind]}() of {module} of {one.distribution} failed: {what}"
        if one.name not in specs:
            return (
                f"the distribution {one.distribution} promises the {one.kind} {one.name!r}, "
                f"but {HOOKS[one.kind]}() of {module} does not return it"
            )
        return ""

    def _register(self, one: Named) -> str:
        try:
            plugin = importlib.import_module(one.module)
            self._manager.register(plugin, name=one.module)
        except Exception as error:  # whatever a stranger's module does harms only itself
            what = f"{type(error).__name__}: {error}"
            return f"the plugin {one.module} of {one.distribution} can't be loaded: {what}"
        return ""

    def _specs_of(self, module: str, kind: Kind) -> dict[str, Spec]:
        if (module, kind) not in self._specs:
            plugin = self._manager.get_plugin(module)
            hook = getattr(plugin, HOOKS[kind], None)
            given: list[Spec] = hook() if hook is not None else []
            self._specs[module, kind] = {spec.name: spec for spec in given}
        return self._specs[module, kind]

    def listing(self) -> Iterator[Listing]:
        """Every name with its state; imports all plugins."""
        for one in sorted(self.found, key=lambda one: (one.kind, one.name, one.distribution)):
            state, reason = self._state(one)
            spec = self._specs.get((one.module, one.kind), {}).get(one.name)
            options: dict[str, Any] = {}
            if spec is not None and state != "blocked" and one.kind != "command":
                try:
                    options = _options_of(resolve(spec), spec)
                except Exception as error:  # whatever a stranger's module does harms only itself
                    state, reason = "broken", f"{type(error).__name__}: {error}"
            yield Listing(
                name=one.name,
                kind=one.kind,
                distribution=one.distribution,
                version=one.version,
                state=state,
                reason=reason,
                summary=spec.summary if spec else "",
                options=options,
            )

    def _state(self, one: Named) -> tuple[State, str]:
        if self._out(one):
            return "blocked", "LLMMW_BLOCK"
        reason = self._load(one)
        if reason:
            return "broken", reason
        same = [o for o in self.found if (o.kind, o.name) == (one.kind, one.name)]
        rivals = self._winners([o for o in same if not self._out(o)])
        if one not in rivals:
            return "gives way", f"to {rivals[0].distribution}"
        return ("broken", _clash(rivals)) if len(rivals) > 1 else ("ready", "")


def _clash(rivals: list[Named]) -> str:
    one = rivals[0]
    names = " and ".join(f"{rival.distribution} {rival.version}" for rival in rivals)
    block = f"{rivals[-1].distribution}/{one.kind}:{one.name}"
    return (
        f"{names} both offer the {one.kind} {one.name!r}; "
        f"uninstall one, or switch one off: LLMMW_BLOCK={block}"
    )


def resolve(spec: Spec) -> Any:
    """Import what a spec's factory names.

    Raises:
        PluginError: if that fails; the message names spec and cause.
    """
    module, _, attribute = spec.factory.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a stranger's module does harms only itself
        what = f"{type(error).__name__}: {error}"
        raise PluginError(f"{spec.name!r}: {spec.factory} can't be imported: {what}") from error


def _options_of(factory: Any, spec: Spec) -> dict[str, Any]:
    if not attrs.has(factory):
        return {}
    options: dict[str, Any] = {}
    for field in attrs.fields(factory):
        if field.init and field.repr and field.name != "name" and not field.name.startswith("_"):
            default = default_of(field)
            options[field.name] = default if default is not attrs.NOTHING else "(needed)"
    return options | spec.options
