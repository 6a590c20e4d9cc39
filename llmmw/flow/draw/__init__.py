"""Drawings of graphs: as text, for Mermaid, for Graphviz, and as SVG.

_picture    what is drawn: boxes with a few words, wires between them
text        a tree of lines
mermaid     for Markdown pages that show Mermaid
dot         for Graphviz, which also makes PNG and PDF where it is installed
svg         boxes on coloured lines, as stations of a metro
link        a graph within an address
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llmmw.errors import BadRequest
from llmmw.flow._graph import Graph
from llmmw.flow.draw._picture import Picture
from llmmw.flow.draw.dot import as_dot, converted
from llmmw.flow.draw.mermaid import as_mermaid
from llmmw.flow.draw.svg import as_svg
from llmmw.flow.draw.text import as_text

__all__ = ["Form", "draw"]

Form: TypeAlias = Literal["text", "mermaid", "dot", "svg"]
_FORMS: dict[str, Form] = {
    ".txt": "text",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
}
_CONVERTED = (".png", ".pdf")


def draw(value: Any, form: Form | None = None, *, file: str | PathLike[str] | None = None) -> str:
    """Draw a graph.

    Args:
        value: a `Graph`, an Executable, or any containers of them.
        form: `text` (the default), `mermaid`, `dot` or `svg`. The last needs the library that
            `pip install llmmw[draw]` brings, or Graphviz.
        file: where to write it; the form follows from its extension: `.txt`, `.mmd`, `.dot`,
            `.svg`, and through Graphviz `.png` and `.pdf`.

    Returns:
        The drawing; of a PNG or PDF what Graphviz made it of.

    Raises:
        BadRequest: for a form or an extension that there is not.
        ConfigError: if what it takes is not installed.
    """
    graph = value if isinstance(value, Graph) else Graph.collect(value)
    path = None if file is None else Path(file)
    extension = "" if path is None else path.suffix.lower()
    if path is not None and extension in _CONVERTED and form in (None, "dot"):
        source = as_dot(Picture.of(graph))
        path.write_bytes(converted(source, extension[1:]))
        return source
    chosen = form or (_FORMS.get(extension) if path is not None else "text")
    if chosen is None:
        known = ", ".join([*_FORMS, *_CONVERTED])
        raise BadRequest(f"nothing is drawn into {extension or path!r}: there are {known}")
    drawing = _drawn(graph, chosen)
    if path is not None:
        path.write_text(drawing, "utf-8", newline="\n")
    return drawing


def _drawn(graph: Graph, form: Form) -> str:
    if form == "text":
        return as_text(graph)
    if form == "mermaid":
        return as_mermaid(Picture.of(graph))
    if form == "dot":
        return as_dot(Picture.of(graph))
    if form == "svg":
        return as_svg(Picture.of(graph))
    raise BadRequest(f"no drawing has the form {form!r}: there are text, mermaid, dot, svg")
