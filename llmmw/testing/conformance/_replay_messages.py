"""How Anthropic wants its answers back: each block as it was, and a result for each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import bare, beside

__all__ = ["messages_breaches"]

Json = dict[str, Any]


def messages_breaches(
    case: Case, objects: Sequence[Json], sent: Mapping[str, Any], in_loop: bool
) -> list[str]:
    """The rules that a body breaks: thinking with its signature and all other blocks stand
    unchanged and in their order; the next turn begins with one result a call; tools that were
    called are declared; the mark of the cache stays."""
    wanted = [_known(block) for block in _blocks(objects) if _is_something(block)]
    turns = list(sent["messages"])
    found = []
    if turns[0]["content"][0].get("cache_control", {}).get("type") != "ephemeral":
        found.append("the mark of the cache is lost")
    answer = turns[1]["content"] if len(turns) > 1 else []
    found += beside([_known(block) for block in answer], wanted, "block")
    calls = [block["id"] for block in wanted if block["type"] == "tool_use"]
    if calls and not sent.get("tools"):
        found.append("the tools that were called are not declared")
    if [turn["role"] for turn in turns] != (["user", "assistant", "user"] if wanted else ["user"]):
        found.append(f"the roles are {[turn['role'] for turn in turns]}")
    results = [block.get("tool_use_id") for block in turns[-1]["content"]] if calls else []
    if results[: len(calls)] != calls or any(results[len(calls) :]):
        found.append(f"the turn after the calls {calls} begins with results of {results}")
    return found


def _is_something(block: Json) -> bool:
    return block["type"] != "text" or bool(block["text"].strip())


def _known(block: Json) -> Json:
    """A block without what says nothing. Arguments that are no object can't go back."""
    told: Json = bare(block)
    told.pop("cache_control", None)
    if told["type"] in {"tool_use", "server_tool_use", "mcp_tool_use"}:
        told["input"] = block["input"] if isinstance(block.get("input"), dict) else None
        if told["input"] is None or told["input"].keys() == {"arguments"}:
            told["input"] = "broken"
    if told["type"] == "thinking":
        told.setdefault("thinking", "")
    return told


def _blocks(objects: Sequence[Json]) -> list[Json]:
    """The blocks of the answer."""
    if objects[0].get("type") == "message":
        return list(objects[0]["content"])
    blocks: list[Json] = []
    inputs: dict[int, str] = {}
    places: dict[int, int] = {}
    for told in objects:
        kind = told.get("type")
        if kind == "message_stop":
            break
        if kind == "content_block_start":
            places[told["index"]] = len(blocks)  # an index may begin anew
            blocks.append(dict(told["content_block"]))
        elif kind == "content_block_delta":
            place = places[told["index"]]
            _add(blocks[place], told["delta"], inputs, place)
    for place, text in inputs.items():
        if text:
            blocks[place]["input"] = _read(text)
    return blocks


def _add(block: Json, delta: Json, inputs: dict[int, str], place: int) -> None:
    if delta["type"] == "input_json_delta":
        inputs[place] = inputs.get(place, "") + delta["partial_json"]
    elif delta["type"] == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    else:
        for name, text in delta.items():
            if name != "type" and text is not None:
                before = block.get(name)
                block[name] = before + text if isinstance(before, str) else text


def _read(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
