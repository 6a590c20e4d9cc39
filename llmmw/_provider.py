"""What a provider is: the leaf of a chain, with a name, options and a lifetime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs

from llmmw._administration import Batches, Files, FineTunes, Models
from llmmw._call import Call
from llmmw._capabilities import Capabilities
from llmmw._prices import Price
from llmmw._response import Response
from llmmw._tasks import Host

__all__ = ["Provider"]


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

    @property
    def models(self) -> Models | None:
        """The verbs for models. Default: there are none."""
        return None

    @property
    def fine_tunes(self) -> FineTunes | None:
        """The verbs for fine-tunes. Default: there are none."""
        return None

    @property
    def batches(self) -> Batches | None:
        """The verbs for batches. Default: there are none."""
        return None

    @property
    def files(self) -> Files | None:
        """The verbs for files. Default: there are none."""
        return None

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """The provider's lifetime: entered before its first call, left when the client closes.

        What it does to close may await for 2 seconds. Default: there is nothing to open.
        """
        yield

    async def warm(self) -> None:
        """Have a connection ready for the next call; asked of an open provider, ahead of a call
        that may not come. It sends nothing, and what it raises is dropped. Default: nothing."""

    async def __call__(self, call: Call) -> Response:
        """Answer a call: tell deltas to `call.listener` if there is one, return the response.

        Raises:
            LLMError: if there is no answer.
        """
        raise NotImplementedError
