"""How the Responses API wants its answers back: each item as it was, and an output a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._recorded import bare, beside

__all__ = ["responses_breaches"]

Json = dict[str, Any]

_ENDS = {"response.completed", "response.incomplete", "response.failed"}
_OUTPUTS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}


def responses_breaches(
    case: Case, objects: Sequence[Json], sent: Mapping[str, Any], in_loop: bool
) -> list[str]:
    """The rules that a body breaks: items stand unchanged in their order, so that reasoning with
    its id and sealed content stands before what followed it; each call has an output by its
    `call_id` behind all of them."""
    told = [[_known(item) for item in items] for items in _tellings(objects)]
    if not told:
        return []  # a stream that told no item as a whole
    given = list(sent["input"])[1:]
    wanted = told[0]
    outputs = [(_OUTPUTS[i["type"]], i["call_id"]) for i in wanted if i["type"] in _OUTPUTS]
    after = len(outputs) + (not in_loop)
    back, rest = given[: len(given) - after], given[len(given) - after :]
    items = [_known(item) for item in back]
    found = [] if items in told else beside(items, wanted, "item")
    if [(item.get("type"), item.get("call_id")) for item in rest[: len(outputs)]] != outputs:
        found.append(f"behind the calls stands {rest}, not the outputs {outputs}")
    return found


def _known(item: Json) -> Json:
    """An item without what says nothing, and what is for reading alone."""
    told: Json = bare(item)
    told.setdefault("type", "message")
    for block in told.get("content") or () if told["type"] == "message" else ():
        block.pop("logprobs", None)
    return told


def _tellings(objects: Sequence[Json]) -> list[list[Json]]:
    """The items of the answer. A stream tells them twice, at their ends and at its own, where ids
    and what is sealed may be others: the host takes either."""
    if "output" in objects[0]:
        return [list(objects[0]["output"])]
    done: dict[int, Json] = {}
    last: list[Json] = []
    for told in objects:
        if told.get("type") == "response.output_item.done":
            done[told.get("output_index", len(done))] = told["item"]
        elif told.get("type") in _ENDS:
            last = list(told.get("response", {}).get("output") or ())
            break
    each = [done[place] for place in sorted(done)]
    return [some for some in (last, each) if some]
