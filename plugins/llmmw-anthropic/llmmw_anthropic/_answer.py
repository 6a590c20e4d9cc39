"""What the host answers, as deltas. Pure: events go in, deltas come out.

A whole message is read as the events of a stream that would tell it, so one reader takes both. It
is lenient: hosts leave events out, begin blocks complete, and send blocks that nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw import Delta, Generation, PartDelta, PartEnd, ResponseStart, ToolCallPart
from llmmw.errors import ProtocolError
from llmmw.plugin import Fold
from llmmw_anthropic._blocks import Block, block_of
from llmmw_anthropic._usage import finish_of, usage_of

__all__ = ["Answer"]

Json = Mapping[str, Any]

_SILENT = ("ping", "error")
_IMPLIED = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
}
"""The kind of a block whose beginning was not sent."""
_TOLD_ELSEWHERE = {"type", "role", "content", "usage", "id", "model", "delta"}
_STOPS = ("stop_reason", "stop_sequence", "stop_details")


def _object(told: Any) -> Json:
    return told if isinstance(told, dict) else {}


@attrs.define(eq=False)
class Answer:
    """Reads the events of one answer.

    Args:
        provider: the provider's name, as the response tells it.
        model: the model that was asked.
    """

    provider: str
    model: str
    fold: Fold = attrs.field(factory=Fold, init=False)
    """What was told so far."""
    complete: bool = attrs.field(default=False, init=False)
    """Whether the host has said that the answer ends."""
    _id: str | None = attrs.field(default=None, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _count: int = attrs.field(default=0, init=False)
    _blocks: dict[int, Block] = attrs.field(factory=dict, init=False)
    _usage: dict[str, Any] = attrs.field(factory=dict, init=False)
    _stops: dict[str, Any] = attrs.field(factory=dict, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)
    _made: list[Delta] = attrs.field(factory=list, init=False)

    def take(self, event: Json) -> list[Delta]:
        """The deltas that an event makes. What comes after the end counts only if it begins
        another message, as where a proxy puts several into one answer."""
        kind = event.get("type")
        if kind == "content_block_delta" and not self.complete:
            plain = self._plain(event)
            if plain is not None:
                self.fold(plain)
                return [plain]
        self._made = []
        if not self.complete or kind == "message_start":
            self._hear(str(kind), event)
        return self._made

    def whole(self, message: Json) -> list[Delta]:
        """The deltas of an answer that came whole.

        Raises:
            ProtocolError: if it is no message.
        """
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list):
            raise ProtocolError("the host answered without any content")
        events: list[Json] = [{"type": "message_start", "message": message}]
        for index, block in enumerate(content):
            place = {"index": index, "content_block": block}
            events += [{"type": f"content_block_{word}", **place} for word in ("start", "stop")]
        stops = {name: message.get(name) for name in _STOPS}
        events += [{"type": "message_delta", "delta": stops}, {"type": "message_stop"}]
        return [delta for event in events for delta in self.take(event)]

    def response(self, **fields: Any) -> Generation:
        """The answer as it is now; `fields` are further ones of the response."""
        return self.fold.response(
            usage=usage_of(self._usage) if self._usage else None, raw=self._beside, **fields
        )

    def finished(self, **fields: Any) -> Generation:
        """The whole answer, with why it ended."""
        parts = self.fold.candidates()[0].parts
        calls = any(isinstance(part, ToolCallPart) for part in parts)
        return self.response(finish=finish_of(self._stops, calls=calls), **fields)

    def _make(self, delta: Delta) -> None:
        self.fold(delta)
        self._made.append(delta)

    def _hear(self, kind: str, event: Json) -> None:
        if kind == "content_block_delta":
            self._piece(event)
        elif kind == "message_start":
            self._message(_object(event.get("message")))
        elif kind == "content_block_start":
            self._block(event)
        elif kind == "content_block_stop":
            self._end(self._place(event))
        elif kind == "message_delta":
            delta = _object(event.get("delta"))
            self._stops |= {name: delta[name] for name in _STOPS if delta.get(name) is not None}
            self._keep(delta)
            self._keep(event)
            self._count_usage(event)
        elif kind == "message_stop":
            self._begin()
            self._end_all()
            self.complete = True
        elif kind not in _SILENT:
            self._unknown(event)

    def _message(self, message: Json) -> None:
        id_ = message.get("id") if isinstance(message.get("id"), str) else None
        if self._begun and id_ != self._id:  # another message in the same answer
            self._end_all()
            self._usage.clear()
            self._stops.clear()
        elif self.complete:  # the same once more
            return
        self.complete = False
        self._id = id_
        self._count_usage(message)
        self._keep(message)
        model = message.get("model")
        self._begin(model if isinstance(model, str) and model else None)

    def _begin(self, model: str | None = None) -> None:
        if not self._begun:
            self._begun = True
            start = ResponseStart(id=self._id, model=model or self.model, provider=self.provider)
            self._make(start)

    def _place(self, event: Json) -> int:
        """Which block is meant: without a number it is the last."""
        index = event.get("index")
        return index if isinstance(index, int) else max(self._blocks, default=0)

    def _block(self, event: Json) -> None:
        self._begin()
        place = self._place(event)
        self._end(place)
        told = _object(event.get("content_block"))
        if isinstance(told.get("type"), str):
            block = self._blocks[place] = block_of(told)
            self._told(block, block.begin(self._count))
        else:
            self._unknown(event)

    def _plain(self, event: Json) -> PartDelta | None:
        """The delta of an event that is a piece of text and nothing else, as nearly all are."""
        index, piece = event.get("index"), event.get("delta")
        if not isinstance(index, int) or not isinstance(piece, dict) or len(piece) != 2:
            return None
        block = self._blocks.get(index)
        if block is None or block.index < 0 or piece.get("type") != block.plain[0]:
            return None
        text = piece.get(block.plain[1])
        return PartDelta(index=block.index, text=text) if text and isinstance(text, str) else None

    def _piece(self, event: Json) -> None:
        delta = _object(event.get("delta"))
        place = self._place(event)
        block = self._blocks.get(place)
        if block is None:
            self._begin()
            implied = _IMPLIED.get(str(delta.get("type")))
            if implied is None:
                self._unknown(event)
                return
            block = self._blocks[place] = block_of({"type": implied})
        told = block.take(delta, self._count)
        if told is None:
            self._unknown(event)
        else:
            self._told(block, told)

    def _end(self, place: int) -> None:
        block = self._blocks.pop(place, None)
        if block is None:
            return
        self._told(block, block.rest())
        if block.index >= 0:
            self._make(PartEnd(block.index, block.end(self.fold.whole(block.index))))

    def _end_all(self) -> None:
        for place in sorted(self._blocks):
            self._end(place)

    def _told(self, block: Block, told: list[Delta]) -> None:
        if block.index == self._count:  # it has just become a part
            self._count += 1
        for delta in told:
            self._make(delta)

    def _count_usage(self, event: Json) -> None:
        """The numbers of a stream are totals: a later one replaces the one before."""
        usage = _object(event.get("usage"))
        self._usage |= {name: one for name, one in usage.items() if one is not None}

    def _keep(self, told: Json) -> None:
        """What has no place of its own in a response stands in its `raw`."""
        self._beside |= {
            name: one
            for name, one in told.items()
            if name not in _TOLD_ELSEWHERE and name not in _STOPS and one is not None
        }

    def _unknown(self, event: Json) -> None:
        self._beside.setdefault("events", []).append(dict(event))
