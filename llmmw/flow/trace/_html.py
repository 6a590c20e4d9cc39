"""A trace as one page: a tree to open and close, with bars of time. It loads nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from llmmw.flow.trace._text import answered, came_of

if TYPE_CHECKING:
    from llmmw.flow.trace._tree import Trace, TracedCall, TracedNode

__all__ = ["page_of"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --done: #3a7d5c; --bad: #b3403a;
  --call: #4a6fa5; --hit: #b08a2e; --ground: #fff; --text: #1c1c1e; --soft: #0000000a; }
@media (prefers-color-scheme: dark) { :root { --ground: #17181a; --text: #e6e6e6; --dim: #999;
  --soft: #ffffff0d; --done: #63b58d; --bad: #e07a73; --call: #8fb0de; --hit: #d9b45c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 4rem; background: var(--ground);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; font-weight: 600; margin: 0; }
.sum { color: var(--dim); margin: .25rem 0 1.25rem; }
.tools { display: flex; gap: .5rem; margin-bottom: 1rem; }
.tools button { font: inherit; font-size: .85rem; padding: .15rem .7rem; border-radius: 1rem;
  border: 1px solid var(--line); background: none; color: inherit; cursor: pointer; }
.tools button:hover { background: var(--soft); }
details { border-left: 1px solid var(--line); margin-left: .4rem; padding-left: .9rem; }
body > details { border-left: none; margin-left: 0; padding-left: 0; }
summary { display: grid; grid-template-columns: minmax(9rem, 16rem) 1fr 5rem 12rem; gap: .9rem;
  align-items: baseline; padding: .28rem .4rem; border-radius: .35rem; cursor: pointer;
  list-style: none; }
summary::-webkit-details-marker { display: none; }
summary:hover { background: var(--soft); }
summary:focus-visible { outline: 2px solid var(--call); }
.id { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.id::before { content: "●"; font-size: .6em; vertical-align: .2em; margin-right: .5em;
  color: var(--done); }
.failed > summary .id::before, .skipped > summary .id::before { color: var(--bad); }
.skipped > summary .id, .cancelled > summary .id { opacity: .6; }
.cancelled > summary .id::before { color: var(--dim); }
.call > summary .id { font-weight: 400; }
.call > summary .id::before { content: "→"; color: var(--call); font-size: 1em;
  vertical-align: 0; }
.call.hit > summary .id::before { color: var(--hit); }
.own { border-left: none; margin-left: .2rem; }
.own > summary { display: block; font-size: .8rem; color: var(--dim); padding: 0 .4rem; }
.own > summary::before { content: "▸ "; } .own[open] > summary::before { content: "▾ "; }
.came { color: var(--dim); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bad { color: var(--bad); }
.took { text-align: right; font-variant-numeric: tabular-nums; color: var(--dim); }
.bar { position: relative; height: .5rem; background: var(--soft); border-radius: .25rem;
  align-self: center; }
.bar i { position: absolute; top: 0; bottom: 0; min-width: 2px; border-radius: .25rem;
  background: var(--done); }
.failed > summary .bar i { background: var(--bad); }
.cancelled > summary .bar i { background: var(--dim); }
.call > summary .bar i { background: var(--call); }
.call.hit > summary .bar i { background: var(--hit); }
.in { padding: .2rem .4rem .6rem 1.1rem; }
.in h2 { font-size: .75rem; font-weight: 600; letter-spacing: .04em; text-transform: uppercase;
  color: var(--dim); margin: .6rem 0 .15rem; }
pre { margin: 0; padding: .5rem .7rem; background: var(--soft); border-radius: .35rem;
  font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  max-height: 24rem; overflow-y: auto; }
@media (max-width: 48rem) { summary { grid-template-columns: 1fr 4rem; }
  .came, .bar { grid-column: 1 / -1; } }
@media print { .tools { display: none; } pre { max-height: none; } }
"""
_SCRIPT = """
const all = () => document.querySelectorAll("details");
document.getElementById("open").onclick = () => all().forEach(one => one.open = true);
document.getElementById("close").onclick = () => all().forEach(one => one.open = false);
"""


def page_of(trace: Trace) -> str:
    """The page. Whatever a model has said is shown as text, never as markup."""
    return "".join(_page(trace))


def _page(trace: Trace) -> Iterator[str]:
    failed = sum(node.state == "failed" for _, node in trace.walk())
    calls = trace.calls
    words = [
        f"{trace.seconds:.2f} s",
        f"{sum(1 for _ in trace.walk())} nodes" + (f", {failed} failed" if failed else ""),
        f"{len(calls)} calls, {sum(call.cached for call in calls)} from the cache",
        str(trace.spent),
    ]
    yield '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Trace of a flow</title>\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta http-equiv="Content-Security-Policy" '
    yield "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
    yield f"<style>{_STYLE}</style>\n<h1>Trace of a flow</h1>\n"
    yield f'<p class="sum">{escape(" · ".join(words))}</p>\n'
    yield '<div class="tools"><button id="open">Open all</button>'
    yield '<button id="close">Close all</button></div>\n'
    whole = max(trace.seconds, 1e-9)
    level = 0
    for depth, node in trace.walk():
        yield "</details>\n" * (level - depth)
        level = depth + 1
        yield from _node(node, whole)
    yield "</details>\n" * level
    yield f"<script>{_SCRIPT}</script></html>\n"


def _node(node: TracedNode, whole: float) -> Iterator[str]:
    """A node without its end: what ran within it follows."""
    bad = node.state in {"failed", "skipped"}
    opened = " open" if bad or node.nodes else ""
    yield f'<details class="{node.state}"{opened}>'
    yield _summary(node.id, came_of(node), node.started, node.ended, whole, bad=bad)
    folded = bool(node.nodes or node.calls)
    yield '<details class="own"><summary>inputs and result</summary>' if folded else ""
    yield '<div class="in">'
    if node.inputs:
        yield _field("Inputs", node.inputs)
    if node.error is not None:
        yield _field("Error", node.error)
    elif node.ended is not None:
        yield _field("Result", node.output)
    yield "</div></details>\n" if folded else "</div>\n"
    for call in node.calls:
        yield from _call(call, whole)


def _call(call: TracedCall, whole: float) -> Iterator[str]:
    yield f'<details class="call{" hit" if call.cached else ""}">'
    bad = call.error is not None
    yield _summary(call.model, answered(call), call.started, call.ended, whole, bad=bad)
    yield '<div class="in">'
    yield _field("Asked", call.request)
    yield _field("Error" if bad else "Answered", call.error if bad else call.response)
    used = [
        f"{number:,} {what}"
        for number, what in (
            (call.input_tokens, "tokens in"),
            (call.output_tokens, "tokens out"),
        )
        if number is not None
    ]
    used += [f"${call.cost}"] if call.cost is not None else []
    if used:
        yield _field("Used", ", ".join(used))
    if call.story:
        yield _field("What happened", call.story)
    yield "</div></details>\n"


def _summary(
    name: str, came: str, began: float | None, ended: float | None, whole: float, *, bad: bool
) -> str:
    took, bar = "", ""
    if began is not None:
        last = whole if ended is None else ended
        took = "" if ended is None else f"{last - began:.2f} s"
        left, wide = began / whole * 100, (last - began) / whole * 100
        bar = f'<i style="left:{left:.3f}%;width:{wide:.3f}%"></i>'
    look = "came bad" if bad else "came"
    return (
        f'<summary><span class="id" title="{escape(name)}">{escape(name)}</span>'
        f'<span class="{look}">{escape(came)}</span><span class="took">{took}</span>'
        f'<span class="bar">{bar}</span></summary>'
    )


def _field(name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<h2>{escape(name)}</h2><pre>{escape(text)}</pre>"
