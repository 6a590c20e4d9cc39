"""Requests as the wire has them. Pure: a request and a model's row give a body and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmmw import (
    Generate,
    JsonObject,
    JsonSchema,
    Reasoning,
    Request,
    ServerTool,
    Tool,
    ToolNames,
)
from llmmw.errors import BadRequest
from llmmw.wire import Losses
from llmmw_cohere._messages import conversation_of
from llmmw_cohere._models import Model
from llmmw_cohere._values import fields_of

__all__ = ["body_of", "with_extra"]

Json = dict[str, Any]

_MOST_STOPS = 5
_P = (0.01, 0.99)
_MOST_K = 500
_BUDGETS: Mapping[str, int | None] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": None,
    "max": None,
}
"""Efforts, which the host has no words for, as tokens; the largest are without a limit."""


def body_of(
    request: Generate, model: Model, losses: Losses, *, stream: bool, extra: Sequence[str]
) -> Json:
    """The body of a chat.

    Args:
        request: what is asked.
        model: the row of the model.
        losses: takes what the model can't honour.
        stream: whether the answer comes in pieces.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        UnsupportedFeature: for what the model can't honour, unless the request lets it be dropped.
        BadRequest: for a request that no model could honour.
    """
    body: Json = {"model": request.model_name, "stream": stream}
    body |= conversation_of(request.messages, losses, thinks=model.thinks)
    body |= _tools(request, losses)
    given = with_extra({}, request, extra)
    is_grounded = any({**body, **given}.get(name) for name in ("tools", "documents"))
    body |= _output(request, losses, is_grounded=is_grounded)
    body |= _sampling(request, losses)
    if request.reasoning is not None:
        body |= _thinking(request.reasoning, losses)
    if isinstance(given.get("documents"), list | tuple):
        given["documents"] = [*body.get("documents", ()), *given["documents"]]
    return body | given


def with_extra(body: Json, request: Request, extra: Sequence[str]) -> Json:
    """A body with the fields that only this host knows, merged last."""
    for name in extra:
        body |= dict(request.extra.get(name, {}))
    return body


def _output(request: Generate, losses: Losses, *, is_grounded: bool) -> Json:
    output = request.output
    if output is None:
        return {}
    if is_grounded:
        losses.drop("output beside tools or documents")
        return {}
    if isinstance(output, JsonObject):
        return {"response_format": {"type": "json_object"}}
    if not isinstance(output, JsonSchema):
        losses.drop(f"{type(output).__name__} as output; a JsonSchema it can")
        return {}
    schema = dict(output.schema)
    if output.description:
        schema.setdefault("description", output.description)
    return {"response_format": {"type": "json_object", "json_schema": schema}}


def _sampling(request: Generate, losses: Losses) -> Json:
    told: Json = {
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "p": request.top_p,
        "k": request.top_k,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "stop_sequences": list(request.stop_sequences) or None,
        "logprobs": None if request.logprobs is None else True,
    }
    told = {name: one for name, one in told.items() if one is not None}
    for name, least, most in (
        ("temperature", 0, 1),
        ("seed", 0, 2**63),
        ("frequency_penalty", 0, 1),
        ("presence_penalty", 0, 1),
    ):
        if not least <= told.get(name, least) <= most:
            losses.drop(f"{name}={told.pop(name)}: it goes from {least} to {most}")
    _bound("p", "top_p", told, _P, losses)
    _bound("k", "top_k", told, (0, _MOST_K), losses)
    if len(request.stop_sequences) > _MOST_STOPS:
        losses.drop(f"more than {_MOST_STOPS} stop_sequences")
        told["stop_sequences"] = told["stop_sequences"][:_MOST_STOPS]
    if request.parallel_tool_calls is False:
        losses.drop("parallel_tool_calls=False: the model decides")
    if request.logprobs:
        losses.drop(f"logprobs={request.logprobs}: it tells the chosen token alone, which is 0")
    return told


def _bound(name: str, ours: str, told: Json, limits: tuple[float, float], losses: Losses) -> None:
    """The nearest that the host takes, which differs by next to nothing."""
    given = told.get(name)
    if given is None:
        return
    least, most = limits
    told[name] = min(max(given, least), most)
    if told[name] != given:
        losses.note(f"takes {told[name]} for {ours}={given}: it goes from {least} to {most}")


def _thinking(reasoning: Reasoning, losses: Losses) -> Json:
    if reasoning.summary not in (None, "auto"):
        losses.drop(f"a summary ({reasoning.summary}) of its reasoning: it tells all")
    effort, budget = reasoning.effort, reasoning.max_tokens
    if effort == "none" or budget == 0:
        return {"thinking": {"type": "disabled"}}
    if effort is not None and effort not in _BUDGETS:
        losses.drop(f"reasoning of the effort {effort!r}; known are {', '.join(_BUDGETS)}")
        return {}
    if effort is not None:
        budget = _BUDGETS[effort]
    limit = {} if budget is None else {"token_budget": budget}
    return {"thinking": {"type": "enabled"} | limit}


def _tools(request: Generate, losses: Losses) -> Json:
    choice = request.tool_choice
    tools = list(request.tools)
    if isinstance(choice, ToolNames):
        unknown = set(choice.names) - {one.name for one in tools if isinstance(one, Tool)}
        if unknown or not choice.names:
            named = repr(min(unknown)) if unknown else "nothing"
            raise BadRequest(f"tool_choice names {named}, which is no tool given")
        # The host has no word for one tool: the model is told of no others.
        tools = [one for one in tools if isinstance(one, Tool) and one.name in choice.names]
        choice = choice.mode
    told = [_tool(tool) for tool in tools if isinstance(tool, Tool)]
    for tool in tools:
        if isinstance(tool, ServerTool):
            losses.drop(f"the tool {tool.type!r} of {tool.provider}: it runs none itself")
    if not told:
        if choice == "required":
            losses.drop("tool_choice='required' without a tool")
        return {}
    body: Json = {"tools": told} | _strict(tools, losses)
    if choice in {"required", "none"}:
        body["tool_choice"] = choice.upper()
    return body


def _tool(tool: Tool) -> Json:
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    function: Json = {"name": tool.name, "parameters": schema}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function} | fields_of(tool.extra)


def _strict(tools: Sequence[Tool | ServerTool], losses: Losses) -> Json:
    """The host follows the schemas of all tools to the letter, or of none."""
    asked = {tool.strict for tool in tools if isinstance(tool, Tool)} - {None}
    if len(asked) > 1:
        losses.drop("strict for some tools and not for others")
        return {}
    return {"strict_tools": asked.pop()} if asked else {}
