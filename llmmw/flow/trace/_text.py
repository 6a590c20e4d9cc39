"""A trace as text: a line a node, what ran within it under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmmw.flow.trace._tree import Trace, TracedCall, TracedNode

__all__ = ["answered", "came_of", "text_of"]

_WIDE = 60
_ERROR = 200
_MARKS = {"done": " ", "failed": "!", "skipped": "-", "cancelled": "x"}


def text_of(trace: Trace) -> str:
    """The whole tree: when each node began, how long it took, and what it gave or raised."""
    lines = []
    for depth, node in trace.walk():
        lines.append(_line(node, depth))
        lines.extend(_call_line(call, depth + 1) for call in node.calls)
    total = f"{'':10}{trace.seconds:.2f} s, {len(trace.calls)} calls, {trace.spent}"
    return "\n".join([*map(_printable, lines), total])


def _line(node: TracedNode, depth: int) -> str:
    when = "" if node.started is None else f"{node.started:8.2f} s"
    taken = "" if node.seconds is None else f" ({node.seconds:.2f} s)"
    return f"{when:10}{_MARKS[node.state]} {'  ' * depth}{node.id}{taken}: {came_of(node)}"


def _call_line(call: TracedCall, depth: int) -> str:
    words = [f"{call.ended - call.started:.2f} s"]
    if call.cached:
        words.append("from the cache")
    elif call.output_tokens is not None:
        words.append(f"{call.input_tokens} + {call.output_tokens} tokens")
    came = answered(call)
    return f"{call.started:8.2f} s   {'  ' * depth}asked {call.model} ({', '.join(words)}): {came}"


def came_of(node: TracedNode) -> str:
    """What became of a node, in less than a line."""
    if node.state == "cancelled":
        return "cancelled"
    return brief(node.output) if node.error is None else brief(node.error, _ERROR)


def answered(call: TracedCall) -> str:
    """What came of a call, in less than a line."""
    return brief(call.response) if call.error is None else brief(call.error, _ERROR)


def brief(value: object, wide: int = _WIDE) -> str:
    """A value in less than a line."""
    text = " ".join(str(value).split())
    return text if len(text) <= wide else text[: wide - 1] + "…"


def _printable(line: str) -> str:
    """A line without what a terminal obeys."""
    return line if line.isprintable() else "".join(x if x.isprintable() else "·" for x in line)
