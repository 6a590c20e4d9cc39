r"""A regular expression as a GBNF grammar, so that the engine can be held to it.

Python's own parser reads the expression; what a grammar can't say (looking around, references to
groups, boundaries) is refused. Whatever the grammar accepts, `re.fullmatch` does too; `^` and `$`
may stand at the ends, where they change nothing. `\d`, `\w` and `\s` give ASCII characters only.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.wire import gbnf_escaped, gbnf_literal

__all__ = ["regex_grammar"]

# What a class may add to a bracket, and what it takes out of a negated one. Where Python's class
# has too many ranges for a quick grammar, it adds less, or takes out more, than Python would.
_DIGITS, _WORD, _SPACE = "0-9", "a-zA-Z0-9_", r" \t\n\r\x0B\x0C"
_OTHER_SPACES = r"\x1C-\x1F\x85\xA0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"
_NO_DIGITS = r"\x00-/:-\u065F"
_NO_WORD = r"\x00-/:-@\[-^`{-\x7F\u2010-\u205E"
_NO_SPACE = (
    r"\x00-\x08\x0E-\x1B!-\x84\x86-\x9F\xA1-\u167F\u1681-\u1FFF\u200B-\u2027"
    r"\u202A-\u202E\u2030-\u205E\u2060-\u2FFF\u3001-\U0010FFFF"
)
_ADDED = {
    "CATEGORY_DIGIT": _DIGITS,
    "CATEGORY_WORD": _WORD,
    "CATEGORY_SPACE": _SPACE,
    "CATEGORY_NOT_DIGIT": _NO_DIGITS,
    "CATEGORY_NOT_WORD": _NO_WORD,
    "CATEGORY_NOT_SPACE": _NO_SPACE,
}
_TAKEN_OUT = {
    "CATEGORY_DIGIT": _DIGITS + r"\u0660-\U0010FFFF",
    "CATEGORY_WORD": _WORD + r"\x80-\U0010FFFF",
    "CATEGORY_SPACE": _SPACE + _OTHER_SPACES,
    "CATEGORY_NOT_DIGIT": r"\x00-/:-\U0010FFFF",
    "CATEGORY_NOT_WORD": r"\x00-/:-@\[-^`{-\U0010FFFF",
    "CATEGORY_NOT_SPACE": r"\x00-\x08\x0E-\x1F!-\U0010FFFF",
}
_ANCHORS_FIRST = {"AT_BEGINNING", "AT_BEGINNING_STRING"}
_ANCHORS_LAST = {"AT_END", "AT_END_STRING"}
_LONGEST = 10_000


def regex_grammar(pattern: str) -> str:
    """A grammar of the texts that the whole of `pattern` matches.

    Raises:
        BadRequest: if it is no regular expression.
        UnsupportedFeature: if it uses what a grammar can't say.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from re import _parser  # type: ignore[attr-defined]

            tree = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadRequest(f"{pattern!r} is no regular expression: {error}") from error
    if tree.state.flags & (re.IGNORECASE | re.MULTILINE | re.VERBOSE | re.LOCALE):
        _refuse("flags other than (?s)")
    items = list(tree)
    if items and str(items[0][0]) == "AT" and str(items[0][1]) in _ANCHORS_FIRST:
        items = items[1:]
    if items and str(items[-1][0]) == "AT" and str(items[-1][1]) in _ANCHORS_LAST:
        items = items[:-1]
    grammar = f"root ::= {_sequence(items, bool(tree.state.flags & re.DOTALL))}"
    if len(grammar) > _LONGEST:
        raise BadRequest("the regular expression is too long for a grammar")
    return grammar


def _refuse(what: str) -> None:
    raise UnsupportedFeature(
        f"a local model can't follow a regular expression with {what}; "
        "write it without, or give a grammar: output={'grammar': '…'}"
    )


def _sequence(items: Any, dotall: bool) -> str:
    return " ".join(_item(str(op), value, dotall) for op, value in items) or '""'


def _item(op: str, value: Any, dotall: bool) -> str:
    """One node of Python's tree as GBNF."""
    if op == "LITERAL":
        return gbnf_literal(chr(value))
    if op == "NOT_LITERAL":
        return f"[^{_in_class(value)}]"
    if op == "ANY":
        return r"[\x00-\U0010FFFF]" if dotall else r"[^\n]"
    if op == "IN":
        return _class(value)
    if op == "BRANCH":
        return "(" + " | ".join(_sequence(branch, dotall) for branch in value[1]) + ")"
    if op == "SUBPATTERN":
        _group, added, removed, inner = value
        if added or removed:
            _refuse("flags inside groups")
        return f"({_sequence(inner, dotall)})"
    if op in {"MAX_REPEAT", "MIN_REPEAT"}:
        low, high, inner = value
        return f"({_sequence(inner, dotall)}){_times(int(low), str(high))}"
    _refuse(f"{op.lower().replace('_', ' ')} (or another construct of that kind)")
    raise AssertionError


def _times(low: int, high: str) -> str:
    most = "" if high == "MAXREPEAT" else high
    short = {(0, ""): "*", (1, ""): "+", (0, "1"): "?"}.get((low, most))
    return short or (f"{{{low}}}" if str(low) == most else f"{{{low},{most}}}")


def _class(items: Any) -> str:
    negated = str(items[0][0]) == "NEGATE"
    body = "".join(_member(str(op), value, negated) for op, value in items[negated:])
    return f"[{'^' if negated else ''}{body}]"


def _member(op: str, value: Any, negated: bool) -> str:
    if op == "LITERAL":
        return _in_class(value)
    if op == "RANGE":
        return f"{_in_class(value[0])}-{_in_class(value[1])}"
    return (_TAKEN_OUT if negated else _ADDED)[str(value)]


def _in_class(code: int) -> str:
    """A character in a class; letters and digits stand for themselves, all others are escaped."""
    character = chr(code)
    return character if character.isascii() and character.isalnum() else gbnf_escaped(character)
