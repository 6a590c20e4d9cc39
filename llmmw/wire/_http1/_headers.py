"""The headers of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["Headers"]


class Headers(Mapping[str, str]):
    """Headers by name, in upper or lower case; several of one name are one, joined by commas."""

    __slots__ = ("_rows", "raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw
        """As they came."""
        self._rows: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        rows = self._rows
        if rows is None:
            rows = {}
            for name, value in self.raw:
                low = name.decode("ascii", "replace").lower()
                told = _text(value)
                rows[low] = f"{rows[low]}, {told}" if low in rows else told
            self._rows = rows
        return rows

    def __getitem__(self, name: str) -> str:
        return self._read()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def _text(value: bytes) -> str:
    """UTF-8 where it is such, as hosts send it; else the standard's Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
