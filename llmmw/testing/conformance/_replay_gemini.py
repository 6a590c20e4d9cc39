"""How Gemini wants its answers back: each signature on the very part that it came on, and the
results of all calls in the turn behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import bare, beside

__all__ = ["UNSIGNED", "gemini_breaches"]

Json = dict[str, Any]

UNSIGNED = "skip_thought_signature_validator"
"""What the host takes for a signature of a call that has none."""


def gemini_breaches(
    case: Case, objects: Sequence[Json], sent: Mapping[str, Any], in_loop: bool
) -> list[str]:
    """The rules that a body breaks: parts stand in their order, each with the signature that it
    had, and none with one that it had not; the next turn has one response a call, by name and id,
    in the order of the calls."""
    wanted = _joined(_known(part) for part in _whole(_parts(objects), case))
    turns = list(sent["contents"])
    answers = [turn for turn in turns if turn["role"] == "model"]
    got = _joined(_known(part) for turn in answers for part in turn["parts"])
    found = beside(got, wanted, "part")
    calls = [part["functionCall"] for part in wanted if "functionCall" in part]
    place = turns.index(answers[0]) + 1 if answers else 0
    if calls:
        results = [part.get("functionResponse", {}) for part in turns[place]["parts"]]
        told = [(one.get("name"), one.get("id")) for one in results]
        if told != [(call.get("name"), call.get("id")) for call in calls]:
            found.append(f"the turn after the calls {calls} has responses of {told}")
    return found


def _whole(parts: Iterable[Json], case: Case) -> list[Json]:
    """Parts with a call as one that came in pieces, whose arguments the case knows."""
    told: list[Json] = []
    goes_on = False
    calls = 0
    for part in parts:
        call = part.get("functionCall")
        if call is None:
            told.append(part)
        elif goes_on:
            goes_on = bool(call.get("willContinue"))
        else:
            goes_on = bool(call.get("willContinue"))
            if goes_on:
                arguments = case.expected["tool_calls"][calls]["arguments"]
                rest = {name: call[name] for name in call if name in {"id", "name"}}
                part = {**part, "functionCall": {**rest, "args": arguments}}
            told.append(part)
            calls += 1
    return told


def _known(part: Json) -> Json:
    told: Json = bare(part)
    if told.get("thoughtSignature") == UNSIGNED:
        del told["thoughtSignature"]
    if "functionCall" in part:
        told["functionCall"] = {"args": {}, **told.get("functionCall", {})}
    if told.get("text") == "":
        del told["text"]
    if told.get("thought") is False:
        del told["thought"]
    return told


def _joined(parts: Iterable[Json]) -> list[Json]:
    """The parts that say something; texts of one kind in a row are one, unless they are signed.
    Thoughts without a signature need not go back."""
    told: list[Json] = []
    for part in parts:
        if not part or part.keys() == {"thought"} or (_is_plain(part) and part.get("thought")):
            continue
        if told and _is_plain(part) and _is_plain(told[-1]):
            told[-1] = {"text": told[-1]["text"] + part["text"]}
        else:
            told.append(part)
    return told


def _is_plain(part: Json) -> bool:
    return "text" in part and part.keys() <= {"text", "thought"}


def _parts(objects: Sequence[Json]) -> list[Json]:
    found: list[Json] = []
    for told in objects:
        candidates = [one for one in told.get("candidates") or () if not one.get("index")]
        for candidate in candidates[:1]:
            found += (candidate.get("content") or {}).get("parts") or ()
    return found
