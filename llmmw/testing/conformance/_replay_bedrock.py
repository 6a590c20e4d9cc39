"""How Bedrock's Converse wants its answers back: each block as it was, and a result for each
call in the turn behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import bare, beside

__all__ = ["bedrock_breaches"]

Json = dict[str, Any]


def bedrock_breaches(
    case: Case, objects: Sequence[Json], sent: Mapping[str, Any], in_loop: bool
) -> list[str]:
    """The rules that a body breaks: blocks stand unchanged in their order, reasoning with its
    signature; turns alternate; the next turn begins with one result a call of ours, by its id;
    where tools are spoken of, some are declared."""
    wanted = _known(_blocks(objects))
    turns = list(sent["messages"])
    answer = turns[1]["content"] if len(turns) > 1 else []
    found = beside(_known(answer), wanted, "block")
    if [turn["role"] for turn in turns] != (["user", "assistant", "user"] if wanted else ["user"]):
        found.append(f"the roles are {[turn['role'] for turn in turns]}")
    served = {one["toolResult"]["toolUseId"] for one in wanted if "toolResult" in one}
    uses = [one["toolUse"]["toolUseId"] for one in wanted if "toolUse" in one]
    calls = [one for one in uses if one not in served]
    if uses and not (sent.get("toolConfig") or {}).get("tools"):
        found.append("tools are spoken of, and none is declared")
    results = [block.get("toolResult", {}).get("toolUseId") for block in turns[-1]["content"]]
    answered = [one for one in results if one]
    if calls and answered != calls:
        found.append(f"the turn after the calls {calls} has results of {answered}")
    if results[: len(calls)] != calls:
        found.append(f"the results of {calls} do not begin the turn")
    return found


def _known(blocks: Iterable[Json]) -> list[Json]:
    """Blocks without what says nothing; texts in a row are one. Reasoning that nobody signed need
    not go back."""
    told: list[Json] = []
    for block in blocks:
        one = _bare(block)
        thought = one.get("reasoningContent", {}).get("reasoningText")
        if thought is not None and "signature" not in thought:
            continue
        if one.keys() == {"text"} and told and told[-1].keys() == {"text"}:
            told[-1] = {"text": told[-1]["text"] + one["text"]}
        elif one and one.keys() != {"cachePoint"} and (one.get("text", "-").strip()):
            told.append(one)
    return told


def _bare(block: Json) -> Json:
    told: Json = bare(block)
    told.pop("type", None)
    for kind in told.keys() & {"toolUse", "toolResult"}:
        told[kind].pop("type", None)
    if "toolUse" in block:
        told["toolUse"]["input"] = block["toolUse"].get("input") or {}
    return told


def _blocks(objects: Sequence[Json]) -> list[Json]:
    """The blocks of the answer, whole or of all its deltas."""
    if "output" in objects[0]:
        return list(objects[0]["output"]["message"]["content"])
    blocks: dict[int, Json] = {}
    for told in objects:
        ((kind, event),) = told.items()
        if kind == "contentBlockStart":
            blocks[event["contentBlockIndex"]] = _begun(event.get("start") or {})
        elif kind == "contentBlockDelta":
            _add(blocks.setdefault(event["contentBlockIndex"], {}), event["delta"])
    for block in blocks.values():
        use = block.get("toolUse")
        if use is not None:
            use["input"] = orjson.loads(use["input"] or "{}")
    return [blocks[place] for place in sorted(blocks)]


def _begun(start: Json) -> Json:
    told = {kind: dict(one) for kind, one in start.items()}
    if "toolUse" in told:
        told["toolUse"]["input"] = ""
    return told


def _add(block: Json, delta: Json) -> None:
    for kind, piece in delta.items():
        if kind == "text":
            block["text"] = block.get("text", "") + piece
        elif kind == "toolUse":
            block["toolUse"]["input"] += piece.get("input") or ""
        elif kind == "toolResult":
            block["toolResult"].setdefault("content", []).extend(piece)
        elif kind == "reasoningContent" and "redactedContent" in piece:
            block[kind] = piece
        elif kind == "reasoningContent":
            text = block.setdefault(kind, {"reasoningText": {}})["reasoningText"]
            for name, told in piece.items():
                text[name] = text.get(name, "") + told
        else:
            raise ValueError(f"a delta of the kind {kind}")
