"""Tools and their choice as the wire has them, for chats and for Responses. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from llmmw import Generate, ServerTool, Tool, ToolNames
from llmmw.errors import BadRequest
from llmmw.wire import Losses
from llmmw_openai._presets import Preset

__all__ = ["tools_of"]

Json = dict[str, Any]


def tools_of(
    request: Generate, preset: Preset, losses: Losses, *, names: Collection[str], flat: bool
) -> Json:
    """The fields of a body that are about tools.

    Args:
        request: what is asked.
        preset: the host.
        losses: takes what the host can't honour.
        names: the names under which tools may hold what is for this host alone.
        flat: whether a function stands in its tool itself, as Responses have it, or one deeper.
    """
    choice = request.tool_choice
    tools = list(request.tools)
    if isinstance(choice, ToolNames):
        unknown = set(choice.names) - {one.name for one in tools if isinstance(one, Tool)}
        if unknown or not choice.names:
            named = repr(min(unknown)) if unknown else "nothing"
            raise BadRequest(f"tool_choice names {named}, which is no tool given")
        single = len(choice.names) == 1 and choice.mode == "required"
        if not single and not preset.allowed_tools:
            # The model is told of no others, which limits its choice as well.
            tools = [one for one in tools if isinstance(one, Tool) and one.name in choice.names]
            choice = choice.mode
    if choice == "none" and "none" not in preset.tool_choices:
        tools, choice = [], None
    told = [one for tool in tools if (one := _tool(tool, names, losses, flat)) is not None]
    if not told:
        if choice == "required":
            losses.drop("tool_choice='required' without a tool")
        return {}
    body: Json = {"tools": told}
    if choice is not None:
        body |= _choice(choice, preset, losses, flat)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _tool(
    tool: Tool | ServerTool, names: Collection[str], losses: Losses, flat: bool
) -> Json | None:
    if isinstance(tool, ServerTool):
        if tool.provider in names:
            return {"type": tool.type, **tool.config}
        losses.drop(f"the tool {tool.type!r} of {tool.provider}")
        return None
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function: Json = {"name": tool.name, "description": tool.description, "parameters": parameters}
    if tool.strict is not None or flat:  # Responses take a missing word for yes
        function["strict"] = bool(tool.strict)
    told = {"type": "function"} | (function if flat else {"function": function})
    for name in names:
        told |= dict(tool.extra.get(name) or {})
    return told


def _choice(choice: str | ToolNames, preset: Preset, losses: Losses, flat: bool) -> Json:
    if isinstance(choice, str):
        if choice in preset.tool_choices:
            return {"tool_choice": choice}
        losses.drop(f"tool_choice={choice!r}")
        return {}
    named = [{"name": name} if flat else {"function": {"name": name}} for name in choice.names]
    functions = [{"type": "function"} | one for one in named]
    if len(functions) == 1 and choice.mode == "required":
        if "named" not in preset.tool_choices:
            losses.drop("a tool_choice by name")
            return {}
        return {"tool_choice": functions[0]}
    allowed = {"mode": choice.mode, "tools": functions}
    return {
        "tool_choice": {"type": "allowed_tools"} | (allowed if flat else {"allowed_tools": allowed})
    }
