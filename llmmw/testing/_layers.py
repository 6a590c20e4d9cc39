"""Layers that do nothing, to stand anywhere in a stack; and a check that fails."""

from __future__ import annotations

import attrs

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import Delta
from llmmw._response import Generation, Response

__all__ = ["Minds", "Overhears", "Passes"]


@attrs.frozen
class Minds:
    """A check for `Guard` that fails over answers with this in their text."""

    text: str

    def __call__(self, answer: Generation) -> bool:
        if self.text in answer.text:
            raise LookupError(f"{self.text!r} is in it")
        return True


@attrs.frozen
class Passes:
    """Passes the call on."""

    async def __call__(self, call: Call, next: Handler) -> Response:
        return await next(call)


@attrs.frozen
class Overhears:
    """Passes the call on, and hears what is told."""

    async def __call__(self, call: Call, next: Handler) -> Response:
        listener = call.listener
        if listener is None:
            return await next(call)

        async def overhear(delta: Delta) -> None:
            await listener(delta)

        return await next(call.replace(listener=overhear))
