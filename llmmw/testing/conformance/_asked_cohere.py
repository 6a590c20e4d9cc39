"""Recorded requests of Cohere's wire."""

from __future__ import annotations

from typing import Any

import orjson

from llmmw._messages import Message
from llmmw._output import JsonObject, JsonSchema
from llmmw._parts import Part, ReasoningPart, ToolCallPart, ToolResultPart
from llmmw._request import Generate
from llmmw._tools import Tool
from llmmw.testing.conformance._asked import blocks_of, function_of, request
from llmmw.testing.conformance._recorded import bare

__all__ = ["cohere_asked", "cohere_normal"]

Json = dict[str, Any]

_PARAMETERS = {
    "max_tokens": "max_output_tokens",
    "stop_sequences": "stop_sequences",
    "p": "top_p",
    "k": "top_k",
    **{name: name for name in ("temperature", "seed", "frequency_penalty", "presence_penalty")},
}
_CHOICES = {"REQUIRED": "required", "NONE": "none"}
_FORMS = ({"type"}, {"type", "json_schema"}, {"type", "schema"})


def cohere_asked(body: Json, name: str) -> Generate:
    """Our request for a recorded one."""
    read = ["model", "messages", "stream"]
    fields: Json = {"messages": [_message(one, name) for one in body["messages"]]}
    if body.get("tools"):
        read.append("tools")
        fields["tools"] = [_tool(one, name) for one in body["tools"]]
        if body.get("tool_choice") in _CHOICES:
            read.append("tool_choice")
            fields["tool_choice"] = _CHOICES[body["tool_choice"]]
    form = bare(body.get("response_format") or {})
    if form.get("type") == "json_object" and form.keys() in _FORMS:
        read.append("response_format")
        schema = form.get("json_schema") or form.get("schema")
        fields["output"] = JsonSchema(schema) if schema else JsonObject()
    return request(body, name, _PARAMETERS, fields, read)


def _message(told: Json, own: str) -> Message:
    role: Any = {"developer": "system"}.get(told["role"], told["role"])
    if role == "tool":
        content = blocks_of(told.get("content"), own)
        return Message("tool", (ToolResultPart(call_id=told["tool_call_id"], content=content),))
    parts: list[Part] = []
    for block in _listed(told.get("content")):
        if block.keys() == {"type", "thinking"}:
            parts.append(ReasoningPart(block["thinking"]))
        else:
            parts += blocks_of([block], own)
    parts += [_call(one) for one in told.get("tool_calls") or ()]
    read = {"role", "content", "tool_calls"}
    rest = {name: one for name, one in told.items() if name not in read and one is not None}
    return Message(role, tuple(parts), extra={own: rest} if rest else {})


def _listed(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _call(told: Json) -> ToolCallPart:
    function = told["function"]
    return ToolCallPart(
        id=told["id"], name=function["name"], arguments=function.get("arguments") or "{}"
    )


def _tool(told: Json, own: str) -> Tool:
    return function_of(told["function"], "parameters", own)


def cohere_normal(body: Json) -> Json:
    """A body with one form for each content. The same are: what says nothing and what is not there;
    a text and a list of texts; arguments as any text of one object; the two names of a schema."""
    told: Json = bare(body)
    if told.get("stream") is False:
        del told["stream"]
    form = told.get("response_format", {})
    if "schema" in form:
        form["json_schema"] = form.pop("schema")
    for tool in told.get("tools", ()):
        tool.setdefault("type", "function")
        tool["function"].setdefault("parameters", {"type": "object"})
        if tool["function"].get("description") == "":
            del tool["function"]["description"]
    for message in told["messages"]:
        _plain(message)
    return told


def _plain(message: Json) -> None:
    message["role"] = {"developer": "system"}.get(message["role"], message["role"])
    blocks = message.get("content")
    if isinstance(blocks, list) and all(_is_text(block) for block in blocks):
        message["content"] = "".join(block["text"] for block in blocks)
    if message.get("content") == "":
        del message["content"]
    for call in message.get("tool_calls", ()):
        call.setdefault("type", "function")
        call["function"]["arguments"] = _parsed(call["function"].get("arguments") or "{}")


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _is_text(block: Json) -> bool:
    return block.keys() == {"type", "text"} and block["type"] == "text"
