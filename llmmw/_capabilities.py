"""What a model can do, and what becomes of a request that it can't honour as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import attrs

from llmmw._output import Choice, Grammar, JsonObject, JsonSchema, OutputFormat
from llmmw._parts import MediaPart
from llmmw._request import Generate, Request
from llmmw.errors import UnsupportedFeature

__all__ = ["Capabilities", "Media", "Output", "honour"]

Media: TypeAlias = Literal["image", "audio", "video", "document"]
"""What a `MediaPart` holds, by the word before the slash of its type; all else is a document."""

Output: TypeAlias = Literal["json", "schema", "grammar", "regex", "choice"]
"""A form of answer that a request can ask for with `output=`."""


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a model can do. `None` means that nobody knows, and nothing is checked."""

    kinds: frozenset[type[Request]] | None = None
    """The kinds of request that it answers."""
    parameters: frozenset[str] | None = None
    """The optional parameters of `Generate` that it honours: `tools`, `output`, `reasoning`,
    `logprobs`, `n`, `seed`, …"""
    media: frozenset[Media] | None = None
    """What it takes in messages besides text."""
    outputs: frozenset[Output] | None = None
    """The forms of `output` that it can be bound to, where it honours that parameter."""
    prefill: bool = False
    """Whether it goes on with an answer that was begun for it: the last message, if that is an
    assistant's."""
    bills_on_cancel: bool | None = None
    """Whether tokens are billed that it would have made after a call was cancelled."""
    input_limit: int | None = None
    """Tokens that a prompt may have."""
    output_limit: int | None = None
    """Tokens that an answer may have."""


def media_of(request: Request) -> Iterator[Media]:
    """What the messages of a request hold besides text."""
    for message in getattr(request, "messages", ()):
        for part in message.parts:
            if isinstance(part, MediaPart):
                yield _media(part.media_type)


_WORDS: Mapping[str, Media] = {"image": "image", "audio": "audio", "video": "video"}


def _media(media_type: str) -> Media:
    return _WORDS.get(media_type.partition("/")[0], "document")


def output_form(output: OutputFormat) -> Output:
    """The word for a form of answer."""
    if isinstance(output, JsonSchema):
        return "schema"
    if isinstance(output, JsonObject):
        return "json"
    if isinstance(output, Choice):
        return "choice"
    assert isinstance(output, Grammar)
    return "regex" if output.syntax == "regex" else "grammar"


def honour(request: Request, can: Capabilities, target: str) -> tuple[Request, tuple[str, ...]]:
    """The request as `target` can honour it, and a warning for each parameter dropped.

    Raises:
        UnsupportedFeature: for a kind it does not answer, or for a parameter it can't honour
            unless the request says `unsupported="drop"`.
    """
    if can.kinds is not None and type(request) not in can.kinds:
        known = ", ".join(sorted(kind.__name__ for kind in can.kinds))
        raise UnsupportedFeature(
            f"it does not answer {type(request).__name__}, only {known}; ask another target"
        )
    if can.parameters is None or not isinstance(request, Generate):
        return request, ()
    lost = [name for name in request.parameters() if name not in can.parameters]
    if not lost:
        return request, ()
    if request.unsupported == "error" or "prompt" in lost:
        raise UnsupportedFeature(
            f"it can't honour {', '.join(lost)}; leave it out, "
            'or pass unsupported="drop" to go on without it'
        )
    bare = {name: () if name in {"stop_sequences", "tools"} else None for name in lost}
    return request.replace(**bare), tuple(f"{target} can't honour {name}: dropped" for name in lost)
