"""Recorded requests: what is simple enough in them becomes one of ours, is sent, and must say the
same. Simple are texts by roles, functions as tools, and the parameters that all hosts have; a
request with anything else is not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from llmmw._messages import Message
from llmmw._request import Generate
from llmmw._tools import Tool
from llmmw.errors import BadRequest

__all__ = ["canonical", "request_of"]

Fields: TypeAlias = dict[str, Any]


class _NotSimpleError(Exception):
    """A request holds what is not compared."""


def canonical(wire: str, body: Mapping[str, Any]) -> Fields | None:
    """What a request says, by our names; `None` if it says more than is compared."""
    read = _READERS.get(wire)
    if read is None:
        return None
    try:
        return read(dict(body))
    except (_NotSimpleError, KeyError, TypeError, AttributeError):
        return None


def request_of(wire: str, body: Mapping[str, Any] | None) -> Generate | None:
    """One of our requests that says what the recorded one says; `None` if that is not simple."""
    fields = None if body is None else canonical(wire, body)
    if fields is None:
        return None
    messages = [Message(role, text) for role, text in fields.pop("messages")]
    tools = [Tool(**one) for one in fields.pop("tools", ())]
    try:
        return Generate(messages=messages, tools=tools, **fields)
    except BadRequest:
        return None


_SAMPLING = {"temperature": "temperature", "top_p": "top_p"}
_CHAT = _SAMPLING | {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "seed": "seed",
    "stop": "stop_sequences",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
_RESPONSES = _SAMPLING | {"max_output_tokens": "max_output_tokens"}
_MESSAGES = _SAMPLING | {
    "max_tokens": "max_output_tokens",
    "top_k": "top_k",
    "stop_sequences": "stop_sequences",
}
_GEMINI = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_output_tokens",
    "stopSequences": "stop_sequences",
    "seed": "seed",
}
_TRANSPORT = ("model", "stream", "stream_options")
_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def _chat(body: Fields) -> Fields:
    if body.get("n") == 1:  # as if it were not there
        del body["n"]
    told = _known(body, _CHAT, (*_TRANSPORT, "messages", "tools", "tool_choice"))
    told["messages"] = list(_said(body["messages"], {"text"}))
    tools = body.get("tools") or ()
    _functions(told, tools, lambda one: dict(one.pop("function")), "parameters")
    return _chosen(told, body)


def _responses(body: Fields) -> Fields:
    own = ("input", "instructions", "tools", "tool_choice", "include", "store")
    told = _known(body, _RESPONSES, (*_TRANSPORT, *own))
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    system = [("system", body["instructions"])] if body.get("instructions") else []
    told["messages"] = [*system, *_said(items, {"input_text", "output_text"})]
    _functions(told, body.get("tools") or (), dict, "parameters")
    return _chosen(told, body)


def _messages(body: Fields) -> Fields:
    told = _known(body, _MESSAGES, (*_TRANSPORT, "messages", "system", "tools", "tool_choice"))
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    told["messages"] = list(_said([*system, *body["messages"]], {"text"}))
    _functions(told, body.get("tools") or (), dict, "input_schema")
    return _chosen(told, body)


def _gemini(body: Fields) -> Fields:
    named = {_camel(name): given for name, given in body.items()}
    settings = {_camel(name): one for name, one in (named.get("generationConfig") or {}).items()}
    if settings.get("responseModalities") == ["TEXT"]:  # as if it were not there
        del settings["responseModalities"]
    _known(named, {}, ("contents", "systemInstruction", "generationConfig"))
    told = _known(settings, _GEMINI, ())
    system = named.get("systemInstruction")
    rows = [*([{**system, "role": "system"}] if system else []), *named["contents"]]
    told["messages"] = [
        (
            {"model": "assistant"}.get(row.get("role", "user"), row.get("role", "user")),
            "".join(_texts(row["parts"], None)),
        )
        for row in rows
    ]
    return told


_READERS: Mapping[str, Callable[[Fields], Fields]] = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "anthropic-messages": _messages,
    "gemini": _gemini,
}


def _known(body: Fields, names: Mapping[str, str], others: Iterable[str]) -> Fields:
    """The parameters by our names; those that are `null` are none."""
    told: Fields = {}
    for name, given in body.items():
        if name in names and given is not None:
            told[names[name]] = (given,) if name == "stop" and isinstance(given, str) else given
        elif name not in others and given is not None:
            raise _NotSimpleError
    if "stop_sequences" in told:
        told["stop_sequences"] = tuple(told["stop_sequences"])
    return told


def _said(items: Iterable[Any], kinds: set[str]) -> Iterator[tuple[str, str]]:
    """Role and text of each message."""
    for item in items:
        if item.keys() - {"role", "content", "type"} or item.get("type", "message") != "message":
            raise _NotSimpleError
        role = {"developer": "system"}.get(item["role"], item["role"])
        if role not in {"system", "user", "assistant"}:
            raise _NotSimpleError
        content = item["content"]
        yield role, content if isinstance(content, str) else "".join(_texts(content, kinds))


def _texts(parts: Iterable[Any], kinds: set[str] | None) -> Iterator[str]:
    allowed = {"text"} if kinds is None else {"text", "type"}
    for part in parts:
        if part.keys() - allowed or (kinds is not None and part["type"] not in kinds):
            raise _NotSimpleError
        yield part["text"]


def _functions(
    told: Fields, tools: Iterable[Any], bare: Callable[[Fields], Fields], schema: str
) -> None:
    rows = []
    for tool in tools:
        fields = dict(tool)
        if fields.get("type", "function") not in {"function", "custom"}:
            raise _NotSimpleError
        one = bare(fields)
        one.pop("type", None)
        row = {
            "name": one.pop("name"),
            "description": one.pop("description", "") or "",
            "parameters": one.pop(schema),
            "strict": one.pop("strict", None),
        }
        if any(given is not None for given in one.values()):
            raise _NotSimpleError
        rows.append(row)
    if rows:
        told["tools"] = rows


def _chosen(told: Fields, body: Fields) -> Fields:
    choice = body.get("tool_choice")
    if choice is None or not told.get("tools"):
        return told
    if isinstance(choice, Mapping) and choice.keys() == {"type"}:
        choice = choice["type"]
    told["tool_choice"] = _CHOICES[choice]
    return told


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
