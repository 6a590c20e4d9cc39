"""Handlers, middleware, and the chain that folds them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import attrs

from llmmw._call import Call
from llmmw._plain import default_of
from llmmw._response import Response

__all__ = ["Handler", "Layer", "Middleware", "chain", "describe"]

Handler: TypeAlias = Callable[[Call], Awaitable[Response]]
"""Answers a call. A provider is one, and so is a whole chain."""

Middleware: TypeAlias = Callable[[Call, Handler], Awaitable[Response]]
"""`async (call, next) -> response`. It may call `next` never, once or often, one after another
or at the same time, with the call it got or a changed one."""


def chain(*middleware: Middleware, provider: Handler) -> Handler:
    """One handler out of a provider and the middleware around it, outermost first."""
    handler = provider
    for layer in reversed(middleware):
        handler = _around(layer, handler)
    return handler


def _around(layer: Middleware, inner: Handler) -> Handler:
    # A plain function that hands on the layer's own awaitable: no frame of ours in between.
    def handler(call: Call) -> Awaitable[Response]:
        return layer(call, inner)

    return handler


@attrs.frozen
class Layer:
    """One layer of a stack: the name of its class or function, and the options it was given."""

    name: str
    options: dict[str, Any] = attrs.field(factory=dict)
    layers: tuple[Layer, ...] = ()
    """The policies inside, for a layer that is made of some (`Attempts`)."""

    def __str__(self) -> str:
        inside = [str(layer) for layer in self.layers]
        given = [f"{name}={option!r}" for name, option in self.options.items()]
        return f"{self.name}({', '.join(inside + given)})"


def describe(stack: Sequence[Middleware]) -> tuple[Layer, ...]:
    """The layers of a stack as data, outermost first, with the options that are not defaults."""
    return tuple(_layer(item) for item in stack)


def _layer(item: Any) -> Layer:
    if not attrs.has(type(item)):
        return Layer(getattr(item, "__qualname__", type(item).__qualname__))
    options: dict[str, Any] = {}
    inside: tuple[Layer, ...] = ()
    for field in attrs.fields(type(item)):
        given = getattr(item, field.name)
        if field.metadata.get("layers"):
            inside = describe(given)
        elif field.init and field.repr and given != default_of(field):
            options[field.alias or field.name] = given
    return Layer(type(item).__qualname__, options, inside)
