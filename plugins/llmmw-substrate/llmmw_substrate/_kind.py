"""A kind of node: a row of data that makes nodes of it."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Any, Generic, TypeVar, cast

from llmmw.errors import BadRequest
from llmmw.flow import Executable
from llmmw.flow.dag import Node
from llmmw_substrate._outs import Out

__all__ = ["KINDS", "Kind"]

O = TypeVar("O", bound=Out)  # noqa: E741 (what comes out)

KINDS: dict[str, Kind[Any]] = {}
"""The kinds by their name."""


class Kind(Generic[O]):
    """A kind of node; call it to have a node.

    Args:
        name: of the kind, on the wire.
        out: what its nodes give.
        needed: names of the arguments that must be given, in order.
        defaults: the others, with what is sent for them if they are not given.
    """

    def __init__(self, name: str, out: type[O], *needed: str, **defaults: Any) -> None:
        self.name = self.__name__ = name
        self.out = out
        self.needed = needed
        self.defaults: Mapping[str, Any] = defaults
        self.__doc__ = f"Gives {out.__name__}."
        KINDS[name] = self

    @property
    def __signature__(self) -> Signature:
        either = Parameter.POSITIONAL_OR_KEYWORD
        rows = [Parameter(name, either) for name in self.needed]
        rows += [Parameter(name, either, default=one) for name, one in self.defaults.items()]
        return Signature([*rows, Parameter("options", Parameter.VAR_KEYWORD)])

    def __call__(self, *args: Any, **given: Any) -> Executable[O]:
        """A node.

        Args:
            args: arguments in their order; futures and Executables may stand anywhere in them.
            given: arguments by their names, further ones that the host knows, and options of all
                nodes: `id`; `hide`, its result is not given out; `_depends`, nodes that must be
                done before; `_cache_age` in seconds; `_cache_keys`; `_max_retries`.

        Raises:
            BadRequest: if one is missing, or given twice.
        """
        names = (*self.needed, *self.defaults)
        if len(args) > len(names):
            raise BadRequest(f"{self.name} takes {len(names)} arguments in order, not {len(args)}")
        named = dict(zip(names, args, strict=False))
        twice = named.keys() & given.keys()
        if twice:
            raise BadRequest(f"{self.name}: {min(twice)} is given twice")
        named |= given
        missing = [name for name in self.needed if name not in named]
        if missing:
            raise BadRequest(f"{self.name} needs {', '.join(missing)}")
        ordered = {name: named.pop(name, self.defaults.get(name)) for name in names}
        return cast("Executable[O]", Node(self.name, **ordered, **named))

    def __repr__(self) -> str:
        return f"<kind of node {self.name}>"
