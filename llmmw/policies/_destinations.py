"""What a policy keeps for each destination: a model, a provider, or all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import attrs

from llmmw._call import Call
from llmmw.errors import CallShed

__all__ = ["Destinations", "shed"]

_MANY = 1000
"""So many may stand about at rest."""


class Kept(Protocol):
    """What is kept."""

    def at_rest(self, now: float) -> bool:
        """Whether nothing would be lost by making it anew."""

    def statistics(self) -> dict[str, Any]:
        """What it counts."""


T = TypeVar("T", bound=Kept)


@attrs.define(eq=False)
class Destinations(Generic[T]):
    """One `T` a destination, made when its first call comes. Programs may take the names of
    models from their users, so those at rest are forgotten when there are many."""

    scope: str
    """`model`, `provider` or `all`."""
    make: Callable[[], T]
    _kept: dict[str, T] = attrs.field(factory=dict, init=False)
    _full: int = attrs.field(default=_MANY, init=False)

    def name(self, call: Call) -> str:
        """The destination of a call."""
        model = call.request.model
        if self.scope == "model":
            return model
        return model.partition(":")[0] if self.scope == "provider" else "all"

    def of(self, name: str, now: float) -> T:
        """What is kept for a destination."""
        found = self._kept.get(name)
        if found is None:
            if len(self._kept) >= self._full:
                self._kept = {n: one for n, one in self._kept.items() if not one.at_rest(now)}
                self._full = max(_MANY, 2 * len(self._kept))
            found = self._kept[name] = self.make()
        return found

    def __iter__(self) -> Iterator[T]:
        return iter(self._kept.values())

    def statistics(self) -> dict[str, dict[str, Any]]:
        """The statistics of each, by its name."""
        return {name: one.statistics() for name, one in self._kept.items()}


def shed(call: Call, message: str, retry_after: float | None = None) -> CallShed:
    """The error of a call that is not sent."""
    provider, _, model = call.request.model.partition(":")
    return CallShed(message, provider=provider, model=model, retry_after=retry_after)
