"""Recorded requests of the chat wire."""

from __future__ import annotations

from typing import Any

import attrs

from llmmw._messages import Message
from llmmw._output import JsonObject, JsonSchema
from llmmw._parts import Part, TextPart, ToolCallPart, ToolResultPart
from llmmw._request import Generate
from llmmw._tools import ServerTool, Tool, ToolNames
from llmmw.testing.conformance._asked import blocks_of, function_of, request
from llmmw.testing.conformance._recorded import bare

__all__ = ["chat_asked", "chat_normal", "mistral_asked", "mistral_normal"]

Json = dict[str, Any]

_PARAMETERS = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "stop": "stop_sequences",
    "reasoning_effort": "reasoning",
    **{
        name: name
        for name in (
            *("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"),
            *("logit_bias", "parallel_tool_calls"),
        )
    },
}
_READ = ("model", "messages", "stream", "stream_options", "n")


def chat_asked(body: Json, name: str) -> Generate:
    """Our request for a recorded one."""
    fields: Json = {"messages": [_message(one, name) for one in body["messages"]]}
    if (body.get("n") or 1) > 1:
        fields["n"] = body["n"]
    read = [*_READ]
    if body.get("tools"):
        read.append("tools")
        fields["tools"] = [_tool(one, name) for one in body["tools"]]
        choice = body.get("tool_choice")
        if isinstance(choice, str):
            fields["tool_choice"] = {"any": "required"}.get(choice, choice)
            read.append("tool_choice")
        elif choice and choice.get("type") == "function":
            fields["tool_choice"] = ToolNames((choice["function"]["name"],))
            read.append("tool_choice")
    form = body.get("response_format") or {}
    if form.get("type") == "json_object":
        fields["output"] = JsonObject()
        read.append("response_format")
    elif form.get("type") == "json_schema" and "json_schema" in form:
        fields["output"] = JsonSchema(**form["json_schema"])
        read.append("response_format")
    named = {**_PARAMETERS}
    if "thinking" in body:  # an effort beside it is the host's own field
        del named["reasoning_effort"]
    if not body.get("tools"):
        del named["parallel_tool_calls"]
    return request(body, name, named, fields, read)


def mistral_asked(body: Json, name: str) -> Generate:
    """As `chat_asked`; the seed has a name of its own."""
    told = {**body, "seed": body["random_seed"]} if "random_seed" in body else dict(body)
    told.pop("random_seed", None)
    return chat_asked(told, name)


def _message(told: Json, own: str) -> Message:
    role: Any = {"developer": "system"}.get(told["role"], told["role"])
    if role == "tool":
        content = blocks_of(told.get("content"), own)
        result = ToolResultPart(call_id=told["tool_call_id"], content=content)
        return Message("tool", (result,))
    parts: list[Part] = list(blocks_of(told.get("content"), own))
    if told.get("refusal"):
        parts.append(TextPart(told["refusal"], refusal=True))
    parts += [_call(one, own) for one in told.get("tool_calls") or ()]
    read = {"role", "content", "refusal", "tool_calls", "name"}
    rest = {name: one for name, one in told.items() if name not in read}
    return Message(role, tuple(parts), name=told.get("name"), extra={own: rest} if rest else {})


def _call(told: Json, own: str) -> ToolCallPart:
    custom = "custom" in told
    function = told["custom" if custom else "function"]
    rest = {k: v for k, v in told.items() if k not in {"id", "type", "function", "custom"}}
    return ToolCallPart(
        id=told["id"],
        name=function["name"],
        arguments=function["input" if custom else "arguments"],
        custom=custom,
        extra={own: rest} if rest else {},
    )


def _tool(told: Json, own: str) -> Tool | ServerTool:
    if told.get("type", "function") != "function":
        return ServerTool(told["type"], own, {k: v for k, v in told.items() if k != "type"})
    function = function_of(told["function"], "parameters", own)
    rest = {name: one for name, one in told.items() if name not in {"type", "function"}}
    inside = {"function": told["function"]} if function.extra else {}
    return attrs.evolve(function, extra={own: rest | inside})


def chat_normal(body: Json) -> Json:
    """A body with one form for each content. The same are: what says nothing (`null`, empty lists
    and texts) and what is not there; a text and a list of texts; `developer` and `system`; the two
    names of the limit of tokens; one stop sequence and a list of it; an effort, as a field or
    within `reasoning`; arguments that are empty and `{}`; how a stream is asked for; one answer,
    asked for or not."""
    told: Json = bare(body)
    told.pop("stream_options", None)
    if told.get("stream") is False:
        del told["stream"]
    if told.get("n") == 1:
        del told["n"]
    if "max_tokens" in told:
        told["max_completion_tokens"] = told.pop("max_tokens")
    if isinstance(told.get("stop"), str):
        told["stop"] = [told["stop"]]
    if told.get("reasoning", {}).keys() == {"effort"}:
        told["reasoning_effort"] = told.pop("reasoning")["effort"]
    if told.get("tool_choice") == "any":
        told["tool_choice"] = "required"
    told["messages"] = [_plain(message) for message in told["messages"]]
    for tool in told.get("tools", ()):
        tool.setdefault("type", "function")
        function = tool.get("function", {})
        function.setdefault("parameters", {"type": "object"})
        _without_empty(function, "description")
    return told


def _plain(message: Json) -> Json:
    message["role"] = {"developer": "system"}.get(message["role"], message["role"])
    content = message.get("content")
    if isinstance(content, list) and all(_is_text(block) for block in content):
        message["content"] = "".join(block["text"] for block in content)
    if message["role"] == "assistant":
        _without_empty(message, "content")
    if message["role"] == "tool":  # some hosts take the name too, all go by the id
        message.pop("name", None)
    for call in message.get("tool_calls", ()):
        call.setdefault("type", "function")
        if call.get("function", {}).get("arguments") == "":
            call["function"]["arguments"] = "{}"
    return message


def _is_text(block: Json) -> bool:
    return block.keys() == {"type", "text"} and block["type"] == "text"


def mistral_normal(body: Json) -> Json:
    """As `chat_normal`; the ids of calls are numbers, as Mistral takes none of other hosts. The
    same are too: the address of an image as a text and in an object."""
    told = chat_normal(body)
    ids: Json = {}
    for message in told["messages"]:
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            if isinstance(block.get("image_url"), str):
                block["image_url"] = {"url": block["image_url"]}
        for call in message.get("tool_calls", ()):
            call["id"] = ids.setdefault(call.get("id"), len(ids))
        if "tool_call_id" in message:
            message["tool_call_id"] = ids.setdefault(message["tool_call_id"], len(ids))
    return told


def _without_empty(told: Json, name: str) -> None:
    if told.get(name) == "":
        del told[name]
