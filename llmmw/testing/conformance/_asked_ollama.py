"""Recorded requests of Ollama's own wire."""

from __future__ import annotations

from typing import Any

import orjson

from llmmw._messages import Message
from llmmw._output import JsonObject, JsonSchema
from llmmw._parts import Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from llmmw._request import Generate
from llmmw.testing.conformance._asked import function_of, media_of, named, request
from llmmw.testing.conformance._recorded import bare

__all__ = ["ollama_asked", "ollama_normal"]

Json = dict[str, Any]

_OPTIONS = {
    "num_predict": "max_output_tokens",
    "stop": "stop_sequences",
    "repeat_penalty": "repetition_penalty",
    **{
        name: name
        for name in (
            *("temperature", "top_k", "top_p", "min_p", "seed"),
            *("presence_penalty", "frequency_penalty"),
        )
    },
}


def ollama_asked(body: Json, name: str) -> Generate:
    """Our request for a recorded one."""
    read = ["model", "messages", "stream", "options", "tools", "format"]
    fields, further = named(body.get("options") or {}, _OPTIONS, ())
    calls: list[ToolCallPart] = []
    fields["messages"] = [_message(one, name, calls) for one in body["messages"]]
    fields["tools"] = [
        function_of(one["function"], "parameters", name) for one in body.get("tools") or ()
    ]
    form = body.get("format")
    if form:
        fields["output"] = JsonObject() if form == "json" else JsonSchema(form)
    told = {**body, "options": None} | ({"further": further} if further else {})
    made = request(told, name, {}, fields, read)
    if not further:
        return made
    extra = dict(made.extra[name])
    extra["options"] = extra.pop("further")
    return made.replace(extra={name: extra})


def _message(told: Json, own: str, calls: list[ToolCallPart]) -> Message:
    """A message; `calls` are those that have no result so far."""
    role: Any = told["role"]
    content = (TextPart(told["content"]),) if told.get("content") else ()
    if role == "tool":
        return Message("tool", (_result(told, content, calls),))
    parts: list[Part] = [ReasoningPart(told["thinking"])] if told.get("thinking") else []
    parts += content
    parts += [media_of("image/png", data) for data in told.get("images") or ()]
    for one in told.get("tool_calls") or ():
        function = one["function"]
        arguments = orjson.dumps(function.get("arguments") or {}).decode()
        id_ = one.get("id") or f"call_{len(calls)}_{function['name']}"
        calls.append(ToolCallPart(id=id_, name=function["name"], arguments=arguments))
        parts.append(calls[-1])
    return Message(role, tuple(parts))


def _result(told: Json, content: tuple[Part, ...], calls: list[ToolCallPart]) -> ToolResultPart:
    """The result of the call that is named, or else of the oldest."""
    id_, name = told.get("tool_call_id"), told.get("tool_name") or told.get("name")
    fits = [call for call in calls if call.id == id_ or (not id_ and name in {None, call.name})]
    call = fits[0]
    calls.remove(call)
    return ToolResultPart(call_id=call.id, name=call.name, content=content)


def ollama_normal(body: Json) -> Json:
    """A body with one form for each content. The same are: what says nothing and what is not there;
    a stream, asked for or not, as the case says how the answer comes; one stop sequence and a list
    of it; a result by the name of its function, by the id of its call, or by its place. That a
    prompt must not be cut short is what we ask for wherever a request does not."""
    told: Json = bare(body)
    told.pop("stream", None)
    if told.get("truncate") is False:
        del told["truncate"]
    options = told.get("options", {})
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    for tool in told.get("tools", ()):
        tool.setdefault("type", "function")
        tool["function"].setdefault("parameters", {"type": "object"})
        if tool["function"].get("description") == "":
            del tool["function"]["description"]
    calls: list[Json] = []
    for message in told.get("messages", ()):
        _plain(message, calls)
    return told


def _plain(message: Json, calls: list[Json]) -> None:
    """One form of a message; `calls` are those that have no result so far."""
    if message.get("content") == "":
        del message["content"]
    for call in message.get("tool_calls", ()):
        calls.append({"id": call.pop("id", None), "name": call["function"]["name"]})
        call.pop("type", None)
        call["function"].pop("index", None)
    if message["role"] == "tool":
        id_, name = message.pop("tool_call_id", None), message.pop("name", None)
        name = message.setdefault("tool_name", name)
        fits = [one for one in calls if one["id"] == id_ or (not id_ and name == one["name"])]
        call = (fits or calls)[0]
        calls.remove(call)
        message["tool_name"] = name or call["name"]
