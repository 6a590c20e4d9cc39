"""Where boxes and wires go: layers from left to right, as the layout library orders them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs

from llmmw.errors import ConfigError
from llmmw.flow.draw._picture import Drawn, Picture

__all__ = ["LINE", "Layout", "Placed", "laid_out", "width_of"]

Point: TypeAlias = tuple[float, float]
LINE = 15.0
_GAP, _BETWEEN, _EDGE, _APART = 26.0, 96.0, 24.0, 13.0


@attrs.frozen
class Placed:
    """A box and its place, from its left upper corner."""

    box: Drawn
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Layout:
    """All places, in pixels."""

    boxes: dict[str, Placed]
    ways: dict[tuple[str, str], list[tuple[float, float, float]]]
    """By the ends of a wire: the layers that it passes, each from x to x at y."""
    width: float
    height: float


def width_of(text: str, size: float) -> float:
    """About as wide as a text is in a usual font of so many pixels."""
    wide = sum(1.7 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    return wide * size * 0.56


def _size_of(box: Drawn, arriving: int) -> Point:
    widths = [1.1 * width_of(box.title, 13.5), *[width_of(line, 11) for line in box.lines]]
    height = 20 + LINE * (1 + len(box.lines))
    return max(64.0, *widths) + 34, max(height, _APART * (arriving + 1))


def laid_out(picture: Picture) -> Layout:
    """The places of all boxes and wires.

    Raises:
        ConfigError: if the layout library is not installed.
    """
    arriving = Counter(wire.target for wire in picture.wires)
    sizes = {one.key: _size_of(one, arriving[one.key]) for one in picture.boxes}
    pitch = max((height for _, height in sizes.values()), default=0) + _GAP
    centres, chains = _ordered(picture, pitch)
    layers = sorted({layer for layer, _ in centres.values()})
    lefts, widths, left = {}, {}, _EDGE
    for layer in layers:
        members = [key for key, (other, _) in centres.items() if other == layer]
        widths[layer] = max(sizes[key][0] if isinstance(key, str) else 0 for key in members)
        lefts[layer] = left
        left += widths[layer] + _BETWEEN
    boxes = {}
    for one in picture.boxes:
        layer, middle = centres[one.key]
        width, height = sizes[one.key]
        x = lefts[layer] + (widths[layer] - width) / 2
        boxes[one.key] = Placed(one, x, middle - height / 2, width, height)
    ways = {}
    for ends, chain in chains.items():
        passed = [centres[key] for key in chain]
        ways[ends] = [(lefts[la], lefts[la] + widths[la], middle) for la, middle in passed]
    passing = [y for way in ways.values() for _, _, y in way]
    top = min([*passing, *[one.y for one in boxes.values()]], default=0) - _EDGE
    boxes = {key: attrs.evolve(one, y=one.y - top) for key, one in boxes.items()}
    ways = {ends: [(x, to, y - top) for x, to, y in way] for ends, way in ways.items()}
    lowest = [y - top for y in passing] + [one.y + one.height for one in boxes.values()]
    return Layout(boxes, ways, left - _BETWEEN + _EDGE, max(lowest, default=0) + _EDGE)


_Key: TypeAlias = "str | tuple[int, int]"


def _ordered(
    picture: Picture, pitch: float
) -> tuple[dict[_Key, tuple[int, float]], dict[tuple[str, str], list[_Key]]]:
    """The layer and the middle of each box and each point that a wire passes; and by the ends
    of a wire, the points that it passes."""
    pairs = list(dict.fromkeys((wire.source, wire.target) for wire in picture.wires))
    joined = list(dict.fromkeys(key for pair in pairs for key in pair))
    numbers = {key: place for place, key in enumerate(joined)}
    parts = _parts([(numbers[a], numbers[b]) for a, b in pairs], pitch)
    centres: dict[_Key, tuple[int, float]] = {}
    next_of: dict[_Key, list[_Key]] = {}
    before = 0.0
    for index, (positions, width, height, edges) in enumerate(parts):

        def key_of(number: int, index: int = index) -> _Key:
            return joined[number] if number < len(joined) else (index, number)

        lowest = 0.0
        for number, (across, along) in sorted(positions):
            lowest = min(lowest, across)
            centres[key_of(number)] = (round((height - along) / pitch), before + across)
        before += width - lowest + pitch
        for a, b in edges:
            next_of.setdefault(key_of(a), []).append(key_of(b))
    for one in picture.boxes:
        if one.key not in numbers:
            centres[one.key] = (0, before)
            before += pitch
    return centres, {pair: _chain(*pair, next_of) for pair in pairs}


def _parts(edges: list[tuple[int, int]], pitch: float) -> Iterable[Any]:
    try:
        from fast_sugiyama import from_edges
    except ImportError as error:
        raise ConfigError(
            "a drawing as SVG needs a layout library: pip install llmmw[draw]; "
            "or the program Graphviz"
        ) from error
    if not edges:
        return []
    found = from_edges(edges, vertex_spacing=pitch, dummy_vertices=True, check_layout=False)
    return sorted(found, key=lambda part: min(number for number, _ in part[0]))


def _chain(source: str, target: str, next_of: dict[_Key, list[_Key]]) -> list[_Key]:
    """The points between the ends of a wire."""
    for first in next_of.get(source, ()):
        chain: list[_Key] = []
        key = first
        while not isinstance(key, str):
            chain.append(key)
            key = next_of[key][0]
        if key == target:
            return chain
    return []
