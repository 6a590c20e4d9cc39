"""Values as a trace keeps them: plain JSON, bounded in size and depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Set
from itertools import islice
from typing import Any

import attrs

from llmmw._parts import MediaPart, TextPart
from llmmw._request import Embed, Generate
from llmmw._response import Embeddings, Generation
from llmmw.flow._node import Executable, Future

__all__ = ["readable", "shown"]

_DEEP = 8
_MANY = 200
_LONG = 20_000
_IN_ALL = 1_000_000
"""Characters of one value, and the values within it."""
_EXACT = 64
"""Bits of numbers that all readers of JSON take as they are."""


def shown(value: Any) -> Any:
    """A value as plain JSON. What is too long, too many or too deep is cut, and says so; of what
    JSON can't say, the type and the text are kept. It never raises."""
    return _Showing().value(value, 0)


def readable(text: object) -> str:
    """A text, or that of an error, as any file can have it."""
    try:
        return str(text).encode("utf-8", "backslashreplace").decode()
    except Exception:  # a stranger's __str__
        return ""


@attrs.define
class _Showing:
    """Shows one value, with all in it."""

    left: int = _IN_ALL

    def value(self, value: Any, depth: int) -> Any:
        """A value, in another one or not."""
        self.left -= 1
        try:
            return self.form(value, depth)
        except Exception:  # a stranger's methods
            return f"<{type(value).__name__}>"

    def form(self, value: Any, depth: int) -> Any:
        """The form of a value by its kind."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if value.bit_length() < _EXACT else _big(value)
        if isinstance(value, float):
            return value if value == value and abs(value) != float("inf") else str(value)
        if isinstance(value, str):
            return self.text(value)
        if depth >= _DEEP or self.left <= 0:
            return "…"
        if isinstance(value, (bytes, bytearray)):
            return f"<{len(value):,} bytes>"
        if isinstance(value, (Executable, Future)):
            return self.text(repr(value))
        known = self.of_ours(value, depth)
        return self.other(value, depth) if known is None else known

    def text(self, text: str) -> str:
        """A text, cut."""
        most = max(0, min(_LONG, self.left))
        self.left -= min(most, len(text))
        rest = len(text) - most
        return readable(text if rest <= 0 else f"{text[:most]}… ({rest:,} characters more)")

    def of_ours(self, value: Any, depth: int) -> Any:
        """The short form of what models are asked and answer."""
        if isinstance(value, TextPart):
            return self.text(value.text)
        if isinstance(value, MediaPart):
            return repr(value)
        if isinstance(value, Generation):
            return self.text(value.text) if value.text else self.several(value.parts, depth)
        if isinstance(value, Embeddings):
            return f"<{len(value.vectors)} vectors>"
        if isinstance(value, Generate):
            asked = self.fields(value, list(value.parameters()), depth)
            said = [{one.role: self.value(_joined(one.parts), depth + 1)} for one in value.messages]
            return ({"messages": said} if said else {}) | asked
        if isinstance(value, Embed):
            return self.fields(value, ["inputs"], depth)
        return None

    def other(self, value: Any, depth: int) -> Any:
        """Containers, and values of classes."""
        if isinstance(value, Mapping):
            few = islice(value.items(), _MANY)
            made = {self.text(str(key)): self.value(one, depth + 1) for key, one in few}
            return made | _more(len(value), "…")
        if isinstance(value, (list, tuple, Set)):
            return self.several(value, depth)
        if isinstance(value, type):
            return self.text(repr(value))
        if attrs.has(type(value)):
            known = attrs.fields(type(value))
            names = [one.name for one in known if one.repr and not one.name.startswith("_")]
            return self.fields(value, names, depth)
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value) if field.repr]
            return self.fields(value, names, depth)
        return self.text(repr(value))

    def several(self, values: Collection[Any], depth: int) -> list[Any]:
        """A list of the first ones."""
        few = [self.value(one, depth + 1) for one in islice(values, _MANY)]
        return few + list(_more(len(values), "…").values())

    def fields(self, value: Any, names: Iterable[str], depth: int) -> dict[str, Any]:
        """An object of some attributes; those that were never set are left out."""
        return {
            name: self.value(getattr(value, name), depth + 1)
            for name in names
            if hasattr(value, name)
        }


def _big(number: int) -> str:
    bits = number.bit_length()
    return str(number) if bits <= 10_000 else f"<a number of {bits:,} bits>"


def _joined(parts: tuple[Any, ...]) -> Any:
    return parts[0] if len(parts) == 1 else parts


def _more(size: int, key: str) -> dict[str, Any]:
    return {key: f"{size - _MANY:,} more"} if size > _MANY else {}
