"""Grammars in llama.cpp's own notation (GBNF), which several hosts read."""

from __future__ import annotations

from collections.abc import Sequence

from llmmw.errors import BadRequest

__all__ = ["choice_grammar", "gbnf_escaped", "gbnf_literal"]


def choice_grammar(options: Sequence[str]) -> str:
    """A grammar of exactly these texts.

    Raises:
        BadRequest: if there are none, or one is empty.
    """
    if not options or not all(options):
        raise BadRequest("a Choice needs at least one option, and none may be empty")
    return "root ::= " + " | ".join(map(gbnf_literal, options))


def gbnf_literal(text: str) -> str:
    """A text that stands for itself, in quotes."""
    plain = {sign for sign in set(text) - set('"\\') if sign.isprintable()}
    return '"' + "".join(sign if sign in plain else gbnf_escaped(sign) for sign in text) + '"'


def gbnf_escaped(sign: str) -> str:
    """A character by its number, as quotes and brackets take it."""
    code = ord(sign)
    return f"\\x{code:02X}" if code < 256 else f"\\U{code:08X}"
