"""Recorded requests of the Responses API."""

from __future__ import annotations

from typing import Any

from llmmw._messages import Message
from llmmw._output import JsonObject, JsonSchema
from llmmw._parts import OpaquePart, ToolCallPart, ToolResultPart
from llmmw._request import Generate, Reasoning
from llmmw._tools import ServerTool, Tool, ToolNames
from llmmw.testing.conformance._asked import blocks_of, function_of, request
from llmmw.testing.conformance._recorded import bare

__all__ = ["responses_asked", "responses_normal"]

Json = dict[str, Any]

_PARAMETERS = {
    "max_output_tokens": "max_output_tokens",
    **{name: name for name in ("temperature", "top_p", "parallel_tool_calls")},
}
_WORDS = {"auto", "none", "required"}


def responses_asked(body: Json, name: str) -> Generate:
    """Our request for a recorded one."""
    own = f"{name.removesuffix('-responses')}-responses"
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    said = [_message(item, own) for item in items]
    if body.get("instructions"):
        said.insert(0, Message("system", body["instructions"]))
    fields: Json = {"messages": said}
    read = ["model", "stream", "background", "input", "instructions"]
    if body.get("tools"):
        read.append("tools")
        fields["tools"] = [_tool(one, name) for one in body["tools"]]
        choice = body.get("tool_choice")
        if choice in _WORDS if isinstance(choice, str) else False:
            fields["tool_choice"] = choice
            read.append("tool_choice")
        elif isinstance(choice, dict) and choice.get("type") == "function":
            fields["tool_choice"] = ToolNames((choice["name"],))
            read.append("tool_choice")
    thinking = body.get("reasoning") or {}
    if thinking and thinking.keys() <= {"effort", "summary"}:
        fields["reasoning"] = Reasoning(**thinking)
        read.append("reasoning")
    text = body.get("text") or {}
    form = dict(text.get("format") or {})
    if text.keys() == {"format"} and form.pop("type") in {"json_schema", "json_object"}:
        fields["output"] = JsonSchema(**form) if form else JsonObject()
        read.append("text")
    named = {**_PARAMETERS}
    if not body.get("tools"):
        del named["parallel_tool_calls"]
    return request(body, name, named, fields, read)


def _message(item: Json, own: str) -> Message:
    kind = item.get("type", "message")
    role: Any = {"developer": "system"}.get(item.get("role", ""), item.get("role", ""))
    if kind == "function_call":
        read = {"type", "call_id", "name", "arguments"}
        rest = {name: one for name, one in item.items() if name not in read}
        call = ToolCallPart(
            id=item["call_id"],
            name=item["name"],
            arguments=item["arguments"],
            extra={own: {"item": rest}} if rest else {},
        )
        return Message("assistant", (call,))
    if kind == "function_call_output" and item.keys() == {"type", "call_id", "output"}:
        content = blocks_of(item["output"], own)
        return Message("tool", (ToolResultPart(call_id=item["call_id"], content=content),))
    if kind == "message" and role in {"user", "system"} and item.keys() <= _PLAIN:
        return Message(role, blocks_of(item["content"], own))
    answered = role == "assistant" or kind == "reasoning" or kind.endswith("_call")
    part = OpaquePart(provider=own, type=kind, data=item)
    return Message("assistant" if answered else "user", (part,))


_PLAIN = {"type", "role", "content"}


def _tool(told: Json, own: str) -> Tool | ServerTool:
    rest = {name: one for name, one in told.items() if name != "type"}
    if told["type"] != "function":
        return ServerTool(told["type"], own, rest)
    return function_of(rest, "parameters", own)


def responses_normal(body: Json) -> Json:
    """A body with one form for each content. The same are: what says nothing and what is not there;
    a text and a list of texts; `developer` and `system`; instructions and a first message of the
    system; a tool that is not strict, told or not (we tell it); arguments that are empty and `{}`;
    what is included, in any order. We
    ask for sealed reasoning wherever a model may reason. Whether the host works in the background
    is as it is with streams: the case says how the answer comes."""
    told: Json = bare(body)
    if told.get("stream") is False:
        del told["stream"]
    told.pop("background", None)
    given = told["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    items = [_item(item) for item in items]
    if system := told.pop("instructions", ""):
        items.insert(0, {"role": "system", "content": system})
    told["input"] = items
    told["include"] = sorted({*told.get("include", ()), "reasoning.encrypted_content"})
    for tool in told.get("tools", ()):
        if tool["type"] == "function":
            tool.setdefault("parameters", {"type": "object"})
            if tool.get("strict") is False:
                del tool["strict"]
            if tool.get("description") == "":
                del tool["description"]
    if told.get("tool_choice") == "auto":
        del told["tool_choice"]
    return told


def _item(item: Json) -> Json:
    told = dict(item)
    if told.get("type") == "message":
        del told["type"]
    if "role" in told:
        told["role"] = {"developer": "system"}.get(told["role"], told["role"])
    if told.get("arguments") == "":
        told["arguments"] = "{}"
    for name in ("content", "output"):
        blocks = told.get(name)
        if isinstance(blocks, list) and all(_is_text(block) for block in blocks):
            told[name] = "".join(block["text"] for block in blocks)
    return told


def _is_text(block: Json) -> bool:
    kind = block.get("type")
    return kind in {"input_text", "output_text"} and block.keys() == {"type", "text"}
