"""What the Responses API answers, as parts of a response.

A stream tells items piece by piece, and each again when it is done; its last event tells all of
them. An item is taken from the first of these that has it whole. Pieces know their item by its
place in the output, since some hosts give it another id in each event.
"""

from __future__ import annotations

from typing import Any

import attrs

from llmmw import (
    Finish,
    FinishReason,
    OpaquePart,
    Part,
    ReasoningPart,
    Response,
    TextPart,
    ToolCallPart,
)
from llmmw.errors import ProtocolError
from llmmw_openai._logprobs import logprobs_of
from llmmw_openai._parts import Parts
from llmmw_openai._pieces import as_open, skeleton_of, text_in, with_told
from llmmw_openai._responses_items import CALLS, ItemReader, Json, objects, text_of
from llmmw_openai._usage import usage_of

__all__ = ["ResponsesAnswer"]

_MOST_ITEMS = 10_000
_LAST = 1e15
"""No time is later: seconds since 1970."""


@attrs.define(eq=False)
class _Item:
    """An item so far."""

    head: Json
    """As it was when it began."""
    open: dict[tuple[str, int], int] = attrs.field(factory=dict)
    """The parts that are open, by their place in the item."""
    told: dict[tuple[str, int], list[str]] = attrs.field(factory=dict)
    """What was told of each, in pieces."""
    done: bool = False

    @property
    def kind(self) -> str:
        return text_of(self.head.get("type"))

    def rest(self, place: tuple[str, int], text: str) -> str:
        """What of all the text of a part was not told yet; nothing, if it is another text."""
        before = "".join(self.told.get(place, ()))
        return text[len(before) :] if text.startswith(before) else ""


@attrs.define(eq=False)
class ResponsesAnswer:
    """Reads the events of one response, or a whole one, and builds the response."""

    parts: Parts
    reader: ItemReader
    id: str | None = None
    """The host's name of the response, once it is told."""
    sequence: int | None = None
    """The number of the last event."""
    final: Json | None = None
    """The response as its last event tells it."""
    _items: dict[object, _Item] = attrs.field(factory=dict, init=False)
    _ids: dict[str, object] = attrs.field(factory=dict, init=False)

    async def take(self, event: Json) -> None:
        """Read an event of a stream."""
        number = event.get("sequence_number")
        if isinstance(number, int):
            self.sequence = number
        kind = text_of(event.get("type")).removeprefix("response.")
        if kind == "output_text.delta" and (running := self._running(event)) is not None:
            await self.parts.add(running, text=event["delta"])
        elif kind in _PIECES:
            await self._piece(kind, event)
        elif kind in _ENDS:
            told = event.get("response")
            await self.end(told if isinstance(told, dict) else {})
        elif kind in {"created", "queued", "in_progress"}:
            await self._start(_object(event.get("response")))
        elif kind == "output_item.added":
            await self._added(self._key(event, new=True), _object(event.get("item")))
        elif kind == "output_item.done":
            item = _object(event.get("item"))
            await self._done(self._key(event, new=True), item)
        elif kind in {"content_part.added", "reasoning_summary_part.added"}:
            await self._block(event)

    async def end(self, response: Json) -> None:
        """Read a response that came whole, be it as the last event of a stream."""
        self.final = response
        await self._start(response)
        output = objects(response.get("output"))
        if len(output) > len(self._items) or not all(one.done for one in self._items.values()):
            for place, item in enumerate(output):
                await self._done(self._ids.get(text_of(item.get("id")), place), item)
        for known in self._items.values():
            await self._close(known)

    async def _close(self, item: _Item) -> None:
        """End the parts of an item as they are by their pieces."""
        for index in item.open.values():
            await self.parts.end(index)
        item.open.clear()

    async def _start(self, response: Json) -> None:
        self.id = self.id or text_of(response.get("id")) or None
        await self.parts.start(id=self.id, model=text_of(response.get("model")) or None)

    def _key(self, event: Json, *, new: bool = False) -> object:
        """Which item an event is about."""
        place = event.get("output_index")
        if isinstance(place, int):
            return place
        id_ = text_of(_object(event.get("item")).get("id")) or text_of(event.get("item_id"))
        if id_ in self._ids:
            return self._ids[id_]
        return len(self._items) if new or not self._items else list(self._items)[-1]

    async def _added(self, key: object, head: Json) -> _Item:
        if key not in self._items:
            if len(self._items) >= _MOST_ITEMS:
                raise ProtocolError(f"the host answers with more than {_MOST_ITEMS} items")
            await self._keep_place()
            item = self._items[key] = _Item(head)
            self._ids.setdefault(text_of(head.get("id")), key)
            if item.kind in CALLS:
                skeleton = attrs.evolve(self.reader.call(head), arguments="")
                await self._open(item, ("", 0), skeleton)
            elif item.kind not in {"message", "reasoning", "image_generation_call", ""}:
                part = OpaquePart(provider=self.reader.own, type=item.kind, data=head)
                await self._open(item, ("", 0), part)
        return self._items[key]

    async def _keep_place(self) -> None:
        """The last item has its part before the next begins, though it may have said nothing."""
        last = next(reversed(self._items.values()), None)
        if last is not None and not last.done and not last.open and last.kind in _SILENT:
            place = _SILENT[last.kind]
            await self._open(last, (place, 0), self._skeleton(last, last.kind, place, ""))

    async def _open(self, item: _Item, place: tuple[str, int], part: Part) -> int:
        if place not in item.open:
            item.open[place] = await self.parts.begin(part)
        return item.open[place]

    async def _block(self, event: Json) -> None:
        """A block of an item begins."""
        kind = text_of(_object(event.get("part")).get("type"))
        if kind in _BLOCKS:
            type_, place = _BLOCKS[kind]
            item = await self._added(self._key(event), {"type": type_, "id": event.get("item_id")})
            if not item.done:
                skeleton = self._skeleton(item, type_, place, kind)
                await self._open(item, (place, _place(event, place)), skeleton)

    def _running(self, event: Json) -> int | None:
        """The part that is open where an event adds text and nothing else, as nearly all do."""
        key, number = event.get("output_index"), event.get("content_index")
        text = event.get("delta")
        item = self._items.get(key) if isinstance(key, int) else None
        if item is None or not isinstance(number, int) or not isinstance(text, str):
            return None
        place = ("content", number)
        told, index = item.told.get(place), item.open.get(place)
        if told is None or index is None or item.done or event.get("logprobs"):
            return None
        told.append(text)
        return index

    async def _piece(self, kind: str, event: Json) -> None:
        """A piece of a part; or all of it again, of which the missing rest is told."""
        type_, place, field = _PIECES[kind]
        item = await self._added(self._key(event), {"type": type_, "id": event.get("item_id")})
        if item.done:
            return
        at = (place, _place(event, place))
        if kind == "output_text.annotation.added":
            cited = self.reader.citation(_object(event.get("annotation")))
            index = await self._open(item, at, self.reader.text(item.head, {}))
            await self.parts.add(index, citation=cited)
            return
        text = text_of(event.get(field))
        if field != "delta":
            text = item.rest(at, text)
        if not text:
            return
        if at not in item.open:
            await self._open(item, at, self._skeleton(item, type_, place, kind))
        item.told.setdefault(at, []).append(text)
        piece: dict[str, Any] = {"arguments" if type_ in CALLS else "text": text}
        if type_ == "message" and field == "delta" and event.get("logprobs"):
            rows = {"content": event["logprobs"]}
            piece["logprobs"] = logprobs_of(rows, self.reader.alternatives)
        await self.parts.add(item.open[at], **piece)

    def _skeleton(self, item: _Item, type_: str, place: str, kind: str) -> Part:
        id_ = text_of(item.head.get("id")) or None
        if type_ == "message":
            return TextPart("", refusal=kind.startswith("refusal"), id=id_)
        if type_ == "reasoning":
            return ReasoningPart(id=id_, format="summary" if place == "summary" else "raw")
        return ToolCallPart(id=id_ or "", name="")

    async def _done(self, key: object, told: Json) -> None:
        """An item is whole: tell what is new of it, and end its parts."""
        item = await self._added(key, told)
        if item.done:
            return
        item.done = True
        rows = dict(self.reader.blocks(told))
        bare = next(iter(rows.values()))
        if len(rows) == 1 and not text_in(bare):  # the pieces alone may have the text
            opened = {at: self.parts.fold.whole(index) for at, index in item.open.items()}
            rows = {at: as_open(bare, one) for at, one in opened.items()} or rows
        for place, part in rows.items():
            unused = next((at for at in item.open if at not in rows and at not in item.told), None)
            if place not in item.open and unused is not None:
                item.open[place] = item.open.pop(unused)
            elif place not in item.open:
                await self._open(item, place, skeleton_of(part))
            index = item.open.pop(place)
            rest = item.rest(place, text_in(part))
            name = "arguments" if isinstance(part, ToolCallPart) else "text"
            await self.parts.add(index, **{name: rest})
            await self.parts.end(index, with_told(part, self.parts.fold.whole(index)))
        await self._close(item)

    async def finish(self, **fields: Any) -> Response:
        """The response; `fields` are further ones of it.

        Raises:
            ProtocolError: if nothing was answered at all.
        """
        if not self._items and not isinstance((self.final or {}).get("output"), list):
            raise ProtocolError("the host answered without any output")
        final = self.final or {}
        usage = final.get("usage")
        created = final.get("created_at")
        beside = {name: one for name, one in final.items() if name not in {"output", "usage"}}
        return await self.parts.finish(
            self._finish(final),
            usage=usage_of(usage) if isinstance(usage, dict) else None,
            created=float(created)
            if isinstance(created, (int, float)) and abs(created) < _LAST
            else None,
            raw=beside,
            **fields,
        )

    def _finish(self, final: Json) -> Finish:
        """Why it ended. The wire has no word for that: the status, and what was answered."""
        status = text_of(final.get("status")) or "completed"
        why = _object(final.get("incomplete_details"))
        raw = text_of(why.get("reason")) or text_of(final.get("status")) or None
        parts = self.parts.fold.candidates()[0].parts
        reason: FinishReason = _STATUSES.get(raw or status, _STATUSES.get(status, "other"))
        if reason == "stop" and any(isinstance(part, ToolCallPart) for part in parts):
            reason = "tool_call"
        elif reason == "stop" and any(isinstance(p, TextPart) and p.refusal for p in parts):
            reason = "content_filter"
        return Finish(reason, raw=raw, detail=dict(why) or None)


_ENDS = frozenset({"completed", "incomplete", "failed", "cancelled", "done"})

_PIECES: dict[str, tuple[str, str, str]] = {
    "output_text.delta": ("message", "content", "delta"),
    "output_text.done": ("message", "content", "text"),
    "output_text.annotation.added": ("message", "content", ""),
    "refusal.delta": ("message", "content", "delta"),
    "refusal.done": ("message", "content", "refusal"),
    "reasoning_text.delta": ("reasoning", "content", "delta"),
    "reasoning_text.done": ("reasoning", "content", "text"),
    "reasoning_summary_text.delta": ("reasoning", "summary", "delta"),
    "reasoning_summary_text.done": ("reasoning", "summary", "text"),
    "function_call_arguments.delta": ("function_call", "", "delta"),
    "function_call_arguments.done": ("function_call", "", "arguments"),
    "custom_tool_call_input.delta": ("custom_tool_call", "", "delta"),
    "custom_tool_call_input.done": ("custom_tool_call", "", "input"),
}
"""Events about pieces: the type of their item, the list in it, and the field of the text. A field
other than `delta` has all of it."""

_BLOCKS = {
    "output_text": ("message", "content"),
    "refusal": ("message", "content"),
    "reasoning_text": ("reasoning", "content"),
    "summary_text": ("reasoning", "summary"),
}
"""The types of blocks: that of their item, and the list in it."""

_SILENT = {"message": "content", "reasoning": "summary"}
"""Items of blocks that may have none, and the list of their first."""

_STATUSES: dict[str, FinishReason] = {
    "completed": "stop",
    "complete": "stop",
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "failed": "error",
}


def _object(item: Any) -> Json:
    return item if isinstance(item, dict) else {}


def _place(event: Json, place: str) -> int:
    """The number of a block in its list."""
    number = event.get(f"{place}_index")
    return number if isinstance(number, int) else 0
