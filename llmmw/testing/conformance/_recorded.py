"""What a recorded body holds, by a plain reading that shares nothing with the providers'."""

from __future__ import annotations

import re
from typing import Any

import orjson

from llmmw.testing.conformance._frames import payloads_of

__all__ = ["bare", "beside", "objects_of", "shown"]

_LINES = re.compile("\r\n|\r|\n")
_SHOWN = 200


def objects_of(body: bytes) -> list[dict[str, Any]]:
    """The JSON objects of a body: of each event or line, of an array, or the one that it is."""
    if body[:1] == b"\0":  # the length of a frame
        return list(payloads_of(body))
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    rows = [line[5:].strip() for line in _LINES.split(text) if line.startswith("data:")]
    found: list[Any] = []
    for row in rows or _documents(text):
        try:
            told = orjson.loads(row)
        except orjson.JSONDecodeError:
            continue
        found += told if isinstance(told, list) else [told]
    return [one for one in found if isinstance(one, dict)]


def _documents(text: str) -> list[str]:
    """The text; or its lines, if each is an object of its own."""
    lines = [line for line in text.splitlines() if line.strip()]
    several = len(lines) > 1 and all(line[0] + line.rstrip()[-1] == "{}" for line in lines)
    return lines if several else [text]


def bare(block: Any) -> Any:
    """A block without what says nothing: `null`, and empty lists and objects."""
    if isinstance(block, dict):
        told = {name: bare(one) for name, one in block.items()}
        return {name: one for name, one in told.items() if one not in (None, [], {})}
    return [bare(one) for one in block] if isinstance(block, list) else block


def shown(what: Any) -> str:
    """A block, cut short."""
    text = orjson.dumps(what).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def beside(got: list[Any], wanted: list[Any], what: str) -> list[str]:
    """The first difference of two lists."""
    for place, (one, other) in enumerate(zip(got, wanted, strict=False)):
        if one != other:
            return [f"{what} {place} is {shown(one)}; the answer had {shown(other)}"]
    if len(got) < len(wanted):
        return [f"{what} {shown(wanted[len(got)])} of the answer is lost"]
    if len(got) > len(wanted):
        return [f"{what} {shown(got[len(wanted)])} was not in the answer"]
    return []
