"""Recorded requests of Anthropic's wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from llmmw._messages import Message
from llmmw._output import JsonSchema
from llmmw._parts import (
    CachePoint,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw._request import Generate, Reasoning
from llmmw._tools import ServerTool, Tool, ToolNames
from llmmw.testing.conformance._asked import function_of, media_of, request
from llmmw.testing.conformance._recorded import bare

__all__ = ["messages_asked", "messages_normal"]

Json = dict[str, Any]

_PARAMETERS = {
    "max_tokens": "max_output_tokens",
    "stop_sequences": "stop_sequences",
    **{name: name for name in ("temperature", "top_p", "top_k")},
}


def messages_asked(body: Json, name: str) -> Generate:
    """Our request for a recorded one."""
    read = ["model", "messages", "stream", "system", "tools"]
    rows = [*_system(body), *body["messages"]]
    said = [Message(row["role"], tuple(_parts(row["content"], name))) for row in rows]
    fields: Json = {"messages": said}
    fields["tools"] = [_tool(one, name) for one in body.get("tools") or ()]
    choice = body.get("tool_choice") or {}
    if choice and fields["tools"]:
        read.append("tool_choice")
        word = {"any": "required"}.get(choice["type"], choice["type"])
        fields["tool_choice"] = ToolNames((choice["name"],)) if word == "tool" else word
        if "disable_parallel_tool_use" in choice:
            fields["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    thinking = body.get("thinking") or {}
    if thinking.keys() == {"type", "budget_tokens"}:
        read.append("thinking")
        fields["reasoning"] = Reasoning(max_tokens=thinking["budget_tokens"])
    config = body.get("output_config") or {}
    if config.keys() == {"format"}:
        read.append("output_config")
        fields["output"] = JsonSchema(config["format"]["schema"])
    return request(body, name, _PARAMETERS, fields, read)


def _system(body: Json) -> list[Json]:
    return [{"role": "system", "content": body["system"]}] if body.get("system") else []


def _parts(content: Any, own: str) -> Iterator[Part]:
    if isinstance(content, str):
        yield TextPart(content)
        return
    for block in content:
        rest = dict(block)
        mark = rest.pop("cache_control", None)
        yield _part(rest, own)
        if mark is not None:
            yield CachePoint(mark.get("ttl"))


def _part(block: Json, own: str) -> Part:
    kind, told = block["type"], block.keys() - {"type"}
    if kind == "text" and told == {"text"}:
        return TextPart(block["text"])
    if kind == "thinking" and told == {"thinking", "signature"}:
        return ReasoningPart(block["thinking"], signature=block["signature"])
    if kind == "redacted_thinking":
        return ReasoningPart(redacted=True, encrypted=block["data"])
    if kind == "tool_use" and told == {"id", "name", "input"}:
        text = orjson.dumps(block["input"]).decode()
        return ToolCallPart(id=block["id"], name=block["name"], arguments=text)
    if kind == "tool_result" and told <= {"tool_use_id", "content", "is_error"}:
        return ToolResultPart(
            call_id=block["tool_use_id"],
            content=tuple(_parts(block.get("content") or (), own)),
            is_error=bool(block.get("is_error")),
        )
    if kind in {"image", "document"} and told == {"source"} and block["source"].get("data"):
        source = block["source"]
        if source["type"] == "base64":
            return media_of(source["media_type"], source["data"])
    return OpaquePart(provider=own, type=kind, data=block)


def _tool(told: Json, own: str) -> Tool | ServerTool:
    if "input_schema" not in told:
        return ServerTool(told["type"], own, {k: v for k, v in told.items() if k != "type"})
    rest = {name: one for name, one in told.items() if name != "type"}
    return function_of(rest, "input_schema", own)


def messages_normal(body: Json) -> Json:
    """A body with one form for each content. The same are: what says nothing and what is not there;
    a text and one block of text; several turns of one role in a row and one; a free choice of
    tools, told or not; a stream and none, as a long answer is always streamed."""
    told: Json = bare(body)
    told.pop("stream", None)
    if "system" in told:
        told["system"] = _blocks(told["system"])
    turns: list[Json] = []
    for turn in told["messages"]:
        content = _blocks(turn["content"])
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] += content
        else:
            turns.append({**turn, "content": content})
    told["messages"] = turns
    if told.get("tool_choice") == {"type": "auto"}:
        del told["tool_choice"]
    for tool in told.get("tools", ()):
        if tool.get("type") == "custom":
            del tool["type"]
        if tool.get("description") == "":
            del tool["description"]
    return told


def _blocks(content: Any) -> list[Json]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [_block(block) for block in _said(blocks)]


def _said(blocks: Iterable[Json]) -> Iterator[Json]:
    for block in blocks:
        if block.get("type") != "text" or block["text"].strip():
            yield block


def _block(block: Json) -> Json:
    told = dict(block)
    if told["type"] == "tool_result" and "content" in told:
        told["content"] = _blocks(told["content"])
    if told["type"] == "tool_result" and told.get("is_error") is False:
        del told["is_error"]
    if told["type"] == "tool_use":
        told.setdefault("input", {})
    return told
