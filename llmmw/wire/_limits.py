"""What the headers of hosts say about their limits, under one set of names.

A name is `<dimension>_<fact>`: the dimension `requests`, `tokens`, `input_tokens` or
`output_tokens`, with `_per_minute` and the like where a host counts one thing over several
windows; the fact `limit`, `remaining`, or `reset` (seconds from now).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import UTC, datetime

__all__ = ["limits_of", "seconds_of"]

_FACT = "-(?P<fact>limit|remaining|reset)"
_WINDOW = "(?:-(?P<window>second|minute|hour|day|month))?"
_PATTERNS = [
    (re.compile(pattern), dimension)
    for pattern, dimension in (
        # OpenAI, Groq, Azure, Together, Cerebras, Mistral; bare: OpenRouter, Together, the draft
        # of the IETF
        (f"(?:x-)?ratelimit{_FACT}(?:-(?P<what>requests|req|tokens))?{_WINDOW}", "requests"),
        (f"anthropic-ratelimit-(?P<what>(?:(?:input|output)-)?tokens|requests){_FACT}", ""),
        (f"x-tokenlimit{_FACT}", "tokens"),  # Together
        (f"(?:x-)?ratelimitbysize{_FACT}{_WINDOW}", "tokens"),  # Mistral
    )
]
"""Names of headers, and what they count where the name does not say it."""

_PIECE = "([0-9]{1,12}(?:[.][0-9]{0,12})?)(h|ms|m|s|us|µs|ns)"
_GO_PIECE = re.compile(_PIECE)
_GO = re.compile(f"(?:{_PIECE})+")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_NUMBER = re.compile("[0-9]{1,18}(?:[.][0-9]{0,18})?")
_LONGEST = 64
_EPOCH = datetime.fromtimestamp(0, UTC)


def limits_of(headers: Mapping[str, str], *, now: float) -> dict[str, float]:
    """The limits that an answer's headers tell.

    What can't be read is left out, and so is a dimension whose limit is 0 or less, which some
    hosts send where they count nothing.

    Args:
        headers: of the answer; upper and lower case are the same.
        now: the time, in seconds since 1970.
    """
    found: dict[str, float] = {}
    untold: set[str] = set()
    for header, text in headers.items():
        name = header.lower()
        if "limit" not in name or (told := _place(name)) is None:
            continue
        dimension, fact = told
        value = seconds_of(text, now=now) if fact == "reset" else _number(text)
        if fact == "limit" and text.strip() in {"0", "-1"}:
            untold.add(dimension)
        elif value is not None:
            found[f"{dimension}_{fact}"] = value
    return {k: v for k, v in found.items() if k.rpartition("_")[0] not in untold}


def seconds_of(text: str, *, now: float) -> float | None:
    """The seconds from now that a host means: `1.5`, `6m0s`, an instant of RFC 3339, or the
    seconds or milliseconds since 1970. `None` if it is none of these; 0 for an instant gone by.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    number = _number(text)
    if number is not None:  # no wait is thirty years long, so that it is an instant
        instant = number / 1000 if number > 1e11 else number
        return max(instant - now, 0.0) if number > 1e9 else number
    if _GO.fullmatch(text):
        return sum(float(count) * _SECONDS[unit] for count, unit in _GO_PIECE.findall(text))
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max((aware - _EPOCH).total_seconds() - now, 0.0)


@functools.lru_cache(maxsize=256)  # a host sends the same names with each answer
def _place(name: str) -> tuple[str, str] | None:
    for pattern, dimension in _PATTERNS:
        match = pattern.fullmatch(name)
        if match is not None:
            parts = match.groupdict()
            what = (parts.get("what") or dimension).replace("-", "_")
            what = "requests" if what == "req" else what
            window = parts.get("window")
            return f"{what}_per_{window}" if window else what, parts["fact"]
    return None


def _number(text: str) -> float | None:
    """A number that is not negative; what Python's own reading takes beyond it is no number."""
    text = text.strip()
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    return float(text)
