"""The pieces of an answer that have text and nothing else, as nearly all have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["plain_text", "text_alone"]

_PLAIN = frozenset({"content", "role"})
_ALONE = frozenset({"index", "delta", "finish_reason", "logprobs"})


def plain_text(choice: Mapping[str, Any]) -> str:
    """The text of a piece that has nothing else; empty if it has."""
    delta = choice.get("delta")
    if not isinstance(delta, dict) or not delta.keys() <= _PLAIN:
        return ""
    if choice.get("finish_reason") is not None or choice.get("logprobs"):
        return ""
    text = delta.get("content")
    return text if isinstance(text, str) else ""


def text_alone(chunk: Any, last: Mapping[str, Any] | None) -> str:
    """The text of a piece for the first candidate, if nothing else is new in it; else empty.

    Args:
        chunk: the piece; what nobody reads is taken out.
        last: what stood around the choices of the last one.
    """
    if last is None or type(chunk) is not dict:
        return ""
    choices = chunk.get("choices")
    if type(choices) is not list or len(choices) != 1 or type(choices[0]) is not dict:
        return ""
    del chunk["choices"]
    chunk.pop("obfuscation", None)
    choice = choices[0]
    alone = chunk == last and choice.keys() <= _ALONE and choice.get("index") == 0
    text = plain_text(choice) if alone else ""
    if not text:
        chunk["choices"] = choices
    return text
