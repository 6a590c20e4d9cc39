"""What a provider is: the leaf of a chain, with a name, options and a lifetime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs

from llmmw._call import Call
from llmmw._prices import Price
from llmmw._request import Generate, Request
from llmmw._response import Response
from llmmw._tasks import Host
from llmmw.errors import UnsupportedFeature

__all__ = ["Capabilities", "Provider", "honour"]


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a model can do. `None` means that nobody knows, and nothing is checked."""

    kinds: frozenset[type[Request]] | None = None
    """The kinds of request that it answers."""
    parameters: frozenset[str] | None = None
    """The optional parameters of `Generate` that it honours."""


@attrs.define(eq=False)
class Provider:
    """Base of providers: a handler for one wire. Fields of a subclass are its options.

    Override `__call__`, and the others where the defaults do not hold.
    """

    name: str = attrs.field(kw_only=True)
    marks_sent: ClassVar[bool] = False
    """Whether it marks attempts as sent itself, since it queues them before that. The limits of
    an attempt are held until it does."""

    def capabilities(self, model: str) -> Capabilities:
        """What `model` can do. Default: nothing is known."""
        return Capabilities()

    def price(self, model: str) -> Price | None:
        """What `model` costs, asked where no table of prices has it. Default: nobody knows."""
        return None

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """The provider's lifetime: entered before its first call, left when the client closes.

        What it does to close may await for 2 seconds. Default: there is nothing to open.
        """
        yield

    async def __call__(self, call: Call) -> Response:
        """Answer a call: tell deltas to `call.listener` if there is one, return the response.

        Raises:
            LLMError: if there is no answer.
        """
        raise NotImplementedError


def honour(request: Request, can: Capabilities, target: str) -> tuple[Request, tuple[str, ...]]:
    """The request as `target` can honour it, and a warning for each parameter dropped.

    Raises:
        UnsupportedFeature: for a kind it does not answer, or for a parameter it can't honour
            unless the request says `unsupported="drop"`.
    """
    if can.kinds is not None and type(request) not in can.kinds:
        known = ", ".join(sorted(kind.__name__ for kind in can.kinds))
        raise UnsupportedFeature(
            f"it does not answer {type(request).__name__}, only {known}; ask another target"
        )
    if can.parameters is None or not isinstance(request, Generate):
        return request, ()
    lost = [name for name in request.parameters() if name not in can.parameters]
    if not lost:
        return request, ()
    if request.unsupported == "error" or "prompt" in lost:
        raise UnsupportedFeature(
            f"it can't honour {', '.join(lost)}; leave it out, "
            'or pass unsupported="drop" to go on without it'
        )
    bare = {name: () if name in {"stop_sequences", "tools"} else None for name in lost}
    return request.replace(**bare), tuple(f"{target} can't honour {name}: dropped" for name in lost)
