"""A graph as an SVG picture: boxes are stations, and wires the coloured lines between them."""

from __future__ import annotations

import html
import importlib.util

from llmmw.flow.draw._layout import LINE, Layout, Placed, laid_out
from llmmw.flow.draw._picture import Picture, Wire
from llmmw.flow.draw.dot import as_dot, converted, graphviz

__all__ = ["as_svg"]

_COLOURS = (
    *("#2563eb", "#d97706", "#059669", "#db2777"),
    *("#7c3aed", "#0891b2", "#65a30d", "#dc2626"),
)
_STYLE = """
.flow { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.card { fill: #fff; stroke: #cbd5e1; stroke-width: 1.2; }
.builtin .card { fill: #eff6ff; } .choice .card { fill: #fffbeb; } .several .card { fill: #f5f3ff; }
.wanted .card { stroke: #0f172a; stroke-width: 2.2; }
.title { font-size: 13.5px; font-weight: 600; fill: #0f172a; }
.line { font-size: 11px; fill: #475569; }
.label { font-size: 10px; fill: #64748b; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.wire { fill: none; stroke-width: 3.2; stroke-linecap: round; stroke-linejoin: round; }
.lazy { stroke-dasharray: 7 6; } .order { stroke-dasharray: 1 6; stroke-width: 2.4; }
.stop { fill: #fff; stroke-width: 2.4; }
@media (prefers-color-scheme: dark) {
  .card, .stop { fill: #1e293b; } .card { stroke: #475569; } .wanted .card { stroke: #f8fafc; }
  .builtin .card { fill: #172554; } .choice .card { fill: #422006; }
  .several .card { fill: #2e1065; } .title { fill: #f8fafc; } .line { fill: #cbd5e1; }
  .label { fill: #94a3b8; stroke: #0f172a; }
}
"""


def as_svg(picture: Picture) -> str:
    """The picture, from left to right. Where the layout library is not installed, Graphviz
    draws it.

    Raises:
        ConfigError: if neither is installed.
    """
    if not _can_lay_out() and graphviz() is not None:
        return converted(as_dot(picture), "svg").decode()
    layout = laid_out(picture)
    colours = _colours(picture)
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="flow" role="img" {size} '
        f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}">',
        f"<title>a flow of {len(picture.boxes)} nodes</title>",
        f"<style>{_STYLE}</style>",
    ]
    into, labels = _wires(picture, layout, colours)
    lines += into
    lines += [_card(one, colours[one.box.key]) for one in layout.boxes.values()]
    return "\n".join([*lines, *labels, "</svg>"]) + "\n"


def _can_lay_out() -> bool:
    try:
        return importlib.util.find_spec("fast_sugiyama") is not None
    except ValueError:
        return False  # it was put out of reach


def _colours(picture: Picture) -> dict[str, str]:
    """A line goes on through the first thing that a node needs; others begin new ones."""
    colours: dict[str, str] = {}
    first: dict[str, str] = {}
    for wire in picture.wires:
        if wire.kind == "value":
            first.setdefault(wire.target, wire.source)
    begun = 0
    goes_on: set[str] = set()
    for one in picture.boxes:
        source = first.get(one.key)
        if source is not None and source not in goes_on:
            goes_on.add(source)  # one branch keeps the colour; the others get their own
            colours[one.key] = colours[source]
        else:
            colours[one.key] = _COLOURS[begun % len(_COLOURS)]
            begun += 1
    return colours


def _wires(
    picture: Picture, layout: Layout, colours: dict[str, str]
) -> tuple[list[str], list[str]]:
    """The lines, and what is written at their ends."""
    arriving: dict[str, list[Wire]] = {}
    for wire in picture.wires:
        arriving.setdefault(wire.target, []).append(wire)
    lines, labels = [], []
    for key, several in arriving.items():
        target = layout.boxes[key]
        several.sort(key=lambda wire: _last_height(wire, layout))
        for place, wire in enumerate(several):
            y = target.y + target.height * (place + 1) / (len(several) + 1)
            colour = colours[wire.source]
            path = _path(wire, layout, target.x, y)
            lines.append(f'<path class="wire {wire.kind}" stroke="{colour}" d="{path}"/>')
            stop = f'cx="{target.x:.1f}" cy="{y:.1f}" r="4" stroke="{colour}"'
            labels.append(f'<circle class="stop" {stop}/>')
            if wire.label:
                text = _escaped(wire.label if len(wire.label) < 18 else wire.label[:16] + "…")
                at = f'x="{target.x - 9:.1f}" y="{y - 5:.1f}" text-anchor="end"'
                labels.append(f'<text class="label" {at}>{text}</text>')
    return lines, labels


def _last_height(wire: Wire, layout: Layout) -> float:
    """At what height it comes to its target."""
    way = layout.ways[wire.source, wire.target]
    source = layout.boxes[wire.source]
    return way[-1][2] if way else source.y + source.height / 2


def _path(wire: Wire, layout: Layout, x: float, y: float) -> str:
    """From the right side of one box, level through each layer between, to another's left."""
    source = layout.boxes[wire.source]
    here = (source.x + source.width, source.y + source.height / 2)
    path = f"M{here[0]:.1f} {here[1]:.1f}"
    for start, end, middle in layout.ways[wire.source, wire.target]:
        path += _curve(here, (start, middle)) + f"L{end:.1f} {middle:.1f}"
        here = (end, middle)
    return path + _curve(here, (x, y))


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    middle = (start[0] + end[0]) / 2
    ends = f"{end[0]:.1f} {end[1]:.1f}"
    return f"C{middle:.1f} {start[1]:.1f} {middle:.1f} {end[1]:.1f} {ends}"


def _card(one: Placed, colour: str) -> str:
    box = one.box
    classes = f"{box.kind} wanted" if box.wanted else box.kind
    place = f'x="{one.x:.1f}" y="{one.y:.1f}" width="{one.width:.1f}" height="{one.height:.1f}"'
    bar = f'x="{one.x + 10:.1f}" y="{one.y + 9:.1f}" width="4" height="{one.height - 18:.1f}"'
    y = one.y + (one.height - LINE * (1 + len(box.lines))) / 2 + LINE * 0.8
    texts = [f'<text class="title" x="{one.x + 21:.1f}" y="{y:.1f}">{_escaped(box.title)}</text>']
    for line in box.lines:
        y += LINE
        texts.append(f'<text class="line" x="{one.x + 21:.1f}" y="{y:.1f}">{_escaped(line)}</text>')
    card = f'<rect class="card" {place} rx="9"/><rect {bar} rx="2" fill="{colour}"/>'
    return f'<g class="{classes}">{card}{"".join(texts)}</g>'


def _escaped(text: str) -> str:
    """Text for XML, which has no place for control characters."""
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return html.escape(shown)
