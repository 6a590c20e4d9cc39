"""How hosts of the chat wire want their answers back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import shown

__all__ = ["chat_breaches"]

Json = dict[str, Any]

_IN_LOOPS = {"deepseek": "reasoning_content"}
"""Hosts that must see their reasoning as long as tool calls go on, and its field."""
_KEPT = ("reasoning_details",)
"""What goes back whole, wherever it came."""


def chat_breaches(
    case: Case, objects: Sequence[Json], sent: Mapping[str, Any], in_loop: bool
) -> list[str]:
    """The rules that a body breaks: text, and the id, name, arguments and signature of each call
    are as they were; behind the calls stands one message a result; reasoning goes back to the
    hosts that want it."""
    wanted = _message(objects)
    rows = sent["messages"]
    answers = [one for one in rows if one["role"] == "assistant"]
    if case.wire == "mistral-chat":  # where one that says nothing stands behind results
        between = [b for a, b in itertools.pairwise(rows) if a["role"] == "tool"]
        answers = [one for one in answers if one not in between]
    if len(answers) != 1:
        return [f"the answer became {len(answers)} messages"]
    answer = answers[0]
    found = _unlike(
        ("text", _text(answer.get("content")), wanted["text"]),
        ("refusal", answer.get("refusal") or "", wanted["refusal"]),
        ("audio", (answer.get("audio") or {}).get("id"), wanted["audio"]),
        *((name, answer.get(name) or [], wanted[name]) for name in _KEPT),
    )
    field = _IN_LOOPS.get(case.provider)
    if field and in_loop:
        found += _unlike((field, answer.get(field) or "", wanted["reasoning"]))
    found += _calls(case, answer.get("tool_calls") or [], wanted["calls"])
    return found + _results(answer, sent["messages"])


def _unlike(*rows: tuple[str, Any, Any]) -> list[str]:
    return [
        f"{name} is {shown(got)}; the answer had {shown(wanted)}"
        for name, got, wanted in rows
        if got != wanted
    ]


def _calls(case: Case, got: Sequence[Json], wanted: Sequence[Json]) -> list[str]:
    if len(got) != len(wanted):
        return [f"{len(got)} calls; the answer had {len(wanted)}"]
    found = []
    for one, other in zip(got, wanted, strict=True):
        if not other["id"]:  # the host gave none, so one was made
            other["id"] = one["id"]
        if case.wire == "mistral-chat" and not re.fullmatch("[a-zA-Z0-9]{9}", one["id"]):
            found.append(f"the call has the id {one['id']!r}, not nine letters or digits")
        function = one.get("function") or one.get("custom") or {}
        told = {
            "id": one["id"],
            "name": function.get("name"),
            "arguments": function.get("arguments", function.get("input")),
            "extra_content": one.get("extra_content"),
        }
        if told["arguments"] == "{}" and not other["arguments"]:
            told["arguments"] = other["arguments"]  # hosts refuse an empty text
        if other.pop("is_object") and _same(told["arguments"], other["arguments"]):
            told["arguments"] = other["arguments"]  # an object goes back as a text of it
        found += _unlike(("a call", told, other))
    return found


def _same(one: Any, other: str) -> bool:
    """Whether two texts are the same JSON."""
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except (orjson.JSONDecodeError, TypeError):
        return False


def _results(answer: Json, messages: Sequence[Json]) -> list[str]:
    """What stands behind the calls."""
    ids = [call["id"] for call in answer.get("tool_calls") or ()]
    place = list(messages).index(answer) + 1
    behind = messages[place : place + len(ids)]
    told = [one.get("tool_call_id") for one in behind if one["role"] == "tool"]
    return [] if told == ids else [f"behind the calls {ids} stand results of {told}"]


def _text(content: Any) -> str:
    if not isinstance(content, list):
        return content or ""
    return "".join(one.get("text") or "" for one in content if one.get("type") == "text")


def _message(objects: Sequence[Json]) -> Json:
    """The answer: of its one message, or of all its deltas."""
    told: Json = {"text": "", "refusal": "", "reasoning": "", "audio": None}
    told |= {name: [] for name in _KEPT}
    calls: list[Json] = []
    for one in objects:
        choices = [c for c in one.get("choices") or () if not c.get("index")]
        for choice in choices[:1]:
            said = choice.get("message") or choice.get("delta") or {}
            told["text"] += _text(said.get("content"))
            told["refusal"] += said.get("refusal") or ""
            told["reasoning"] += said.get("reasoning_content") or ""
            told["audio"] = (said.get("audio") or {}).get("id") or told["audio"]
            for name in _KEPT:
                told[name] += said.get(name) or []
            for call in said.get("tool_calls") or ():
                _add(calls, call)
            former = said.get("function_call") or {}  # one call without an id; some send it empty
            if former.get("name") or former.get("arguments"):
                _add(calls, {"index": 0, "function": former})
    return told | {"calls": [{k: v for k, v in c.items() if k != "index"} for c in calls]}


def _add(calls: list[Json], call: Json) -> None:
    """A call, or the next piece of one: pieces have the index of their call, or else its id, and
    no other id."""
    function = call.get("function") or call.get("custom") or {}
    told = function.get("arguments", function.get("input")) or ""
    text = told if isinstance(told, str) else orjson.dumps(told).decode()
    index = call.get("index")
    id_ = {"null": ""}.get(call.get("id") or "", call.get("id") or "")
    sign, own = ("id", id_) if index is None else ("index", index)
    before = next((one for one in calls if one[sign] == own), None)
    if before is not None and id_ in {"", before["id"]}:
        before["arguments"] += text
        before["extra_content"] = before["extra_content"] or call.get("extra_content")
        return
    calls.append(
        {
            "index": index,
            "id": id_,
            "name": function.get("name"),
            "arguments": text,
            "is_object": not isinstance(told, str),
            "extra_content": call.get("extra_content"),
        }
    )
