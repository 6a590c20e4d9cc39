"""How a target is held to a form of answer that it has no mechanism of its own for.

A schema becomes a tool that must be called, else a grammar; a choice becomes a grammar, a regular
expression, or the member of an object; at last, where the user allows it, a form is asked for in
words. Whatever the way, the value of the answer is checked by the form that was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from llmmw._capabilities import Capabilities, lacking, output_form
from llmmw._chain import Middleware
from llmmw._edits import Edited
from llmmw._forced_tool import AnswerOfTool, forced
from llmmw._gbnf import choice_grammar
from llmmw._messages import Message
from llmmw._output import Choice, Grammar, JsonObject, JsonSchema, OutputFormat
from llmmw._parts import TextPart
from llmmw._request import Generate
from llmmw._response import Finish
from llmmw._schema_grammar import schema_grammar
from llmmw.errors import BadRequest, UnsupportedFeature

__all__ = ["Unfenced", "Unwrapped", "Way", "by_words", "other_way"]


@attrs.frozen
class Way:
    """A request that asks for the same in another manner, and what makes the answer of what
    comes back, outermost first."""

    request: Generate
    around: tuple[Middleware, ...] = ()


def other_way(request: Generate, can: Capabilities) -> Way | None:
    """The first way to the form of a request that a target can go, or none."""
    assert request.output is not None
    for way in _WAYS[output_form(request.output)]:
        try:
            made = way(request)
        except (UnsupportedFeature, BadRequest):
            continue
        needed = {"tools", "tool_choice"} if made.request.output is None else {"output"}
        if needed.isdisjoint(lacking(made.request, can)):
            return made
    return None


def _by_tool(request: Generate) -> Way:
    asked, name = forced(request)
    return Way(asked, (AnswerOfTool(name),))


def _by_schema(request: Generate) -> Way:
    return Way(request.replace(output=JsonSchema({"type": "object"})))


def _by_grammar(request: Generate) -> Way:
    output = request.output
    if isinstance(output, Choice):
        return Way(request.replace(output=Grammar(choice_grammar(output.options))))
    schema = output.schema if isinstance(output, JsonSchema) else {"type": "object"}
    return Way(request.replace(output=Grammar(schema_grammar(schema))))


def _by_regex(request: Generate) -> Way:
    assert isinstance(request.output, Choice)
    # Not re.escape, whose escapes of spaces and others hosts of another dialect don't read.
    options = "|".join(re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", o) for o in request.output.options)
    return Way(request.replace(output=Grammar(options, "regex")))


def _by_member(request: Generate) -> Way:
    output = request.output
    assert isinstance(output, Choice)
    schema = {
        "type": "object",
        "properties": {"value": {"type": "string", "enum": list(output.options)}},
        "required": ["value"],
        "additionalProperties": False,
    }
    asked = request.replace(output=JsonSchema(schema, strict=True))
    return Way(asked, (Edited(Unwrapped),))


def _by_tool_member(request: Generate) -> Way:
    member = _by_member(request)
    tool = _by_tool(member.request)
    return Way(tool.request, (*member.around, *tool.around))


_WAYS: Mapping[str, tuple[Callable[[Generate], Way], ...]] = {
    "schema": (_by_tool, _by_grammar),
    "json": (_by_tool, _by_schema, _by_grammar),
    "choice": (_by_grammar, _by_regex, _by_member, _by_tool_member),
    "regex": (),
    "grammar": (),
}


def by_words(request: Generate, can: Capabilities) -> Way | None:
    """The request with its form told in words. Where the target has a mode for JSON, a schema
    has that besides. None, for a prompt without messages and for grammars, of which nobody could
    see whether they were followed."""
    output = request.output
    told = None if output is None else _told(output)
    if told is None or request.prompt is not None:
        return None
    asked = request.replace(output=None, messages=_instructed(request.messages, told))
    edits = () if isinstance(output, Grammar) else (Edited(Unfenced),)
    if isinstance(output, JsonSchema):
        held = asked.replace(output=JsonObject())
        if "output" not in lacking(held, can):
            return Way(held, edits)
    return Way(asked, edits)


def _told(output: OutputFormat) -> str | None:
    if isinstance(output, Choice):
        options = json.dumps(output.options, ensure_ascii=False)
        return f"Answer with one of these texts, without quotes and nothing else: {options}"
    if isinstance(output, Grammar):
        if output.syntax != "regex":
            return None
        return f"Answer with a text that this regular expression matches whole: {output.text}"
    if isinstance(output, JsonObject):
        return "Answer with one JSON object and nothing else."
    schema = json.dumps(output.schema, ensure_ascii=False)
    about = f" It is: {output.description}" if output.description else ""
    return f"Answer with JSON that follows this JSON schema and nothing else.{about}\n{schema}"


def _instructed(messages: tuple[Message, ...], told: str) -> tuple[Message, ...]:
    """With what is told at the end of the first message, if that is the system's; else before."""
    first = messages[0]
    if first.role != "system":
        return (Message("system", (TextPart(told),)), *messages)
    changed = attrs.evolve(first, parts=(*first.parts, TextPart(f"\n\n{told}")))
    return (changed, *messages[1:])


@attrs.define
class Unwrapped:
    """An edit that makes the text of `{"value": "text"}`. What is none stays as it is."""

    finish: Finish | None = None
    _held: str = ""

    def feed(self, text: str) -> str:
        """Nothing: it is told when it is whole."""
        self._held += text
        return ""

    def close(self) -> str:
        """The member, or all of it."""
        held, self._held = self._held, ""
        try:
            given: Any = json.loads(held)
        except (ValueError, RecursionError):
            return held
        value = given.get("value") if isinstance(given, dict) else None
        return value if isinstance(value, str) else held


_FENCE = re.compile(r"```[A-Za-z]*[ \t\r]*\n\s*")
_MAYBE_FENCE = re.compile(r"`{1,2}|```[A-Za-z]*[ \t\r]*(\n\s*)?")


@attrs.define
class Unfenced:
    """An edit that takes away the space around a text, and the fence of Markdown in which models
    like to put code."""

    finish: Finish | None = None
    _held: str = ""
    _begun: bool = False
    _fenced: bool = False

    def feed(self, text: str) -> str:
        """All but what may be the end."""
        text = self._held + text
        if not self._begun:
            text = text.lstrip()
            if not text or _MAYBE_FENCE.fullmatch(text):
                self._held = text
                return ""
            fence = _FENCE.match(text)
            self._begun, self._fenced = True, fence is not None
            text = text[fence.end() :] if fence else text
        kept = len(text.rstrip("` \t\r\n" if self._fenced else None))
        self._held = text[kept:]
        return text[:kept]

    def close(self) -> str:
        """What was kept, without space and the closing fence."""
        rest, self._held = self._held.rstrip(), ""
        return rest.removesuffix("```").rstrip() if self._fenced else rest
