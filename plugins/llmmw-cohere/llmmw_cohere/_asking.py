"""Asking for one call by as many requests as the host needs, and what all of them have told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from llmmw import Price, Usage
from llmmw.errors import LLMError
from llmmw.wire import Losses, Reply
from llmmw_cohere._usage import meta_usage, sum_of
from llmmw_cohere._values import listed, object_in, own, text

__all__ = ["Asking", "note_warnings"]

Json = Mapping[str, Any]


def note_warnings(reply: Reply, meta: Any, losses: Losses) -> None:
    """Pass on what the host warns of: a wrong use of its API, a model that goes away."""
    told = [reply.info.headers.get("x-api-warning"), *listed(own(meta).get("warnings"))]
    for one in told:
        if text(one):
            losses.note(f"warns: {one}")


@attrs.define(eq=False)
class Asking:
    """One call that is answered by whole bodies.

    Args:
        losses: takes warnings.
        post: sends a body to a path of the host.
        price: what the model costs, where that is known.
    """

    losses: Losses
    post: Callable[[str, Json], AbstractAsyncContextManager[Reply]]
    price: Price | None = None
    _used: list[Usage] = attrs.field(factory=list, init=False)
    _facts: dict[str, Any] = attrs.field(factory=dict, init=False)

    async def ask(self, path: str, body: Json) -> dict[str, Any]:
        """The object that answers one request.

        Raises:
            LLMError: the first one; what was billed before it is lost.
        """
        try:
            async with self.post(path, body) as reply:
                told = object_in(reply, await reply.read())
        except LLMError as error:
            if self._facts:
                error.processed = True  # what went before is billed
            raise
        note_warnings(reply, told.get("meta"), self.losses)
        usage = meta_usage(told.get("meta"), self.price)
        self._used += [] if usage is None else [usage]
        self._facts = {
            "id": text(told.get("id")) or None,
            "http": reply.info,
            "request_id": reply.request_id,
        }
        return told

    @property
    def fields(self) -> dict[str, Any]:
        """What a response says of its making."""
        return {
            "model": self.losses.request.model_name,
            "provider": self.losses.host,
            "usage": sum_of(self._used),
            "warnings": tuple(self.losses.warnings),
            **self._facts,
        }
