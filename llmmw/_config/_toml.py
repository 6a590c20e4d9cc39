"""Plain data as TOML text: what `tomllib` reads back as the same data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["key_text", "lines", "text"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def key_text(key: str) -> str:
    """A key as it stands in a file, quoted where that is needed."""
    return key if _BARE.fullmatch(key) else _string(key)


def _string(given: str) -> str:
    # JSON's escapes are TOML's, but for this one character.
    return json.dumps(given, ensure_ascii=False).replace("\x7f", "\\u007f")


def text(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key_text(key)} = {text(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(text, value))}]"
    return str(value.isoformat())  # a date or a time, the only others that TOML has


def lines(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The lines of a table: its values, then the tables in it, in their order."""
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _are_tables(value):
            yield f"{key_text(key)} = {text(value)}"
    for key, value in table.items():
        below = f"{path}.{key_text(key)}" if path else key_text(key)
        if isinstance(value, Mapping):
            if not value or not all(isinstance(one, Mapping) for one in value.values()):
                yield from ("", f"[{below}]")
            yield from lines(value, below)
        elif _are_tables(value):
            for one in value:
                yield from ("", f"[[{below}]]")
                yield from lines(one, below)


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(o, Mapping) for o in value)
