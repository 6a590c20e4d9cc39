"""Asking for vectors, by as many requests as the host needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from llmmw import Embed, Embeddings, Usage
from llmmw.errors import LLMError
from llmmw.wire import Reply
from llmmw_openai._reading import object_in
from llmmw_openai._usage import embed_usage_of
from llmmw_openai._vectors import vectors_of

__all__ = ["embed"]


async def embed(
    request: Embed,
    post: Callable[[Sequence[str]], AbstractAsyncContextManager[Reply]],
    most: int,
) -> Embeddings:
    """The vectors of all inputs.

    Args:
        request: what is asked.
        post: sends some of the inputs.
        most: how many the host takes at once.

    Raises:
        LLMError: the first one; what was billed before it is lost.
    """
    vectors: list[list[float]] = []
    told: list[Usage] = []
    for begin in range(0, len(request.inputs), most):
        inputs = request.inputs[begin : begin + most]
        try:
            async with post(inputs) as reply:
                data = object_in(reply, await reply.read())
        except LLMError as error:
            if begin:
                error.processed = True  # what went before is billed
            raise
        vectors += vectors_of(data, len(inputs))
        if isinstance(data.get("usage"), Mapping):
            told.append(embed_usage_of(data["usage"]))
    return Embeddings(
        vectors=vectors,
        model=str(data.get("model") or request.model_name),
        usage=_sum(told),
        http=reply.info,
        request_id=reply.request_id,
    )


def _sum(told: list[Usage]) -> Usage | None:
    """The usage of several requests for vectors."""
    if not told:
        return None
    known = [one.input_tokens for one in told if one.input_tokens is not None]
    costs = [one.cost for one in told if one.cost is not None]
    return Usage(
        input_tokens=sum(known) if known else None,
        output_tokens=0,
        cost=sum(costs[1:], costs[0]) if costs else None,
        raw=told[0].raw if len(told) == 1 else None,
    )
