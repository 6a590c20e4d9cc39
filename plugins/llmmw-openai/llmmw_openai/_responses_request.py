"""Requests as the Responses API has them. Pure: a request and a host's row give a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmmw import (
    Choice,
    CountTokens,
    Generate,
    Grammar,
    JsonObject,
    Message,
    Reasoning,
    TextPart,
)
from llmmw.wire import Losses
from llmmw_openai._preset import Preset
from llmmw_openai._request import native_output
from llmmw_openai._responses_input import Items
from llmmw_openai._tools import tools_of

__all__ = ["count_body", "responses_body"]

Json = dict[str, Any]


def responses_body(
    request: Generate,
    preset: Preset,
    losses: Losses,
    *,
    stream: bool,
    extra: Sequence[str],
    reasons: bool = True,
) -> Json:
    """The body of a request for a response.

    Args:
        request: what is asked.
        preset: the host.
        losses: takes what the host can't honour.
        stream: whether the answer comes in pieces; one in the background does always, since its
            pieces are the only word that it goes on.
        extra: the names under which `request.extra` may hold fields for this host.
        reasons: whether the model may reason.

    Raises:
        UnsupportedFeature: for what the host can't honour, unless the request lets it be dropped.
    """
    further: Json = {}
    for name in extra:
        further |= dict(request.extra.get(name, {}))
    stored = further.get("store") is not False
    system, messages = _system(request.messages, preset.own)
    body: Json = {"model": request.model_name}
    if system:
        body["instructions"] = system
    body["input"] = Items(preset.own, losses, stored).of(messages)
    for name in ("max_output_tokens", "temperature", "top_p"):
        if getattr(request, name) is not None:
            body[name] = getattr(request, name)
    body |= _output(request, preset, losses)
    body |= _reasoning(request.reasoning, preset, losses)
    body |= tools_of(request, preset, losses, names=extra, flat=True)
    include = ["message.output_text.logprobs"] if request.logprobs is not None else []
    if request.logprobs is not None:
        body["top_logprobs"] = request.logprobs
    if reasons and (request.reasoning is not None or not stored):
        include.append("reasoning.encrypted_content")  # else it could not be sent back
    if include:
        body["include"] = include
    if stream or further.get("background") is True:
        body["stream"] = True
    return _merged(body, further)


_NOT_COUNTED = ("background", "include", "store", "stream")


def count_body(
    request: CountTokens, preset: Preset, losses: Losses, *, extra: Sequence[str]
) -> Json:
    """The body of a request that asks how many tokens a prompt has."""
    asked = Generate(
        model=request.model, messages=request.messages, tools=request.tools, extra=request.extra
    )
    body = responses_body(asked, preset, losses, stream=False, extra=extra)
    return {name: told for name, told in body.items() if name not in _NOT_COUNTED}


def _merged(body: Json, further: Mapping[str, Any]) -> Json:
    """The body with fields of the caller's. They replace what stands there, but are added to
    objects (`text`, `reasoning`) and to what is included."""
    for name, given in further.items():
        before = body.get(name)
        if isinstance(before, dict) and isinstance(given, Mapping):
            body[name] = before | dict(given)
        elif name == "include" and before and isinstance(given, (list, tuple)):
            body[name] = list(dict.fromkeys([*before, *given]))
        else:
            body[name] = given
    return body


def _system(messages: Sequence[Message], own: str) -> tuple[str, Sequence[Message]]:
    """The instructions that a conversation begins with, if they are plain text, and the rest."""
    if not messages or messages[0].role != "system" or len(messages) == 1:
        return "", messages
    parts = messages[0].parts
    if not all(isinstance(part, TextPart) and not part.extra.get(own) for part in parts):
        return "", messages
    return "".join(part.text for part in parts if isinstance(part, TextPart)), messages[1:]


def _output(request: Generate, preset: Preset, losses: Losses) -> Json:
    output = request.output
    if output is None:
        return {}
    if preset.grammar == "grammar":
        return native_output(output, preset, losses)
    if isinstance(output, (Grammar, Choice)):
        what = "a choice" if isinstance(output, Choice) else f"a {output.syntax} grammar"
        losses.drop(f"{what} as output")
        return {}
    if isinstance(output, JsonObject):
        return {"text": {"format": {"type": "json_object"}}}
    told: Json = {"type": "json_schema", "name": output.name, "schema": dict(output.schema)}
    if output.description:
        told["description"] = output.description
    if output.strict is not None:
        told["strict"] = output.strict
    return {"text": {"format": told}}


def _reasoning(asked: Reasoning | None, preset: Preset, losses: Losses) -> Json:
    if asked is None:
        return {}
    told: Json = {} if asked.effort is None else {"effort": asked.effort}
    if asked.max_tokens is not None and preset.reasoning == "object":
        told["max_tokens"] = asked.max_tokens
    elif asked.max_tokens is not None:
        losses.drop("reasoning.max_tokens")
    if asked.summary not in {None, "none"}:
        told["summary"] = asked.summary
    return {"reasoning": told} if told else {}
