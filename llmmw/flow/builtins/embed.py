"""A builtin that asks for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from llmmw._request import Embed
from llmmw._response import Embeddings
from llmmw.flow._ask import ask
from llmmw.flow._builtin import builtin
from llmmw.flow._passes import batchable

__all__ = ["embed"]


@builtin
async def embed(
    inputs: str | Sequence[str],
    *,
    model: str | None = None,
    dimensions: int | None = None,
    purpose: Literal["query", "document"] | None = None,
) -> Any:
    """The vector of a text; of several texts, a list of their vectors.

    Args:
        inputs: a text, or several.
        model: the target; default: the client's first.
        dimensions: how many numbers a vector is to have; default: the model's.
        purpose: whether it is looked up, or found.
    """
    request = Embed(inputs=inputs, model=model or "", dimensions=dimensions, purpose=purpose)
    vectors = [list(one) for one in (await ask(request, Embeddings)).vectors]
    return vectors[0] if isinstance(inputs, str) else vectors


batchable(embed, over="inputs", most=96)  # what every host takes in one request
