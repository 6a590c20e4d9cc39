"""How Cohere wants its answers back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import beside, shown

__all__ = ["cohere_breaches"]

Json = dict[str, Any]


def cohere_breaches(
    case: Case, objects: Sequence[Json], sent: Mapping[str, Any], in_loop: bool
) -> list[str]:
    """The rules that a body breaks: text, plan, and the id, name and arguments of each call are as
    they were; thinking too, where it goes back; content stands beside no call; behind the calls
    stands one message a result."""
    wanted = _message(objects)
    answers = [one for one in sent["messages"] if one["role"] == "assistant"]
    if len(answers) != 1:
        if not any(wanted.values()) and not answers:
            return []  # an answer with nothing in it
        return [f"the answer became {len(answers)} messages"]
    answer = answers[0]
    got = _said(answer)
    if not got["thinking"]:
        wanted["thinking"] = ""
    if wanted["calls"] and not got["text"]:
        wanted["text"] = ""  # which has no place there
    found = [
        f"{name} is {shown(got[name])}; the answer had {shown(wanted[name])}"
        for name in ("text", "thinking", "plan")
        if got[name] != wanted[name]
    ]
    found += beside(got["calls"], wanted["calls"], "call")
    if got["calls"] and got["text"]:
        found.append("there is content beside the calls")
    ids = [one["id"] for one in got["calls"]]
    place = list(sent["messages"]).index(answer) + 1
    behind = sent["messages"][place : place + len(ids)]
    told = [one.get("tool_call_id") for one in behind if one["role"] == "tool"]
    if told != ids:
        found.append(f"behind the calls {ids} stand results of {told}")
    return found


def _said(message: Json) -> Json:
    """What a message says."""
    content = message.get("content") or ""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {
        "text": "".join(one.get("text") or "" for one in blocks),
        "thinking": "".join(one.get("thinking") or "" for one in blocks),
        "plan": message.get("tool_plan") or "",
        "calls": [_call(one) for one in message.get("tool_calls") or ()],
    }


def _call(told: Json) -> Json:
    function = told["function"]
    arguments = orjson.loads(function.get("arguments") or "{}")
    return {"id": told["id"], "name": function["name"], "arguments": arguments or {}}


def _message(objects: Sequence[Json]) -> Json:
    """The answer: as it came whole, or of all its events."""
    if "message" in objects[0]:
        return _said(objects[0]["message"])
    told: Json = {"content": [], "tool_plan": "", "tool_calls": []}
    for event in objects:
        said: Json = (event.get("delta") or {}).get("message") or {}
        if isinstance(said.get("content"), dict):
            told["content"].append(said["content"])
        if event["type"] == "tool-plan-delta":
            told["tool_plan"] += said["tool_plan"]
        if event["type"] == "tool-call-start":
            call = said["tool_calls"]
            told["tool_calls"].append({**call, "function": dict(call["function"])})
        if event["type"] == "tool-call-delta":
            function = told["tool_calls"][-1]["function"]
            function["arguments"] += said["tool_calls"]["function"]["arguments"]
    return _said(told)
