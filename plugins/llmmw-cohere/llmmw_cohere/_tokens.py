"""Tokens of texts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmmw import CachePoint, CountTokens, MediaPart, Part, ReasoningPart, TextPart, ToolResultPart
from llmmw.errors import ProtocolError
from llmmw.wire import Losses

__all__ = ["MOST_SIGNS", "pieces_of", "prompt_of", "tokens_of"]

MOST_SIGNS = 65_536
"""Characters that the host takes at once."""


def tokens_of(told: Mapping[str, Any]) -> list[int]:
    """The tokens of an answer.

    Raises:
        ProtocolError: if there are none.
    """
    tokens = told.get("tokens")
    if not isinstance(tokens, list) or not all(type(one) is int and one >= 0 for one in tokens):
        raise ProtocolError("the host sent no list of tokens")
    return tokens


def prompt_of(request: CountTokens, losses: Losses) -> str:
    """The texts of a conversation, as far as they can be counted.

    Raises:
        UnsupportedFeature: for what has no text.
    """
    if request.tools:
        losses.drop("tools in a count of tokens")
    texts: list[str] = []
    for message in request.messages:
        texts += _texts(message.parts, losses)
    losses.note("counts the texts alone, without what a template puts around them")
    return "\n".join(texts)


def _texts(parts: tuple[Part, ...], losses: Losses) -> Iterator[str]:
    for part in parts:
        if isinstance(part, (TextPart, ReasoningPart)):
            yield part.text
        elif isinstance(part, ToolResultPart):
            yield from _texts(part.content, losses)
        elif isinstance(part, MediaPart):
            losses.drop(f"{part.media_type} in a count of tokens")
        elif not isinstance(part, CachePoint):
            yield str(getattr(part, "arguments", ""))


def pieces_of(text: str) -> Iterator[str]:
    """A text in pieces that the host takes, cut at spaces where there are some: a cut inside of a
    word may count as a token more."""
    begin = 0
    while len(text) - begin > MOST_SIGNS:
        cut = text.rfind(" ", begin + 1, begin + MOST_SIGNS)
        end = cut if cut > begin else begin + MOST_SIGNS
        yield text[begin:end]
        begin = end
    if text[begin:]:
        yield text[begin:]
