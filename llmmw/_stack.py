"""The stack that a client has when it is given none."""

from __future__ import annotations

from typing import Any

from llmmw._chain import Middleware
from llmmw.policies import Attempts, Fallback, Hedge, Retry, Timeout

__all__ = ["default_stack"]


def default_stack(*targets: str) -> list[Middleware]:
    """The stack of a client that was given none, to read and to extend.

    A total limit of 600 s; two retries, and over the further targets, fallback and a hedge once
    the first content takes longer than in 95 of 100 calls; limits of each attempt: 300 s, 120 s
    to the first content of a stream, 120 s between two of its events.
    """
    policies: list[Any] = [Retry(2)]
    if len(targets) > 1:
        policies += [Fallback(*targets[1:]), Hedge("p95")]
    return [
        Timeout(total=600),
        Attempts(*policies),
        Timeout(total=300, first_token=120, idle=120),
    ]
