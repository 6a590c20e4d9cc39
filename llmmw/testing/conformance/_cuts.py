"""The ways to cut a body into pieces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

__all__ = ["cuttings", "every_cut"]

_MOST_CUTS = 40
_MOST_BYTES = 16_384
"""Of a body longer than this, the middle comes in pieces of some bytes instead of one."""


def cuttings(body: bytes, random_cuts: int, draw: random.Random) -> Iterator[list[bytes]]:
    """The body whole, byte by byte, and so many times cut at random places."""
    yield [body]
    yield _bytewise(body)
    for _ in range(random_cuts):
        count = min(draw.randint(1, _MOST_CUTS), max(len(body) - 1, 0))
        places = sorted(draw.sample(range(1, len(body)), count)) if count else []
        yield _at(body, places)


def every_cut(body: bytes) -> Iterator[list[bytes]]:
    """The body in two, at each place."""
    for place in range(1, len(body)):
        yield _at(body, [place])


def _at(body: bytes, places: list[int]) -> list[bytes]:
    return [body[begin:end] for begin, end in pairwise([0, *places, len(body)])]


def _bytewise(body: bytes) -> list[bytes]:
    if len(body) <= _MOST_BYTES:
        return [body[at : at + 1] for at in range(len(body))]
    edge = _MOST_BYTES // 2
    stride = 7  # of no format's making
    middle = range(edge, len(body) - edge, stride)
    places = [*range(1, edge), *middle, *range(len(body) - edge, len(body))]
    return _at(body, places)
