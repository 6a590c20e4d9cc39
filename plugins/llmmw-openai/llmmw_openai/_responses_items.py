"""Items of a response as parts. Pure.

An item becomes one part, or one for each block of a message or of reasoning. What has no place in
a part is kept in its `extra`, so that the item can go back as it came.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from llmmw import (
    Citation,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
)
from llmmw_openai._logprobs import logprobs_of

__all__ = ["CALLS", "ItemReader", "Json", "object_of", "objects", "text_of"]

Json = Mapping[str, Any]

CALLS: Mapping[str, str] = {"function_call": "arguments", "custom_tool_call": "input"}
"""The items that ask the caller for a tool, and where what the tool gets stands in them."""

_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "message": ("content",),
    "reasoning": ("summary", "content"),
}
"""The items made of blocks, and the lists of these."""

_TOLD = frozenset({"type", "id", "content", "summary", "encrypted_content", "role"})


def object_of(item: Any) -> Json:
    """An object, if it is one."""
    return item if isinstance(item, Mapping) else {}


def objects(items: Any) -> list[Json]:
    """The objects of a list, if it is one."""
    return [one for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []


def text_of(item: Any) -> str:
    """A text, if it is one."""
    return item if isinstance(item, str) else ""


@attrs.frozen
class ItemReader:
    """Makes parts of items.

    Args:
        own: the name under which parts keep what only this host understands.
        alternatives: how many alternatives of a token were asked for; `None`: no probabilities.
    """

    own: str
    alternatives: int | None = None

    def blocks(self, item: Json) -> Iterator[tuple[tuple[str, int], Part]]:
        """The parts of an item, each with its place: a list in the item, and a number in it."""
        kind = text_of(item.get("type"))
        places = _BLOCKS.get(kind, ())
        found = [(name, n, b) for name in places for n, b in enumerate(objects(item.get(name)))]
        for name, number, block in found:
            first = (name, number) == found[0][:2]
            yield (name, number), self._block(item, name, block, first)
        if not found:
            yield (places[0] if places else "", 0), self._whole(item, kind)

    def _whole(self, item: Json, kind: str) -> Part:
        if kind == "message":
            return self.text(item, {})
        if kind == "reasoning":
            return self._reasoning(item, "summary", "", first=True)
        if kind in CALLS:
            return self.call(item)
        return _image(item, self.own) or OpaquePart(provider=self.own, type=kind, data=item)

    def _block(self, item: Json, name: str, block: Json, first: bool) -> Part:
        if item.get("type") == "message":
            return self.text(item, block)
        return self._reasoning(item, name, text_of(block.get("text")), first)

    def text(self, item: Json, block: Json) -> TextPart:
        """A block of a message."""
        refusal = block.get("type") == "refusal"
        field = "refusal" if refusal else "text"
        told = {"type", field, "annotations", "logprobs"}
        beside = {name: one for name, one in block.items() if name not in told}
        extra = {"item": _beside(item)} | ({"block": beside} if beside else {})
        return TextPart(
            text_of(block.get(field)),
            refusal=refusal,
            id=text_of(item.get("id")) or None,
            citations=tuple(self.citation(one) for one in objects(block.get("annotations"))),
            logprobs=logprobs_of({"content": block.get("logprobs")}, self.alternatives),
            extra={self.own: extra},
        )

    def _reasoning(self, item: Json, name: str, text: str, first: bool) -> ReasoningPart:
        sealed = text_of(item.get("encrypted_content")) or None
        return ReasoningPart(
            text,
            id=text_of(item.get("id")) or None,
            format="summary" if name == "summary" else "raw",
            encrypted=sealed if first else None,
            extra={self.own: {"item": _beside(item)}},
        )

    def call(self, item: Json) -> ToolCallPart:
        """A call of a tool. Its id is the one that its result must have."""
        kind = text_of(item.get("type"))
        field = CALLS[kind]
        told = {"type", "call_id", "name", field}
        beside = {name: one for name, one in item.items() if name not in told}
        return ToolCallPart(
            id=text_of(item.get("call_id")) or text_of(item.get("id")),
            name=text_of(item.get("name")),
            arguments=text_of(item.get(field)),
            custom=kind == "custom_tool_call",
            extra={self.own: {"item": beside}},
        )

    def citation(self, told: Json) -> Citation:
        """Where a text has its content from: a page, or a file."""
        start, end = told.get("start_index"), told.get("end_index")
        return Citation(
            url=text_of(told.get("url")) or None,
            title=text_of(told.get("title")) or text_of(told.get("filename")) or None,
            start=start if isinstance(start, int) else None,
            end=end if isinstance(end, int) else None,
            extra={self.own: dict(told)},
        )


def _beside(item: Json) -> dict[str, Any]:
    """What an item of blocks has besides these."""
    return {name: one for name, one in item.items() if name not in _TOLD and one is not None}


def _image(item: Json, own: str) -> MediaPart | None:
    """The image that the host has made, if there is one in the item."""
    if item.get("type") != "image_generation_call":
        return None
    try:
        data = base64.b64decode(text_of(item.get("result")), validate=True)
    except ValueError:
        return None
    if not data or base64.b64encode(data).decode() != item.get("result"):
        return None  # it could not be sent back as it came
    form = text_of(item.get("output_format")) or "png"
    beside = {name: one for name, one in item.items() if name not in {"type", "result"}}
    return MediaPart(media_type=f"image/{form}", data=data, extra={own: {"item": beside}})
