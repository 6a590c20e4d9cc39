"""Requests as the wire has them. Pure: a request gives a path, a body and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from llmmw import Generate, JsonObject, JsonSchema, Reasoning, Request, ServerTool, Tool, ToolNames
from llmmw.errors import BadRequest
from llmmw.plugin import Capabilities, honour
from llmmw.wire import Losses
from llmmw_ollama._messages import NAME, messages_of
from llmmw_ollama._values import own

__all__ = ["PARAMETERS", "Defaults", "asked_of"]

Json = dict[str, Any]

_OPTIONS = {
    "max_output_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repeat_penalty",
}
_BESIDE = {"prompt", "stop_sequences", "logprobs", "output", "reasoning", "tools", "tool_choice"}
PARAMETERS = frozenset({*_OPTIONS, *_BESIDE})
"""The optional parameters of `Generate` that the wire has a place for."""

_TEMPLATED = {"template", "system", "context", "suffix"}
"""Fields that mean something only to a prompt that goes through the model's template."""
_EFFORTS = {"minimal": "low", "xhigh": "high"}
"""Words for an effort that the host lacks, and its nearest."""


@attrs.frozen(kw_only=True)
class Defaults:
    """What each request of a provider has, unless it says otherwise itself.

    Args:
        names: the names under which `request.extra` may hold fields for this host.
        options: the field `options`.
        keep_alive: how long the model stays in memory.
    """

    names: Sequence[str] = (NAME,)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    keep_alive: str | float | None = None

    def extended(self, body: Json, request: Request) -> Json:
        """A body with these, and with the fields that a request has for this host; objects are
        merged field by field, so that one of `options` leaves the others as they are."""
        told = _merged({"options": dict(self.options)} if self.options else {}, body)
        if self.keep_alive is not None:
            told["keep_alive"] = self.keep_alive
        return _merged(told, self.fields(request))

    def fields(self, request: Request) -> Json:
        """The fields that a request has for this host."""
        told: Json = {}
        for name in self.names:
            told = _merged(told, request.extra.get(name, {}))
        return told


def _merged(one: Json, other: Mapping[str, Any]) -> Json:
    told = dict(one)
    for name, value in other.items():
        both = isinstance(value, Mapping) and isinstance(told.get(name), dict)
        told[name] = _merged(told[name], value) if both else value
    return told


def asked_of(
    request: Generate, losses: Losses, defaults: Defaults, *, stream: bool
) -> tuple[str, Json]:
    """The path and the body of a request for an answer. What is too long for the model's context
    is refused by the host; it would leave out the oldest messages, if nobody told it not to.

    Args:
        request: what is asked.
        losses: takes what the host can't honour.
        defaults: what each request has.
        stream: whether the answer comes in pieces.

    Raises:
        UnsupportedFeature: for what the host can't honour, unless the request lets it be dropped.
        BadRequest: for a request that says nothing.
    """
    body: Json = {"model": request.model_name, "stream": stream, "truncate": False}
    if request.prompt is None:
        path, said = "/api/chat", {"messages": messages_of(request.messages, losses)}
        said |= _tools(request, losses)
    else:
        path, said = "/api/generate", _prompt(request.prompt, defaults.fields(request))
        can = Capabilities(parameters=_of_prompt(raw="raw" in said))
        request, warnings = _honoured(request, can)
        losses.warnings += warnings
    body |= said | _output(request, losses) | _logprobs(request)
    if request.reasoning is not None:
        body["think"] = _think(request.reasoning, losses)
    options = _options(request)
    return path, defaults.extended(body | ({"options": options} if options else {}), request)


def _prompt(prompt: str, fields: Json) -> Json:
    """A prompt goes to the model as it is, unless a field asks for the model's template."""
    if not prompt:  # the host would load a model, and answer nothing
        raise BadRequest("the prompt is empty: this host answers nothing to that")
    raw = fields.get("raw", _TEMPLATED.isdisjoint(fields))
    return {"prompt": prompt} | ({"raw": True} if raw else {})


def _of_prompt(*, raw: bool) -> frozenset[str]:
    return PARAMETERS - {"tools", "tool_choice"} - ({"reasoning"} if raw else set())


def _honoured(request: Generate, can: Capabilities) -> tuple[Generate, tuple[str, ...]]:
    taken, warnings = honour(request, can, f"{request.model} with a prompt")
    assert isinstance(taken, Generate)
    return taken, warnings


def _options(request: Generate) -> Json:
    told = {wire: getattr(request, name) for name, wire in _OPTIONS.items()}
    told = {name: one for name, one in told.items() if one is not None}
    return told | ({"stop": list(request.stop_sequences)} if request.stop_sequences else {})


def _output(request: Generate, losses: Losses) -> Json:
    output = request.output
    if output is None:
        return {}
    if isinstance(output, JsonObject):
        return {"format": "json"}
    if not isinstance(output, JsonSchema):
        losses.drop(f"{type(output).__name__} as output; a JsonSchema it can")
        return {}
    described = {"description": output.description} if output.description else {}
    return {"format": described | dict(output.schema)}


def _logprobs(request: Generate) -> Json:
    if request.logprobs is None:
        return {}
    return {"logprobs": True} | ({"top_logprobs": request.logprobs} if request.logprobs else {})


def _think(asked: Reasoning, losses: Losses) -> bool | int | str:
    """A switch, a word for an effort, or a limit of tokens, which older servers refuse."""
    if asked.summary not in (None, "auto"):
        losses.drop(f"reasoning.summary={asked.summary!r}: its thoughts come as they are")
    if asked.max_tokens is not None:
        return asked.max_tokens
    if asked.effort is None or asked.effort == "none":
        return asked.effort is None
    known = _EFFORTS.get(asked.effort, asked.effort)
    if known != asked.effort:
        losses.note(f"takes reasoning.effort={asked.effort!r} for {known!r}")
    return known


def _tools(request: Generate, losses: Losses) -> Json:
    choice = request.tool_choice
    tools: Iterable[Tool | ServerTool] = request.tools
    if isinstance(choice, ToolNames):
        unknown = set(choice.names) - {one.name for one in tools if isinstance(one, Tool)}
        if unknown or not choice.names:
            named = repr(min(unknown)) if unknown else "nothing"
            raise BadRequest(f"tool_choice names {named}, which is no tool given")
        # The model is told of no others, which limits its choice as well.
        tools = [one for one in tools if isinstance(one, Tool) and one.name in choice.names]
        choice = choice.mode
    if choice == "required":
        losses.drop("a call of a tool that is forced")
    told = [one for tool in tools if (one := _tool(tool, losses)) is not None]
    return {"tools": told} if told and choice != "none" else {}


def _tool(tool: Tool | ServerTool, losses: Losses) -> Json | None:
    if isinstance(tool, ServerTool):
        losses.drop(f"the tool {tool.type!r} of {tool.provider}: it runs none")
        return None
    if tool.strict:
        losses.drop(f"strict arguments of the tool {tool.name!r}")
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function} | own(tool.extra, NAME)
