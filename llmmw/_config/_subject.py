"""What the order rules look at: a stack's layers, each where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from llmmw._config._accounts import Account
from llmmw._config._file import Config
from llmmw.policies import Attempts, Timeout

__all__ = ["Found", "Stacked", "Subject", "bound_of"]


def bound_of(layer: object) -> int:
    """How many attempts a layer makes of one call, at most."""
    if isinstance(layer, Attempts):
        return layer.max_attempts or 1 + sum(policy.extra for policy in layer.policies)
    return 1 + int(getattr(layer, "extra", 0)) if hasattr(layer, "propose") else 1


@attrs.frozen
class Stacked:
    """A layer, or a policy inside one, where it stands."""

    layer: Any
    path: str
    at: int

    @property
    def bound(self) -> int:
        """How many attempts it makes of one call, at most."""
        return bound_of(self.layer)

    def __str__(self) -> str:
        return f"{type(self.layer).__qualname__} ({self.path})"


@attrs.frozen
class Subject:
    """What rules look at."""

    config: Config
    accounts: tuple[Account, ...]
    top: tuple[Stacked, ...]
    """The layers of the stack."""
    inner: tuple[Stacked, ...]
    """Those, each followed by the policies in it."""

    def timeouts(self) -> Iterator[tuple[Stacked, Timeout]]:
        return ((one, one.layer) for one in self.top if isinstance(one.layer, Timeout))

    def repeating(self) -> list[Stacked]:
        """The layers that make further attempts."""
        return [one for one in self.top if one.bound > 1]

    def outer_total(self, at: int) -> tuple[float, str]:
        """The least total limit around a layer, and whose it is."""
        around = [
            (timeout.total, str(one))
            for one, timeout in self.timeouts()
            if one.at < at and timeout.total is not None
        ]
        return min(around, default=(math.inf, ""))


Found = Iterator[tuple[str, Iterable[Stacked]]]
