"""A graph for Mermaid, which many Markdown pages show."""

from __future__ import annotations

from llmmw.flow.draw._picture import Drawn, Picture

__all__ = ["as_mermaid"]

_SHAPES = {
    "builtin": ('(["', '"])'),
    "function": ('["', '"]'),
    "choice": ('{"', '"}'),
    "value": ('("', '")'),
    "several": ('[["', '"]]'),
}
_ARROWS = {"value": "-->", "order": "-..->", "lazy": "-.->"}
_PLAIN = frozenset(" .,:/+*!?()=_-“”‘’…[]")


def as_mermaid(picture: Picture) -> str:
    """A flowchart from left to right."""
    lines = ["flowchart LR"]
    lines += [f"    {_box(one)}" for one in picture.boxes]
    for wire in picture.wires:
        label = f'|"{_escaped(wire.label)}"|' if wire.label else ""
        lines.append(f"    {wire.source} {_ARROWS[wire.kind]}{label} {wire.target}")
    wanted = [one.key for one in picture.boxes if one.wanted]
    if wanted:
        lines.append("    classDef wanted stroke-width:3px")
        lines.append(f"    class {','.join(wanted)} wanted")
    return "\n".join(lines) + "\n"


def _box(one: Drawn) -> str:
    left, right = _SHAPES[one.kind]
    text = "<br/>".join(map(_escaped, (one.title, *one.lines)))
    return f"{one.key}{left}{text}{right}"


def _escaped(text: str) -> str:
    """Signs that mean something to Mermaid or HTML become its codes."""
    return "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one)};" for one in text)
