"""What all groups of verbs have: a provider's name, pages, progress, and a refusal of what the
host does not do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, TypeAlias, TypeVar

import attrs

from llmmw.errors import UnsupportedFeature

__all__ = ["Hear", "Page", "Transfer", "Verbs"]

T = TypeVar("T")


@attrs.frozen
class Page(Generic[T]):
    """One page of a list.

    Args:
        rows: what it holds.
        after: what to ask the next page by; `None`: this is the last.
    """

    rows: Sequence[T] = attrs.field(converter=tuple)
    after: str | None = None


@attrs.frozen(kw_only=True)
class Transfer:
    """How far an upload or a download is.

    Args:
        done: bytes.
        total: bytes in all, once that is known.
        status: the host's own word for what it does.
    """

    done: int = 0
    total: int | None = None
    status: str = ""


Hear: TypeAlias = Callable[[Transfer], None]
"""Hears how far it is, often; must not take long. What it raises ends the transfer."""


@attrs.frozen(kw_only=True)
class Verbs:
    """Base of a group of verbs.

    Args:
        name: the provider's.
    """

    what: ClassVar[str] = "verbs"
    name: str

    def lacks(self, verb: str, instead: str = "") -> UnsupportedFeature:
        """The error for what the host does not do.

        Args:
            verb: its name.
            instead: what to do in its place.
        """
        hint = f": {instead}" if instead else ""
        return UnsupportedFeature(f"{self.name} has no {self.what}.{verb}{hint}")
