"""What the arguments of a client and of its calls must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from llmmw._call import OnInterrupt
from llmmw._request import Generate, Request, generate_of, question
from llmmw.errors import BadRequest, ConfigError

__all__ = ["aimed", "asked", "check_layers", "check_on_interrupt", "check_targets"]

R = TypeVar("R", bound=Request)

_WORDS: tuple[OnInterrupt, ...] = get_args(OnInterrupt)


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
    if given not in _WORDS:
        words = ", ".join(_WORDS)
        raise ConfigError(f"on_interrupt={given!r}: expected one of {words}")


def asked(
    prompt: object, model: str | None, targets: Sequence[str], parameters: Mapping[str, Any]
) -> Generate:
    """The request of a friendly form and of parameters, with a target as `aimed` has it.

    Raises:
        BadRequest: if there is none, or something can't be taken.
    """
    if type(prompt) is str and not parameters:
        target = model or (targets[0] if targets else "")
        if type(target) is str and target:
            return question(prompt, target)
    if not isinstance(prompt, Generate):  # it has its target from the start, to be made once
        parameters = {"model": model or (targets[0] if targets else ""), **parameters}
    return aimed(generate_of(prompt, **parameters), model, targets)


def aimed(request: R, model: str | None, targets: Sequence[str]) -> R:
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
