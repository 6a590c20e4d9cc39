"""A choice of texts as a grammar in llama.cpp's own notation (GBNF)."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["choice_grammar"]

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def choice_grammar(options: Iterable[str]) -> str:
    """A grammar that accepts these texts and no other."""
    return "root ::= " + " | ".join(f'"{option.translate(_ESCAPES)}"' for option in options)
