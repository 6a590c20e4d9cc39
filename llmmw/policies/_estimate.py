"""How many tokens a request may use, before anybody has counted them."""

from __future__ import annotations

from collections.abc import Iterable

from llmmw._messages import Message
from llmmw._parts import MediaPart, OpaquePart, Part, ReasoningPart, TextPart, ToolResultPart
from llmmw._request import CountTokens, Detokenize, Embed, Generate, Request, Score, Tokenize
from llmmw._together import Together

__all__ = ["input_estimate", "output_estimate"]

_BYTES = 4
"""Of UTF-8 a token: about right for English, low for code, and for most other scripts."""
_A_MESSAGE = 4
"""Tokens around each message."""
_A_MEDIUM = 1000
"""Tokens of an image or a file, whatever its size."""


def input_estimate(request: Request) -> int:
    """A token for each 4 bytes of text (tools included), 4 a message, 1000 an image or file."""
    if isinstance(request, Generate) and request.prompt is not None:
        return _text(request.prompt)
    if isinstance(request, (Generate, CountTokens)):
        tools = sum(_text(repr(tool)) for tool in request.tools)
        return tools + sum(_message(message) for message in request.messages)
    if isinstance(request, Embed):
        return sum(map(_text, request.inputs))
    if isinstance(request, Score):
        return _text(request.prompt) + sum(map(_text, request.options))
    if isinstance(request, Tokenize):
        return _text(request.text)
    if isinstance(request, Detokenize):
        return len(request.tokens)
    if isinstance(request, Together):
        return sum(map(input_estimate, request.requests))
    return 0


def output_estimate(request: Request, default: int) -> int:
    """What a request bounds its answers to, else `default` an answer; others generate nothing."""
    if isinstance(request, Together):
        return sum(output_estimate(one, default) for one in request.requests)
    if not isinstance(request, Generate):
        return 0
    each = default if request.max_output_tokens is None else request.max_output_tokens
    return each * (request.n or 1)


def _message(message: Message) -> int:
    return _A_MESSAGE + _parts(message.parts)


def _parts(parts: Iterable[Part]) -> int:
    return sum(map(_part, parts))


def _part(part: Part) -> int:
    if isinstance(part, (TextPart, ReasoningPart)):
        return _text(part.text)
    if isinstance(part, MediaPart):
        return _A_MEDIUM
    if isinstance(part, ToolResultPart):
        return _parts(part.content)
    return _text(
        repr(part.data) if isinstance(part, OpaquePart) else getattr(part, "arguments", "")
    )


def _text(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return -(-size // _BYTES)
