"""Tools as the wire has them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmmw import (
    Generate,
    Message,
    ServerTool,
    Tool,
    ToolCallPart,
    ToolNames,
    ToolResultPart,
)
from llmmw.errors import BadRequest
from llmmw.wire import Losses
from llmmw_bedrock._models import Model
from llmmw_bedrock._values import NAME, own

__all__ = ["declared", "tools_of", "used"]

Json = dict[str, Any]


def tools_of(request: Generate, model: Model, losses: Losses, *, forced: bool) -> tuple[Json, Json]:
    """The field `toolConfig`, and what the model is told in fields of its own.

    Args:
        request: what is asked.
        model: the row of the model.
        losses: takes what the model can't honour.
        forced: whether it can be told to call a tool, as it is asked here.

    Raises:
        UnsupportedFeature: for what the model can't honour, unless the request lets it be dropped.
        BadRequest: for a choice of tools that are not given.
    """
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
    told = declared(tools, losses)
    if choice == "none" or not told:
        if choice == "required":
            losses.drop("tool_choice='required' without a tool")
        return _none(request, told, model, losses)
    if choice not in (None, "auto") and not forced:
        losses.drop("a call of a tool that is forced, as it is asked here")
        choice = None
    return _chosen(told, choice, request.parallel_tool_calls, model)


def _chosen(
    told: list[Json], choice: str | ToolNames | None, parallel: bool | None, model: Model
) -> tuple[Json, Json]:
    config: Json = {"tools": told}
    if isinstance(choice, ToolNames):
        config["toolChoice"] = {"tool": {"name": choice.names[0]}}
    elif choice is not None and (parallel is None or choice == "required"):
        config["toolChoice"] = {{"required": "any"}.get(choice, choice): {}}
    if parallel is None or model.dialect != "anthropic":
        return {"toolConfig": config}, {}
    # Only the model's own field says it. It has a type where the wire's field has none.
    kind = {} if "toolChoice" in config else {"type": "auto"}
    return {"toolConfig": config}, {
        "tool_choice": kind | {"disable_parallel_tool_use": not parallel}
    }


def _none(request: Generate, told: list[Json], model: Model, losses: Losses) -> tuple[Json, Json]:
    """What is said where no tool may be called: the wire has no word for that.

    The host wants tools declared if the messages have calls of them.
    """
    known = used(request.messages)
    if not known:
        return {}, {}
    config: Json = {"toolConfig": {"tools": told or known}}
    if model.dialect == "anthropic":
        return config, {"tool_choice": {"type": "none"}}
    if request.tool_choice == "none":
        losses.drop("tool_choice='none' beside messages that have calls")
    else:
        losses.note("can't be kept from calling the tools that the messages have calls of")
    return config, {}


def declared(tools: Sequence[Tool | ServerTool], losses: Losses) -> list[Json]:
    """The tools as the host is told of them."""
    rows: list[Json] = []
    for tool in tools:
        if isinstance(tool, ServerTool):
            if tool.provider == NAME:
                rows.append({tool.type: dict(tool.config)})
            else:
                losses.drop(f"the tool {tool.type!r} of {tool.provider}")
            continue
        more = own(tool.extra)
        point = more.pop("cachePoint", None)
        rows.append({"toolSpec": _spec(tool) | more})
        rows += [] if point is None else [{"cachePoint": point}]
    return rows


def _spec(tool: Tool) -> Json:
    schema = {"type": "object"} | dict(tool.parameters)
    schema = schema if tool.parameters else schema | {"properties": {}}
    told: Json = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description.strip():
        told["description"] = tool.description
    if tool.strict is not None:
        told["strict"] = tool.strict
    return told


def used(messages: Sequence[Message]) -> list[Json]:
    """The tools that messages have calls of, in name only."""
    parts = [part for message in messages for part in message.parts]
    calls = [part for part in parts if isinstance(part, (ToolCallPart, ToolResultPart))]
    told = [part.name for part in calls if not part.server]
    names = dict.fromkeys([name for name in told if name] or ["tool"] * bool(told))
    schema = {"json": {"type": "object"}}
    return [{"toolSpec": {"name": name, "inputSchema": schema}} for name in names]
