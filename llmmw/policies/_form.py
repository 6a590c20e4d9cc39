"""What an answer lacks: content, the form that was asked for, a match."""

from __future__ import annotations

import re

import orjson

from llmmw._messages import Message
from llmmw._output import Choice, Grammar, JsonObject, JsonSchema, OutputFormat
from llmmw._parts import ReasoningPart, TextPart, ToolCallPart, text_of
from llmmw._response import Generation
from llmmw.policies._schema import mismatch

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
    for message in _messages(response) if output is not None else ():
        if not any(isinstance(part, ToolCallPart) for part in message.parts):
            wrong = _wrong(text_of(message.parts), output)
            if wrong is not None:
                return wrong
    return None


def _wrong(text: str, output: OutputFormat | None) -> str | None:
    if isinstance(output, (JsonObject, JsonSchema)):
        try:
            given = orjson.loads(text)
        except ValueError as error:
            return f"it is no JSON: {error}"
        if isinstance(output, JsonSchema):
            return mismatch(given, output.schema)
        return None if isinstance(given, dict) else "it is no JSON object"
    if isinstance(output, Choice) and text not in output.options:
        return f"it is none of {', '.join(map(repr, output.options))}"
    if isinstance(output, Grammar) and output.syntax == "regex":
        try:
            fits = re.fullmatch(output.text, text) is not None
        except re.error:  # of another dialect
            fits = True
        return None if fits else f"{output.text!r} does not match all of it"
    return None
