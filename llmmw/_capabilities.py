"""What a model can do, and what becomes of a request that it can't honour as it is."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

import attrs

from llmmw._output import Choice, Grammar, JsonObject, JsonSchema, OutputFormat
from llmmw._parts import MediaPart, Part, ToolResultPart
from llmmw._request import Generate, Request, parameter_names
from llmmw.errors import UnsupportedFeature

__all__ = [
    "Capabilities",
    "Media",
    "Output",
    "check_admitted",
    "honour",
    "lacking",
    "output_form",
    "without",
]

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


def honour(request: Request, can: Capabilities, target: str) -> tuple[Request, tuple[str, ...]]:
    """The request as `target` can honour it by itself, and a warning for each loss.

    Raises:
        UnsupportedFeature: for a kind it does not answer, media it does not take, or a parameter
            it can't honour unless the request says `unsupported="drop"`.
    """
    check_admitted(request, can)
    if not isinstance(request, Generate):
        return request, ()
    return without(lacking(request, can), request, can, target)


def check_admitted(request: Request, can: Capabilities) -> None:
    """Refuse what can be neither dropped nor done in another way: kinds and media."""
    if can.kinds is not None and type(request) not in can.kinds:
        known = ", ".join(sorted(kind.__name__ for kind in can.kinds))
        raise UnsupportedFeature(
            f"it does not answer {type(request).__name__}, only {known}; ask another target"
        )
    if can.media is None:
        return
    for number, message in enumerate(getattr(request, "messages", ())):
        for part in message.parts:
            if isinstance(part, _HOLDERS):
                _check_media(part, can.media, f"messages[{number}] ({message.role})")


def _check_media(part: Part, known: frozenset[Media], where: str) -> None:
    for media in _media_in([part]):
        if media not in known:
            taken = f"text and {', '.join(sorted(known))}" if known else "text"
            raise UnsupportedFeature(
                f"{where} holds {media} and it takes only {taken}; "
                "leave it out, or ask another target"
            )


_HOLDERS = (MediaPart, ToolResultPart)
_WORDS: Mapping[str, Media] = {"image": "image", "audio": "audio", "video": "video"}


def _media_in(parts: Iterable[Part]) -> Iterator[Media]:
    """What parts hold besides text, the results of tools among them."""
    for part in parts:
        if isinstance(part, MediaPart):
            yield _WORDS.get(part.media_type.partition("/")[0], "document")
        elif isinstance(part, ToolResultPart):
            yield from _media_in(part.content)


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


def lacking(request: Generate, can: Capabilities) -> list[str]:
    """The parameters that are set and that it can't honour. One answer is what anybody gives."""
    lost: list[str] = []
    if can.parameters is not None and not (request.is_plain and request.prompt is None):
        lost = [name for name in _others(can.parameters) if request.has(name)]
        if request.n == 1 and "n" in lost:
            lost.remove("n")
    output, forms = request.output, can.outputs
    if output is None or forms is None or "output" in lost or output_form(output) in forms:
        return lost
    return [*lost, "output"]


@functools.lru_cache(1024)
def _others(parameters: frozenset[str]) -> tuple[str, ...]:
    """The parameters of a request beside some."""
    return tuple(name for name in parameter_names() if name not in parameters)


_BESIDE = {"tools": ("tool_choice", "parallel_tool_calls")}
"""What means nothing without a parameter and goes with it."""


def without(
    lost: list[str], request: Generate, can: Capabilities, target: str
) -> tuple[Generate, tuple[str, ...]]:
    """The request without what is lost, and with no more tokens than there can be; warnings.

    Raises:
        UnsupportedFeature: unless the request says `unsupported="drop"`.
    """
    limit, asked = can.output_limit, request.max_output_tokens
    is_over = limit is not None and asked is not None and asked > limit
    if not lost and not is_over:
        return request, ()
    is_over = is_over and "max_output_tokens" not in lost
    if request.unsupported != "drop" or "prompt" in lost:
        raise _refused(lost, request, can)
    lost = [*lost, *(n for one in lost for n in _BESIDE.get(one, ()) if _is_kept(n, request, lost))]
    bare: dict[str, object] = {
        name: () if name in {"stop_sequences", "tools"} else None for name in lost
    }
    warnings = [f"{target} can't honour {_named(name, request, can)}: dropped" for name in lost]
    if is_over:
        bare["max_output_tokens"] = limit
        warnings.append(f"{target} can't honour max_output_tokens={asked}: lowered to {limit}")
    return request.replace(**bare), tuple(warnings)


_EMULATED = {"output", "n", "stop_sequences"}


def _is_kept(name: str, request: Generate, lost: list[str]) -> bool:
    return name not in lost and getattr(request, name) is not None


def _refused(lost: list[str], request: Generate, can: Capabilities) -> UnsupportedFeature:
    if not lost:
        return UnsupportedFeature(
            f"it can't honour max_output_tokens={request.max_output_tokens}: its answers have at "
            f'most {can.output_limit}; ask for no more, or pass unsupported="drop" to have that'
        )
    named = ", ".join(_named(name, request, can) for name in lost)
    also = 'pass unsupported="drop" to go on without it'
    if request.unsupported == "error" and _EMULATED.issuperset(lost):
        also += ', or "emulate" to have it done as well as may be'
    return UnsupportedFeature(f"it can't honour {named}; leave it out, or {also}")


def _named(name: str, request: Generate, can: Capabilities) -> str:
    """A parameter, with the form of answer where it is that which can't be had."""
    if name != "output" or request.output is None or can.outputs is None:
        return name
    if can.parameters is not None and name not in can.parameters:
        return name
    return f"output of the form {output_form(request.output)}"
