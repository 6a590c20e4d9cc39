"""Requests as the wire has them. Pure: a request and a model's row give a body and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmmw import Embed, Generate, JsonObject, JsonSchema, Reasoning, ServerTool, Tool, ToolNames
from llmmw.errors import BadRequest
from llmmw.wire import Losses
from llmmw_mistral._messages import messages_of
from llmmw_mistral._models import Model
from llmmw_mistral._values import NAME, objects_of, own, text_of

__all__ = ["begun_in", "body_of", "embed_body"]

Json = dict[str, Any]

_WIRE = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "random_seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "n": "n",
}


def body_of(
    request: Generate, model: Model, losses: Losses, *, stream: bool, extra: Sequence[str]
) -> Json:
    """The body of a chat; or, if the request has a prompt, of code to fill in behind it.

    Args:
        request: what is asked.
        model: the row of the model.
        losses: takes what the host can't honour.
        stream: whether the answer comes in pieces.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        UnsupportedFeature: for what the host can't honour, unless the request lets it be dropped.
        BadRequest: for a request that no model could honour.
    """
    body: Json = {"model": request.model_name}
    if request.prompt is not None:
        body["prompt"] = request.prompt
    else:
        body["messages"] = messages_of(request.messages, losses)
    body |= _sampling(request)
    body |= _output(request, losses)
    if request.reasoning is not None:
        body |= _reasoning(request.reasoning, model, losses)
    body |= _tools(request, losses)
    if stream:
        body["stream"] = True
    return _with_extra(body, request, extra)


def embed_body(
    request: Embed, inputs: Sequence[str], losses: Losses, *, extra: Sequence[str]
) -> Json:
    """The body of a request for vectors; arguments and errors as of `body_of`."""
    body: Json = {"model": request.model_name, "input": list(inputs)}
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    if request.purpose is not None:
        losses.drop("the purpose of an embedding")
    return _with_extra(body, request, extra)


def _with_extra(body: Json, request: Generate | Embed, extra: Sequence[str]) -> Json:
    for name in extra:
        body |= dict(request.extra.get(name, {}))
    return body


def begun_in(body: Json) -> str:
    """The beginning of an answer that a body ends with, which the host repeats; or nothing."""
    *_, last = {}, *objects_of(body.get("messages"))
    if last.get("role") != "assistant" or not last.get("prefix"):
        return ""
    content = last.get("content")
    return text_of(content) or "".join(text_of(one.get("text")) for one in objects_of(content))


def _sampling(request: Generate) -> Json:
    given = {wire: getattr(request, name) for name, wire in _WIRE.items()}
    body = {wire: number for wire, number in given.items() if number is not None}
    if request.stop_sequences:
        body["stop"] = list(request.stop_sequences)
    return body


def _output(request: Generate, losses: Losses) -> Json:
    output = request.output
    if output is None:
        return {}
    if isinstance(output, JsonObject):
        return {"response_format": {"type": "json_object"}}
    if not isinstance(output, JsonSchema):
        losses.drop(f"{type(output).__name__} as output; a JsonSchema it can")
        return {}
    named: Json = {"name": output.name, "schema": dict(output.schema)}
    if output.description:
        named["description"] = output.description
    if output.strict is not None:
        named["strict"] = output.strict
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _reasoning(asked: Reasoning, model: Model, losses: Losses) -> Json:
    for name in ("max_tokens", "summary"):
        if getattr(asked, name) is not None:
            losses.drop(f"reasoning.{name}")
    effort = asked.effort
    if effort is None:
        return {}
    if model.thinks != "always":
        if model.efforts and effort not in model.efforts:
            losses.note(f"thinks or does not: reasoning.effort={effort!r} is taken for 'high'")
            effort = "high"
        return {"reasoning_effort": effort}
    if effort == "none":
        losses.drop("reasoning.effort='none', as this model always thinks")
        return {}
    losses.note(f"thinks as it is made to: reasoning.effort={effort!r} is taken for yes")
    return {"prompt_mode": "reasoning"}


def _tools(request: Generate, losses: Losses) -> Json:
    choice, tools = request.tool_choice, list(request.tools)
    if isinstance(choice, ToolNames):
        unknown = set(choice.names) - {one.name for one in tools if isinstance(one, Tool)}
        if unknown or not choice.names:
            named = repr(min(unknown)) if unknown else "nothing"
            raise BadRequest(f"tool_choice names {named}, which is no tool given")
        if len(choice.names) > 1 or choice.mode != "required":
            # The model is told of no others, which limits its choice as well.
            tools = [one for one in tools if isinstance(one, Tool) and one.name in choice.names]
            choice = choice.mode
    told = [one for tool in tools if (one := _tool(tool, losses)) is not None]
    if not told:
        if choice == "required":
            losses.drop("tool_choice='required' without a tool")
        return {}
    body: Json = {"tools": told}
    if isinstance(choice, ToolNames):
        body["tool_choice"] = {"type": "function", "function": {"name": choice.names[0]}}
    elif choice is not None:
        body["tool_choice"] = "any" if choice == "required" else choice
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _tool(tool: Tool | ServerTool, losses: Losses) -> Json | None:
    if isinstance(tool, ServerTool):
        if tool.provider == NAME:
            return {"type": tool.type, **tool.config}
        losses.drop(f"the tool {tool.type!r} of {tool.provider}")
        return None
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function: Json = {"name": tool.name, "description": tool.description, "parameters": parameters}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function} | own(tool.extra)
