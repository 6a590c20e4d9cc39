"""Requests as the wire has them. Pure: a request and a model's row give a body and notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llmmw import (
    CountTokens,
    Generate,
    JsonSchema,
    Message,
    ServerTool,
    Tool,
    ToolCallPart,
    ToolNames,
    ToolResultPart,
)
from llmmw.errors import BadRequest
from llmmw.wire import closed_schema
from llmmw_anthropic._blocks import NAME
from llmmw_anthropic._messages import conversation_of
from llmmw_anthropic._models import Model
from llmmw_anthropic._notes import Notes
from llmmw_anthropic._parts import own
from llmmw_anthropic._thinking import thinking_of

__all__ = ["body_of", "count_body"]

Json = dict[str, Any]

_NAMES = {"text_editor": "str_replace_based_edit_tool"}
"""Tools of the host whose name is another than the beginning of their type."""


def body_of(
    request: Generate, model: Model, notes: Notes, *, stream: bool, extra: Sequence[str]
) -> Json:
    """The body of a message.

    Args:
        request: what is asked.
        model: the row of the model.
        notes: takes what the model can't honour, and the betas that are needed.
        stream: whether the answer comes in pieces.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        UnsupportedFeature: for what the model can't honour, unless the request lets it be dropped.
        BadRequest: for a request that no model could honour.
    """
    most = request.max_output_tokens or model.max_tokens
    body: Json = {"model": request.model_name, "max_tokens": most}
    if request.output is not None:
        body |= _output(request, notes)
    if request.reasoning is not None:
        body = _merged(body, thinking_of(request, request.reasoning, model, notes))
    thinking = body.get("thinking", {}).get("type")
    thinks = thinking in {"enabled", "adaptive"}
    formed = "format" in body.get("output_config", {})
    prefill = model.prefill and not thinks and not formed
    body |= conversation_of(request.messages, model, notes, prefill=prefill)
    body |= _sampling(request, model, notes, thinks=thinks)
    forced = model.forced_tools and thinking != "enabled"
    body |= _tools(request, notes, forced=forced)
    if stream:
        body["stream"] = True
    return _with_extra(body, request, extra, notes)


def count_body(request: CountTokens, model: Model, notes: Notes, *, extra: Sequence[str]) -> Json:
    """The body of a question for the number of tokens; arguments and errors as of `body_of`."""
    body: Json = {"model": request.model_name}
    body |= conversation_of(request.messages, model, notes, prefill=True)  # nothing is begun
    told = [one for tool in request.tools if (one := _tool(tool, notes)) is not None]
    if tools := told or _used(request.messages):
        body["tools"] = tools
    return _with_extra(body, request, extra, notes)


def _with_extra(
    body: Json, request: Generate | CountTokens, extra: Sequence[str], notes: Notes
) -> Json:
    for name in extra:
        body |= dict(request.extra.get(name, {}))
    betas = body.pop("betas", None) or ()
    if isinstance(betas, str) or not all(isinstance(beta, str) for beta in betas):
        raise BadRequest(f"betas={betas!r}: expected a list of names")
    notes.betas |= dict.fromkeys(betas)
    return body


def _merged(body: Json, more: Json) -> Json:
    """`output_config` has the form of the answer and the effort."""
    config = body.get("output_config", {}) | more.get("output_config", {})
    return body | more | ({"output_config": config} if config else {})


def _output(request: Generate, notes: Notes) -> Json:
    output = request.output
    if not isinstance(output, JsonSchema):
        notes.drop(f"{type(output).__name__} as output; a JsonSchema it can")
        return {}
    lost: dict[str, None] = {}
    schema = closed_schema(output.schema, lambda name: lost.setdefault(name))
    if lost:
        notes.note(f"is not bound by {', '.join(lost)} of the schema, only told of it")
    if output.description:
        schema.setdefault("description", output.description)
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _sampling(request: Generate, model: Model, notes: Notes, *, thinks: bool) -> Json:
    told = {name: getattr(request, name) for name in ("temperature", "top_p", "top_k")}
    told = {name: one for name, one in told.items() if one is not None}
    if thinks:
        for name, least in (("temperature", 1), ("top_p", 0.95), ("top_k", float("inf"))):
            if told.get(name, least) < least:
                notes.drop(f"{name}={told.pop(name)} while it thinks")
    if told.get("temperature", 0) > 1:
        notes.drop(f"temperature={told.pop('temperature')}: it goes to 1")
    if model.one_sampler and {"temperature", "top_p"} <= told.keys():
        notes.drop("temperature and top_p together")
        del told["top_p"]
    if request.stop_sequences:
        told["stop_sequences"] = list(request.stop_sequences)
    return told


def _tools(request: Generate, notes: Notes, *, forced: bool) -> Json:
    choice = request.tool_choice
    tools = list(request.tools)
    if isinstance(choice, ToolNames):
        unknown = set(choice.names) - {one.name for one in tools if isinstance(one, Tool)}
        if unknown or not choice.names:
            named = repr(min(unknown)) if unknown else "nothing"
            raise BadRequest(f"tool_choice names {named}, which is no tool given")
        if len(choice.names) > 1 or choice.mode == "auto":
            # The model is told of no others, which limits its choice as well.
            tools = [one for one in tools if isinstance(one, Tool) and one.name in choice.names]
            choice = choice.mode
    told = [one for tool in tools if (one := _tool(tool, notes)) is not None]
    if not told:
        if choice == "required":
            notes.drop("tool_choice='required' without a tool")
        # The host wants tools declared if the messages have calls of them.
        used = _used(request.messages)
        return {"tools": used, "tool_choice": {"type": "none"}} if used else {}
    if choice not in (None, "auto", "none") and not forced:
        notes.drop("a call of a tool that is forced, as it is asked here")
        choice = None
    return {"tools": told} | _tool_choice(choice, request.parallel_tool_calls)


def _tool(tool: Tool | ServerTool, notes: Notes) -> Json | None:
    if isinstance(tool, Tool):
        schema = {"type": "object"} | dict(tool.parameters)
        schema = schema if tool.parameters else schema | {"properties": {}}
        told: Json = {"name": tool.name, "description": tool.description, "input_schema": schema}
        if tool.strict is not None:
            told["strict"] = tool.strict
        return told | own(tool.extra)
    if tool.provider != NAME:
        notes.drop(f"the tool {tool.type!r} of {tool.provider}")
        return None
    dated = re.fullmatch("(.+)_[0-9]{8}", tool.type)
    named = {"name": _NAMES.get(dated[1], dated[1])} if dated else {}
    return {"type": tool.type} | named | dict(tool.config)


def _tool_choice(choice: str | ToolNames | None, parallel: bool | None) -> Json:
    if isinstance(choice, ToolNames):
        told: Json = {"type": "tool", "name": choice.names[0]}
    else:
        told = {"type": {"required": "any", None: "auto"}.get(choice, choice)}
    if parallel is not None and choice != "none":
        told["disable_parallel_tool_use"] = not parallel
    return {} if choice is None and parallel is None else {"tool_choice": told}


def _used(messages: Sequence[Message]) -> list[Json]:
    """The tools that messages have calls of, in name only."""
    parts = [part for message in messages for part in message.parts]
    calls = [part for part in parts if isinstance(part, (ToolCallPart, ToolResultPart))]
    names = dict.fromkeys(part.name or "tool" for part in calls if not part.server)
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]
