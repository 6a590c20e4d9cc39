"""How Ollama wants its answers back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import beside, shown

__all__ = ["ollama_breaches"]

Json = dict[str, Any]


def ollama_breaches(
    case: Case, objects: Sequence[Json], sent: Mapping[str, Any], in_loop: bool
) -> list[str]:
    """The rules that a body breaks: text, and the name and arguments of each call, an object, are
    as they were; thinking too, where it goes back; behind the calls stands one message a result,
    with the name of its function."""
    if "messages" not in sent:
        return []  # a prompt has no history
    wanted = _message([one.get("message") or {} for one in objects])
    answers = [one for one in sent["messages"] if one["role"] == "assistant"]
    if len(answers) != 1:
        if not any(wanted.values()) and not answers:
            return []  # an answer with nothing in it
        return [f"the answer became {len(answers)} messages"]
    got = _message(answers)
    if not got["thinking"]:
        wanted["thinking"] = ""
    found = [
        f"{name} is {shown(got[name])}; the answer had {shown(wanted[name])}"
        for name in ("content", "thinking")
        if got[name] != wanted[name]
    ]
    found += beside(got["calls"], wanted["calls"], "call")
    names = [one["name"] for one in got["calls"]]
    place = list(sent["messages"]).index(answers[0]) + 1
    behind = sent["messages"][place : place + len(names)]
    told = [one.get("tool_name") for one in behind if one["role"] == "tool"]
    if told != names:
        found.append(f"behind the calls {names} stand results of {told}")
    return found


def _message(pieces: Sequence[Json]) -> Json:
    """What all pieces say together."""
    functions = [one["function"] for piece in pieces for one in piece.get("tool_calls") or ()]
    return {
        "content": "".join(piece.get("content") or "" for piece in pieces),
        "thinking": "".join(piece.get("thinking") or "" for piece in pieces),
        "calls": [
            {"name": one["name"], "arguments": one.get("arguments") or {}} for one in functions
        ],
    }
