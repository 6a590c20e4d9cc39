"""The stack that a client has when it is given none."""

from __future__ import annotations

from typing import Any

from llmmw._chain import Middleware
from llmmw.policies import Attempts, Fallback, Retry, Timeout

__all__ = ["default_stack"]


def default_stack(*targets: str) -> list[Middleware]:
    """The stack of a client that was given none, to read and to extend.

    A total limit of 600 s; two retries, and the further targets as fallbacks; limits of each
    attempt: 300 s, 120 s to the first content of a stream, 120 s between two of its events.
    """
    policies: list[Any] = [Retry(2)]
    if len(targets) > 1:
        policies.append(Fallback(*targets[1:]))
    return [
        Timeout(total=600),
        Attempts(*policies),
        Timeout(total=300, first_token=120, idle=120),
    ]
