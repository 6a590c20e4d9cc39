"""What can happen between a call and a cache: frozen events, whose names are API."""

from __future__ import annotations

from decimal import Decimal

import attrs

from llmmw._events import Event

__all__ = ["CacheHit", "CacheMissed", "CacheStored", "StoreFailed"]


@attrs.frozen
class CacheHit(Event):
    """The answer kept under `key` is given, `age` seconds old. `stale` is `""` where it is fresh;
    `revalidate` where it is asked anew meanwhile; the name of an error that it stands in for. The
    tokens and the money are those that it would have cost."""

    key: str
    age: float
    stale: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    parent: int = 0

    def __str__(self) -> str:
        stale = f", stale ({self.stale})" if self.stale else ""
        saved = "" if self.output_tokens is None else f", saves {self.output_tokens} tokens out"
        money = "" if self.cost is None else f" and ${self.cost.normalize():f}"
        return f"cache hit, {self.age:.3f} s old{stale}{saved}{money}"


@attrs.frozen
class CacheMissed(Event):
    """No answer under `key` will do: there is none (`absent`), only of other samples (`sample`),
    it is too old (`expired`), it can't be read (`unreadable`), or a new one is wanted
    (`refresh`)."""

    key: str
    why: str
    parent: int = 0

    def __str__(self) -> str:
        return f"cache miss ({self.why})"


@attrs.frozen
class CacheStored(Event):
    """The answer of `target` is kept under `key`, in so many bytes; it is `new`, has
    `overwritten` another, or is the same again (`redundant`)."""

    key: str
    target: str
    bytes: int
    how: str = "new"
    parent: int = 0

    def __str__(self) -> str:
        return f"answer of {self.target} stored, {self.bytes} bytes ({self.how})"


@attrs.frozen
class StoreFailed(Event):
    """A store could not do what it was asked to, or has lost something; calls go on without it."""

    store: str
    message: str
    parent: int = 0

    def __str__(self) -> str:
        return f"store {self.store}: {self.message}"
