"""What of a part is told in pieces: its skeleton without that, and the part with it. Pure."""

from __future__ import annotations

import attrs

from llmmw import Part, ReasoningPart, TextPart, ToolCallPart

__all__ = ["as_open", "skeleton_of", "text_in", "with_told"]


def text_in(part: Part) -> str:
    """What its pieces tell: its text, or its arguments."""
    if isinstance(part, ToolCallPart):
        return part.arguments
    return part.text if isinstance(part, (TextPart, ReasoningPart)) else ""


def skeleton_of(part: Part) -> Part:
    """The skeleton of a part: what is told in pieces is left out."""
    if isinstance(part, ToolCallPart):
        return attrs.evolve(part, arguments="")
    if isinstance(part, TextPart):
        return attrs.evolve(part, text="", citations=(), logprobs=())
    return attrs.evolve(part, text="") if isinstance(part, ReasoningPart) else part


def as_open(part: Part, told: Part) -> Part:
    """The part, of the kind of summary or raw reasoning that its pieces were."""
    if isinstance(part, ReasoningPart) and isinstance(told, ReasoningPart):
        return attrs.evolve(part, format=told.format)
    if isinstance(part, TextPart) and isinstance(told, TextPart):
        return attrs.evolve(part, refusal=told.refusal)
    return part


def with_told(part: Part, told: Part) -> Part:
    """The part as it ends, with what only its pieces had."""
    if isinstance(part, TextPart) and isinstance(told, TextPart):
        return attrs.evolve(
            part,
            text=part.text or told.text,
            citations=part.citations or told.citations,
            logprobs=part.logprobs or told.logprobs,
        )
    if isinstance(part, ReasoningPart) and isinstance(told, ReasoningPart):
        return attrs.evolve(part, text=part.text or told.text)
    if isinstance(part, ToolCallPart) and isinstance(told, ToolCallPart):
        return attrs.evolve(
            part,
            id=part.id or told.id,
            name=part.name or told.name,
            arguments=part.arguments or told.arguments,
        )
    return part
