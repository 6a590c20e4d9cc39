"""Recorded requests of Gemini's wire."""

from __future__ import annotations

from typing import Any

import orjson

from llmmw._messages import Message
from llmmw._parts import MediaPart, OpaquePart, Part, TextPart, ToolCallPart, ToolResultPart
from llmmw._request import Generate
from llmmw._tools import ServerTool, Tool
from llmmw.testing.conformance._asked import function_of, media_of, named
from llmmw.testing.conformance._recorded import bare
from llmmw.testing.conformance._replay_gemini import UNSIGNED

__all__ = ["gemini_asked", "gemini_normal"]

Json = dict[str, Any]

_SETTINGS = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_output_tokens",
    "stopSequences": "stop_sequences",
    "seed": "seed",
    "candidateCount": "n",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_DATA = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema"}
_DATA |= {"responseJsonSchema", "labels"}
"""Fields whose inside is the user's own."""
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none"}


def gemini_asked(body: Json, name: str) -> Generate:
    """Our request for a recorded one."""
    told = _camel(body)
    settings, further = named(told.pop("generationConfig", {}), _SETTINGS, ())
    tools, opaque = _tools(_rows(told.pop("tools", [])), name)
    fields: Json = {"tools": tools}
    calling = (told.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.keys() == {"mode"} and calling["mode"] in _MODES:
        fields["tool_choice"] = _MODES[calling["mode"]]
        del told["toolConfig"]
    system = told.pop("systemInstruction", None)
    first = [_content(system) | {"role": "system"}] if system else []
    rows = [*first, *told.pop("contents")]
    fields["messages"] = [_message(row, name) for row in rows]
    extra = told | ({"generationConfig": further} if further else {}) | opaque
    extra.pop("model", None)
    return Generate(**fields, **settings, extra={name: extra} if extra else {})


def _camel(told: Any) -> Any:
    """The same with the names of fields as the host itself writes them."""
    if isinstance(told, list):
        return [_camel(one) for one in told]
    if not isinstance(told, dict):
        return told
    found = {}
    for name, given in told.items():
        first, *others = name.split("_")
        camel = first + "".join(word[:1].upper() + word[1:] for word in others)
        found[camel] = given if camel in _DATA else _camel(given)
    return found


def _message(row: Json, own: str) -> Message:
    said = row.get("role", "user")
    role: Any = "assistant" if said == "model" else said
    parts = tuple(_part(part, own) for part in row["parts"])
    if any(isinstance(part, ToolResultPart) for part in parts):
        role = "tool"
        if not all(isinstance(part, ToolResultPart) for part in parts):
            raise ValueError("results beside other parts")
    return Message(role, parts)


def _part(part: Json, own: str) -> Part:
    signed = {name: part[name] for name in part if name == "thoughtSignature"}
    beside = {own: signed} if signed else {}
    kinds = part.keys() - signed.keys()
    if kinds == {"text"}:
        return TextPart(part["text"], extra=beside)
    if kinds == {"functionCall"}:
        call = part["functionCall"]
        rest = {name: call[name] for name in call if name not in {"id", "name", "args"}}
        extra = signed | ({"functionCall": rest} if rest else {})
        return ToolCallPart(
            id=call.get("id") or "",
            name=call["name"],
            arguments=orjson.dumps(call.get("args") or {}).decode(),
            extra={own: extra} if extra else {},
        )
    if kinds == {"functionResponse"} and "parts" not in part["functionResponse"]:
        result = part["functionResponse"]
        return ToolResultPart(
            call_id=result.get("id") or "",
            name=result["name"],
            extra={own: {"response": result["response"]}},
        )
    if kinds == {"inlineData"} and part["inlineData"].keys() == {"mimeType", "data"}:
        data = part["inlineData"]["data"].replace("-", "+").replace("_", "/")
        return media_of(part["inlineData"]["mimeType"], data)
    if kinds == {"fileData"} and part["fileData"].keys() == {"mimeType", "fileUri"}:
        told = part["fileData"]
        return MediaPart(media_type=told["mimeType"], url=told["fileUri"])
    return OpaquePart(provider=own, type=min(kinds), data=part)


def _tools(rows: list[Json], own: str) -> tuple[list[Tool | ServerTool], Json]:
    """Tools; or, where several stand together in a way of their own, the field as it is."""
    tools: list[Tool | ServerTool] = []
    for row in rows:
        if len(row) != 1:
            return [], {"tools": rows}
        for kind, config in row.items():
            if kind == "functionDeclarations":
                tools += [_function(one, own) for one in config]
            else:
                tools.append(ServerTool(kind, own, config))
    return tools, {}


def _rows(tools: Any) -> list[Json]:
    """The tools; one alone is one too."""
    return [tools] if isinstance(tools, dict) else tools


def _function(told: Json, own: str) -> Tool:
    schema = "parameters" if "parameters" in told else "parametersJsonSchema"
    return function_of(told, schema, own)


def gemini_normal(body: Json) -> Json:
    """A body with one form for each content. The same are: names in camel case and with lines;
    what says nothing and what is not there; a free choice of tools, told or not; the two fields
    of a schema; text as the one form of an answer; several lists of functions and one; base64 of
    either alphabet; a call without a signature and with the host's word for one."""
    told: Json = bare(_camel(body))
    told.pop("model", None)
    settings = told.get("generationConfig", {})
    if settings.get("responseModalities") == ["TEXT"]:
        del settings["responseModalities"]
    if not settings:
        told.pop("generationConfig", None)
    if told.get("toolConfig") == {"functionCallingConfig": {"mode": "AUTO"}}:
        del told["toolConfig"]
    if "systemInstruction" in told:
        told["systemInstruction"] = _content(told["systemInstruction"])
        told["systemInstruction"].pop("role", None)
    for turn in told["contents"]:
        turn.setdefault("role", "user")
        turn["parts"] = [part for part in turn.get("parts", ()) if part != {"text": ""}]
        for part in turn["parts"]:
            _inside(part)
    _functions(told)
    return told


def _content(told: Any) -> Json:
    """A content; a text is one too."""
    return {"parts": [{"text": told}]} if isinstance(told, str) else dict(told)


def _inside(part: Json) -> None:
    if part.get("thoughtSignature") == UNSIGNED:
        del part["thoughtSignature"]
    if "functionCall" in part:
        part["functionCall"].setdefault("args", {})
    if "inlineData" in part:
        data = part["inlineData"].get("data", "")
        part["inlineData"]["data"] = data.replace("-", "+").replace("_", "/")


def _functions(told: Json) -> None:
    functions = []
    others = []
    for row in _rows(told.get("tools", [])):
        functions += row.pop("functionDeclarations", [])
        others += [row] if row else []
    for one in functions:
        if one.get("description") == "":
            del one["description"]
        if "parameters" in one:
            one["parametersJsonSchema"] = one.pop("parameters")
    rows = ([{"functionDeclarations": functions}] if functions else []) + others
    if rows:
        told["tools"] = rows
