"""The stack that a client has when it is given none."""

from __future__ import annotations

from typing import Any

from llmmw._chain import Middleware
from llmmw.policies import Attempts, Breaker, Fallback, Hedge, Retry, Timeout

__all__ = ["default_stack"]


def default_stack(*targets: str) -> list[Middleware]:
    """The stack of a client that was given none, to read and to extend.

    A total limit of 600 s; two retries; limits of each attempt: 300 s, 120 s to the first content
    of a stream, 120 s between two of its events. Over the further targets, fallback and a hedge
    once the first content takes longer than in 95 of 100 calls; and a breaker, so that a target
    of which 3 in 4 calls fail is left alone for a time (what fails less often is worth a retry).
    One target has no breaker: there is nowhere else to go.
    """
    policies: list[Any] = [Retry(2)]
    inside: list[Middleware] = []
    if len(targets) > 1:
        policies += [Fallback(*targets[1:]), Hedge("p95")]
        inside = [Breaker(share=0.75, window=10)]
    return [
        Timeout(total=600),
        Attempts(*policies),
        *inside,
        Timeout(total=300, first_token=120, idle=120),
    ]
