"""A graph for Graphviz, and what Graphviz makes of it."""

from __future__ import annotations

import shutil
import subprocess

from llmmw.errors import ConfigError
from llmmw.flow.draw._picture import Drawn, Picture

__all__ = ["as_dot", "converted", "graphviz"]

_SECONDS = 60
_FILLS = {
    "builtin": ("box", "#dbeafe"),
    "function": ("box", "#f1f5f9"),
    "choice": ("diamond", "#fef3c7"),
    "value": ("box", "#ffffff"),
    "several": ("box", "#ede9fe"),
}
_STYLES = {"value": "solid", "order": "dotted", "lazy": "dashed"}


def as_dot(picture: Picture) -> str:
    """A digraph from left to right."""
    lines = [
        "digraph flow {",
        '  graph [rankdir=LR, fontname="sans-serif", bgcolor="transparent", nodesep=0.25];',
        '  node [fontname="sans-serif", fontsize=11, style="rounded,filled", color="#64748b"];',
        '  edge [fontname="sans-serif", fontsize=9, color="#64748b", fontcolor="#475569"];',
    ]
    lines += [f"  {_box(one)}" for one in picture.boxes]
    for wire in picture.wires:
        given = f'[style={_STYLES[wire.kind]}, label="{_escaped(wire.label)}"]'
        lines.append(f"  {wire.source} -> {wire.target} {given};")
    return "\n".join([*lines, "}"]) + "\n"


def _box(one: Drawn) -> str:
    shape, fill = _FILLS[one.kind]
    text = _escaped(one.title) + "".join(f"\\n{_escaped(line)}" for line in one.lines)
    width = 2.5 if one.wanted else 1
    return f'{one.key} [shape={shape}, fillcolor="{fill}", penwidth={width}, label="{text}"];'


def _escaped(text: str) -> str:
    """Text within quotes, where Graphviz also reads entities of HTML."""
    plain = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return plain.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def graphviz() -> str | None:
    """Where the program `dot` is, if it is installed."""
    return shutil.which("dot")


def converted(source: str, form: str) -> bytes:
    """What Graphviz makes of a graph in its language: `svg`, `png` or `pdf`.

    Raises:
        ConfigError: if it is not installed, or fails.
    """
    program = graphviz()
    if program is None:
        raise ConfigError(
            f"Graphviz is not installed, which makes drawings as {form.upper()}: "
            "install the package graphviz of your system, or draw into an .svg file"
        )
    try:
        done = subprocess.run(  # noqa: S603 (the program of that name; the source is its input)
            [program, f"-T{form}"],
            input=source.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", None) or b"").decode("utf-8", "replace").strip()
        raise ConfigError(f"Graphviz could not draw the graph: {told or error}") from error
    return done.stdout
