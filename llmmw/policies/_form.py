"""What an answer lacks: content, the form that was asked for, a match."""

from __future__ import annotations

import re

from llmmw._messages import Message
from llmmw._output import OutputFormat, value_in
from llmmw._parts import ReasoningPart, TextPart, ToolCallPart, text_of
from llmmw._response import Generation

__all__ = ["lacks_content", "lacks_form", "lacks_match"]


def _messages(response: Generation) -> list[Message]:
    return [c.message for c in response.candidates] or [response.message]


def lacks_content(response: Generation) -> str | None:
    """What is said of an answer that has nothing but white space and reasoning."""
    for message in _messages(response):
        for part in message.parts:
            blank = isinstance(part, TextPart) and not part.text.strip()
            if not blank and not isinstance(part, ReasoningPart):
                break
        else:
            return "it is empty"
    return None


def lacks_match(response: Generation, pattern: str) -> str | None:
    """What is said of an answer in whose text a regular expression is not found."""
    found = all(re.search(pattern, text_of(message.parts)) for message in _messages(response))
    return None if found else f"{pattern!r} does not match its text"


def lacks_form(response: Generation, output: OutputFormat | None) -> str | None:
    """What is wrong with the form of an answer, or `None`."""
    if output is None:
        return None
    for message in _messages(response):
        if not any(isinstance(part, ToolCallPart) for part in message.parts):
            try:
                value_in(text_of(message.parts), output)
            except ValueError as error:
                return str(error)
    return None
