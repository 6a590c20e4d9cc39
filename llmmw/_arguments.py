"""What the arguments of a client and of its calls must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from llmmw._call import OnInterrupt
from llmmw._request import Request
from llmmw.errors import BadRequest, ConfigError

__all__ = ["aimed", "check_layers", "check_on_interrupt", "check_targets"]


def check_targets(targets: Iterable[object]) -> None:
    """Raise `ConfigError` for what is not `"provider:model"`."""
    for target in targets:
        if not isinstance(target, str) or not all(target.partition(":")):
            raise ConfigError(f'the target {target!r} is not of the form "provider:model"')


def check_layers(stack: Iterable[object]) -> None:
    """Raise `ConfigError` for what is no middleware."""
    for layer in stack:
        if not callable(layer) or isinstance(layer, type):
            raise ConfigError(f"the stack has {layer!r}: expected middleware, as Timeout(…)")


def check_on_interrupt(given: object) -> None:
    """Raise `ConfigError` for what is no word of `OnInterrupt`."""
    if given not in get_args(OnInterrupt):
        words = ", ".join(get_args(OnInterrupt))
        raise ConfigError(f"on_interrupt={given!r}: expected one of {words}")


def aimed(request: Request, model: str | None, targets: Sequence[str]) -> Request:
    """The request with a target: the call's own, else the request's, else the client's first.

    Raises:
        BadRequest: if there is none.
    """
    target = request.model if model is None else model
    if not target:
        if not targets:
            raise BadRequest(
                "no model was named: pass model=, or give the client a target, "
                'for example Client("local:smollm2")'
            )
        target = targets[0]
    return request if request.model == target else request.replace(model=target)
