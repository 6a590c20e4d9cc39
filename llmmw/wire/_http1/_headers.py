"""The headers of an answer."""

from __future__ import annotations

import functools
from collections.abc import ItemsView, Iterator, Mapping
from typing import Any

__all__ = ["Headers"]


class Headers(Mapping[str, str]):
    """Headers by name, in upper or lower case; several of one name are one, joined by commas.

    Args:
        raw: as they came; none has a line feed in it.
    """

    __slots__ = ("_rows",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        # All names at once, and all values, take a third of the time.
        names = _lower(b"\n".join([name for name, _ in raw]))
        rows = list(zip(names, _texts([value for _, value in raw]), strict=False))
        self._rows = dict(rows)
        if len(self._rows) < len(rows):
            self._rows.clear()
            for name, told in rows:
                self._rows[name] = f"{self._rows[name]}, {told}" if name in self._rows else told

    def __getitem__(self, name: str) -> str:
        return self._rows[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """As for any mapping, without the error on the way that makes it slow."""
        return self._rows.get(name.lower(), default)

    def items(self) -> ItemsView[str, str]:
        """As for any mapping, without a look-up for each."""
        return self._rows.items()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@functools.lru_cache(maxsize=256)  # a host sends the same with each answer: they are kept once
def _lower(joined: bytes) -> tuple[str, ...]:
    return tuple(joined.decode("ascii", "replace").lower().split("\n"))


def _texts(values: list[bytes]) -> list[str]:
    """UTF-8 where they are such, as hosts send it; else the standard's Latin-1."""
    try:
        return b"\n".join(values).decode().split("\n") if values else []
    except UnicodeDecodeError:
        return [_text(value) for value in values]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
