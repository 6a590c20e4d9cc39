"""Recorded requests of Bedrock's Converse."""

from __future__ import annotations

from collections.abc import Iterator
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
from llmmw._request import Generate
from llmmw._tools import ServerTool, Tool, ToolNames
from llmmw.testing.conformance._asked import function_of, media_of, named
from llmmw.testing.conformance._recorded import bare

__all__ = ["bedrock_asked", "bedrock_normal"]

Json = dict[str, Any]

_SETTINGS = {
    "maxTokens": "max_output_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop_sequences",
}
_CHOICES = {"auto": "auto", "any": "required"}


def bedrock_asked(body: Json, name: str) -> Generate:
    """Our request for a recorded one."""
    read = {"messages", "system", "inferenceConfig", "modelId"}
    fields, further = named(body.get("inferenceConfig") or {}, _SETTINGS, ())
    system = [_part(block, name) for block in body.get("system") or ()]
    said = [Message("system", tuple(system))] if system else []
    for turn in body["messages"]:
        said += _messages(turn["role"], turn["content"], name)
    fields["messages"] = said
    config = body.get("toolConfig") or {}
    if config and all(len(tool) == 1 and "cachePoint" not in tool for tool in config["tools"]):
        read.add("toolConfig")
        fields["tools"] = [_tool(tool, name) for tool in config["tools"]]
        if choice := _choice(config.get("toolChoice") or {}):
            fields["tool_choice"] = choice
    output = _output(body.get("outputConfig") or {})
    if output is not None:
        read.add("outputConfig")
        fields["output"] = output
    extra = {key: one for key, one in body.items() if key not in read and one}
    extra |= {"inferenceConfig": further} if further else {}
    return Generate(**fields, extra={name: extra} if extra else {})


def _messages(role: Any, blocks: list[Json], own: str) -> Iterator[Message]:
    """A turn: results, and what a user says, are messages of their own with us."""
    if role == "assistant":
        yield Message(role, tuple(_said(block, own) for block in blocks))
        return
    run: list[Part] = []
    for part in (_part(block, own) for block in blocks):
        if run and isinstance(part, ToolResultPart) != isinstance(run[-1], ToolResultPart):
            yield Message(_role(run), tuple(run))
            run = []
        run.append(part)
    yield Message(_role(run), tuple(run))


def _role(run: list[Part]) -> Any:
    return "tool" if run and isinstance(run[0], ToolResultPart) else "user"


def _said(block: Json, own: str) -> Part:
    """What a model said; a result among it is of a tool of the host's."""
    if "toolResult" in block:
        return OpaquePart(provider=own, type="toolResult", data=block)
    return _part(block, own)


def _part(block: Json, own: str) -> Part:
    ((kind, told),) = block.items()
    if kind == "text":
        return TextPart(told)
    if kind == "toolUse" and told.keys() == {"toolUseId", "name", "input"}:
        text = orjson.dumps(told["input"]).decode()
        return ToolCallPart(id=told["toolUseId"], name=told["name"], arguments=text)
    if kind == "toolResult" and told.keys() <= {"toolUseId", "content", "status"}:
        return ToolResultPart(
            call_id=told["toolUseId"],
            content=tuple(_part(one, own) for one in told.get("content") or ()),
            is_error=told.get("status") == "error",
        )
    if kind == "reasoningContent" and _is_sealed(told):
        return _reasoning(told)
    if kind == "cachePoint":
        return CachePoint(told.get("ttl"))
    if kind == "image" and told["source"].keys() == {"bytes"}:
        return media_of(f"image/{told['format']}", told["source"]["bytes"])
    return OpaquePart(provider=own, type=kind, data=block)


def _is_sealed(told: Json) -> bool:
    """Whether reasoning is such as goes back to a model."""
    return "redactedContent" in told or bool(told["reasoningText"].get("signature"))


def _reasoning(told: Json) -> ReasoningPart:
    if "redactedContent" in told:
        return ReasoningPart(redacted=True, encrypted=told["redactedContent"])
    text = told["reasoningText"]
    return ReasoningPart(text["text"], signature=text["signature"])


def _tool(told: Json, own: str) -> Tool | ServerTool:
    ((kind, spec),) = told.items()
    if kind != "toolSpec":
        return ServerTool(kind, own, spec)
    return function_of({**spec, "inputSchema": spec["inputSchema"]["json"]}, "inputSchema", own)


def _choice(told: Json) -> Any:
    for word, ours in _CHOICES.items():
        if word in told:
            return ours
    return ToolNames((told["tool"]["name"],)) if "tool" in told else None


def _output(told: Json) -> JsonSchema | None:
    form = told.get("textFormat") or {}
    if told.keys() != {"textFormat"} or form.get("type") != "json_schema":
        return None
    fields = dict(form["structure"]["jsonSchema"])
    return JsonSchema(orjson.loads(fields.pop("schema")), **fields)


def bedrock_normal(body: Json) -> Json:
    """A body with one form for each content. The same are: what says nothing and what is not there;
    several turns of one role in a row and one; a result that succeeded, told or not; a free choice
    of tools, told or not; a schema as any text of it; a description that is the name and none."""
    choice = (body.get("toolConfig") or {}).get("toolChoice") or {}
    told: Json = bare(body)
    config = told.get("toolConfig", {})
    config.pop("toolChoice", None)
    if choice and "auto" not in choice:
        config["toolChoice"] = "any" if "any" in choice else choice
    for tool in config.get("tools", ()):
        _declared(tool.get("toolSpec", {}))
    form = told.get("outputConfig", {}).get("textFormat", {})
    schema = form.get("structure", {}).get("jsonSchema", {})
    if "schema" in schema:
        schema["schema"] = orjson.loads(schema["schema"])
    told.pop("modelId", None)
    turns: list[Json] = []
    for turn in told["messages"]:
        content = [_plain(block) for block in turn.get("content", ())]
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] += content
        else:
            turns.append({"role": turn["role"], "content": content})
    told["messages"] = turns
    return told


def _declared(spec: Json) -> None:
    if spec.get("description", "-") in {"", spec.get("name")}:
        del spec["description"]
    if spec.get("inputSchema", {}).get("json", {}).get("type") == "object":
        del spec["inputSchema"]["json"]["type"]  # what every schema is


def _plain(block: Json) -> Json:
    result = block.get("toolResult", {})
    if result.get("status") == "success":
        del result["status"]
    if result.get("content"):
        result["content"] = [_plain(one) for one in result["content"]]
    return block
