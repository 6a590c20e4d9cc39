"""Requests as the wire has them. Pure: a request and a host's row give a body and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmmw import (
    Choice,
    Embed,
    Generate,
    Grammar,
    JsonObject,
    JsonSchema,
    Reasoning,
)
from llmmw.wire import Losses, choice_grammar
from llmmw_openai._messages import messages_of
from llmmw_openai._prefill import going_on
from llmmw_openai._presets import Preset
from llmmw_openai._tools import tools_of

__all__ = ["TEXT_PARAMETERS", "body_of", "embed_body", "native_output"]

Json = dict[str, Any]

_NUMBERS = (
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "n",
)
_WIRE = {"max_output_tokens": "max_tokens"}

TEXT_PARAMETERS = frozenset(
    {*_NUMBERS, "prompt", "stop_sequences", "logit_bias", "logprobs", "output"}
)
"""The parameters that legacy Completions have, where the host honours them at all."""


def body_of(
    request: Generate, preset: Preset, losses: Losses, *, stream: bool, extra: Sequence[str]
) -> Json:
    """The body of a chat, or of a legacy completion if the request has a prompt.

    Args:
        request: what is asked.
        preset: the host.
        losses: takes what the host can't honour.
        stream: whether the answer comes in pieces.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        UnsupportedFeature: for what the host can't honour, unless the request lets it be dropped.
    """
    model = request.model_name
    body: Json = {"model": model}
    if request.prompt is not None:
        body["prompt"] = request.prompt
    else:
        body["messages"] = messages_of(request.messages, preset, losses)
    if not request.is_plain:
        body |= _sampling(request, preset)
        body |= _output(request, preset, losses)
        if request.reasoning is not None:
            body |= _reasoning(request.reasoning, preset, losses)
        body |= tools_of(request, preset, losses, names=(preset.name,), flat=False)
    if stream:
        body["stream"] = True
        if preset.usage_in_streams:
            body["stream_options"] = {"include_usage": True}
    how = going_on(preset.prefill, model, body)
    if how is not None:
        how.ask(body)
    for name in extra if request.extra else ():
        body |= dict(request.extra.get(name, {}))
    return body


def _sampling(request: Generate, preset: Preset) -> Json:
    body: Json = {}
    for name in _NUMBERS:
        number = getattr(request, name)
        if number is not None:
            body[_name(name, request, preset)] = number
    if request.stop_sequences:
        body["stop"] = list(request.stop_sequences)
    if request.logit_bias:
        body["logit_bias"] = dict(request.logit_bias)
    if request.logprobs is not None:
        body |= _logprobs(request.logprobs, preset, text=request.prompt is not None)
    return body


def _name(name: str, request: Generate, preset: Preset) -> str:
    if name == "max_output_tokens" and request.prompt is not None:
        return "max_tokens"  # legacy Completions know no other
    return preset.renamed.get(name) or _WIRE.get(name, name)


def _logprobs(count: int, preset: Preset, *, text: bool) -> Json:
    if preset.logprobs == "count":
        return {"logprobs": max(1, count)}
    if text:
        return {"logprobs": count}
    return {"logprobs": True} | ({"top_logprobs": count} if count else {})


def _output(request: Generate, preset: Preset, losses: Losses) -> Json:
    output = request.output
    if isinstance(output, (Grammar, Choice)):
        return _grammar(output, preset, losses)
    if output is None:
        return {}
    if request.prompt is not None and preset.grammar is None:
        losses.drop("output with a prompt")
        return {}
    form = "json" if isinstance(output, JsonObject) else "schema"
    if form not in preset.outputs:
        losses.drop(f"output of the form {form}")
        return {}
    if request.prompt is not None and preset.grammar == "grammar":
        return native_output(output, preset, losses)  # a response_format is read in chats only
    if isinstance(output, JsonObject):
        return {"response_format": {"type": "json_object"}}
    schema = dict(output.schema)
    if preset.schema == "flat":
        return {"response_format": {"type": "json_schema", "schema": schema}}
    return {"response_format": {"type": "json_schema", "json_schema": _named(output, schema)}}


def native_output(
    output: Grammar | Choice | JsonObject | JsonSchema, preset: Preset, losses: Losses
) -> Json:
    """An output in the fields of llama.cpp's own, which all of its APIs read."""
    if isinstance(output, (Grammar, Choice)):
        return _grammar(output, preset, losses)
    schema = {"type": "object"} if isinstance(output, JsonObject) else dict(output.schema)
    return {"json_schema": schema}


def _named(output: JsonSchema, schema: Json) -> Json:
    named: Json = {"name": output.name, "schema": schema}
    if output.description:
        named["description"] = output.description
    if output.strict is not None:
        named["strict"] = output.strict
    return named


def _grammar(output: Grammar | Choice, preset: Preset, losses: Losses) -> Json:
    place = preset.grammar
    if place == "structured_outputs":
        if isinstance(output, Choice):
            return {"structured_outputs": {"choice": list(output.options)}}
        kind = "regex" if output.syntax == "regex" else "grammar"
        return {"structured_outputs": {kind: output.text}}
    text = choice_grammar(output.options) if isinstance(output, Choice) else output.text
    if place is None or (isinstance(output, Grammar) and output.syntax != "gbnf"):
        what = "a choice" if isinstance(output, Choice) else f"a {output.syntax} grammar"
        losses.drop(f"{what} as output")
        return {}
    if place == "grammar":
        return {"grammar": text}
    return {"response_format": {"type": "grammar", "grammar": text}}


def _reasoning(asked: Reasoning, preset: Preset, losses: Losses) -> Json:
    if asked.summary is not None:
        losses.drop("reasoning.summary")
    effort, tokens = asked.effort, asked.max_tokens
    if preset.reasoning == "object":
        told = {"effort": effort, "max_tokens": tokens}
        told = {name: one for name, one in told.items() if one is not None}
        return {"reasoning": told} if told else {}
    if effort not in {None, "none"} and preset.reasoning in {"thinking", "enable_thinking"}:
        losses.note(f"thinks or does not: reasoning.effort={effort!r} is taken for yes")
    if preset.reasoning == "enable_thinking":
        told = {"enable_thinking": effort != "none", "thinking_budget": tokens}
        return {name: one for name, one in told.items() if one is not None}
    if tokens is not None:
        losses.drop("reasoning.max_tokens")
    if effort is None:
        return {}
    if preset.reasoning == "thinking":
        return {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}
    return {"reasoning_effort": effort}


def embed_body(
    request: Embed, inputs: Sequence[str], preset: Preset, losses: Losses, *, extra: Sequence[str]
) -> Json:
    """The body of a request for vectors."""
    body: Json = {"model": request.model_name, "input": list(inputs)}
    if preset.base64_vectors:
        body["encoding_format"] = "base64"
    if request.dimensions is not None:
        body[preset.renamed.get("dimensions", "dimensions")] = request.dimensions
    if request.purpose is not None and preset.purpose is None:
        losses.drop("the purpose of an embedding")
    elif request.purpose is not None and preset.purpose is not None:
        body[preset.purpose] = request.purpose
    for name in extra:
        body |= dict(request.extra.get(name, {}))
    return body
