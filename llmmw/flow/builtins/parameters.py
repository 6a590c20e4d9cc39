"""What builtins that ask for text take besides the prompt, and the request that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, get_args

import attrs

from llmmw._capabilities import Capabilities
from llmmw._messages import Message
from llmmw._output import OutputFormat
from llmmw._parts import Part, TextPart
from llmmw._request import Generate, Reasoning, Request, conversation, generate_of
from llmmw._tools import ToolNames
from llmmw.errors import BadRequest
from llmmw.flow._here import here

__all__ = [
    "Common",
    "Healing",
    "Parameters",
    "able",
    "as_text",
    "can",
    "healed",
    "messages_of",
    "request_of",
]

Healing = Literal["none", "space"]


class Common(TypedDict, total=False):
    """What all builtins take that have a model answer; `None` leaves it to the provider."""

    model: str | None
    """The target, `"provider:model"`; default: the client's first."""
    system: str | None
    """Instructions that stand before the conversation."""
    temperature: float | None
    seed: int | None
    """The samples of a `repeat` have this and the numbers after it."""
    reasoning: Reasoning | str | Mapping[str, object] | None
    metadata: Mapping[str, str] | None
    extra: Mapping[str, Mapping[str, object]] | None
    unsupported: Literal["error", "drop", "emulate"] | None
    raw: bool | None
    """The prompt is text that the model goes on with, as completion models take it, without any
    template of a chat. Messages are joined."""
    healing: Healing | None
    """`space`: a prompt is sent without the spaces at its end, which models have seldom seen
    there, and the answer to it comes without those at its beginning."""


class Parameters(Common, total=False):
    """What builtins take that ask for text: what is common to all, and fields of `Generate`."""

    max_output_tokens: int | None
    max_tokens: int | None
    """Another name of `max_output_tokens`."""
    stop_sequences: str | Sequence[str] | None
    stop: str | Sequence[str] | None
    """Another name of `stop_sequences`."""
    top_p: float | None
    top_k: int | None
    min_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    repetition_penalty: float | None
    logit_bias: Mapping[str, float] | None
    logprobs: int | None
    output: OutputFormat | type[object] | Mapping[str, object] | str | None
    """The form that the text is held to: a type, `"json"`, a schema, `{"regex": …}`, …"""
    tools: Sequence[object] | None
    tool_choice: Literal["auto", "none", "required"] | ToolNames | None
    parallel_tool_calls: bool | None


def request_of(
    prompt: object, *, raw: bool | None = None, healing: Healing | None = None, **parameters: Any
) -> tuple[Generate, bool]:
    """The request for a prompt; and whether the answer is to lose the spaces it begins with.

    Args:
        prompt: text, a message, a conversation, or parts of one message; or a `Generate`.
        raw: as in `Parameters`.
        healing: as in `Parameters`.
        parameters: fields of `Generate`.

    Raises:
        BadRequest: for what can't be taken.
    """
    request = generate_of(_whole(prompt), **parameters)
    if raw and request.prompt is None:
        joined = "".join(as_text(one.parts, "raw=True") for one in request.messages)
        request = attrs.evolve(request, messages=(), prompt=joined)
    return healed(request) if healing == "space" else (request, False)


def messages_of(prompt: object, system: str | None = None) -> tuple[Message, ...]:
    """The messages of a prompt: text, a message, a conversation, or parts of one message.

    Raises:
        BadRequest: for what is none of these.
    """
    return conversation(_whole(prompt), system=system)


def _whole(prompt: object) -> object:
    """The parts of a message as one; all else as it is."""
    if isinstance(prompt, Sequence) and _are_parts(prompt):
        return Message("user", tuple(prompt))
    return prompt


def _are_parts(several: Sequence[Any]) -> bool:
    """Whether these are the parts of one message; several texts are messages."""
    kinds = get_args(Part)
    is_part = [isinstance(one, kinds) for one in several]
    given = zip(several, is_part, strict=True)
    return any(is_part) and all(part or isinstance(one, str) for one, part in given)


def as_text(parts: Sequence[Part], where: str) -> str:
    """Parts that are nothing but text, as text.

    Raises:
        BadRequest: for others.
    """
    for one in parts:
        if not isinstance(one, TextPart):
            raise BadRequest(f"{where} takes text alone, and no {one.kind}")
    return "".join(one.text for one in parts if isinstance(one, TextPart))


def healed(request: Generate) -> tuple[Generate, bool]:
    """The request without the spaces at its end; whether there were any."""
    if request.prompt is not None:
        bare = request.prompt.rstrip(" ")
        return request.replace(prompt=bare), bare != request.prompt
    *before, last = request.messages
    part = last.parts[-1] if last.parts else None
    if not isinstance(part, TextPart) or not part.text.endswith(" "):
        return request, False
    bare_part = attrs.evolve(part, text=part.text.rstrip(" "))
    changed = attrs.evolve(last, parts=(*last.parts[:-1], bare_part))
    return request.replace(messages=(*before, changed)), True


def able(model: str | None) -> Capabilities:
    """What is known of the target that the client in force asks."""
    scope = here().scope
    client = scope.registry.client or scope.run.client
    target = model or next(iter(client.targets), "")
    found: Capabilities = client.capabilities(target) if target else Capabilities()
    return found


def can(kind: type[Request], builtin: str, model: str | None) -> bool:
    """Whether a builtin that asks for this kind of answer may be used: something else carries it
    out here, or the target answers such requests, or nobody knows."""
    if builtin in here().scope.registry.bindings:
        return True
    kinds = able(model).kinds
    return kinds is None or kind in kinds
