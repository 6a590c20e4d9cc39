"""What the host answers, as deltas. Pure: events go in, deltas come out.

A whole message is read as the events of a stream that would tell it, so one reader takes both. It
is lenient: hosts leave events out, and send blocks that nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw import Delta, Generation, PartEnd, ResponseStart, ToolCallPart
from llmmw.errors import ProtocolError
from llmmw.plugin import Fold
from llmmw_bedrock._blocks import Block, block_of, kind_of
from llmmw_bedrock._usage import finish_of, usage_of

__all__ = ["Answer"]

Json = Mapping[str, Any]

_TOLD_ELSEWHERE = {"output", "stopReason", "usage", "p"}
"""`p` only hides how long an event is."""
_FIELDS = "additionalModelResponseFields"


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
    counted: bool = attrs.field(default=False, init=False)
    """Whether it has said what the answer cost: the last that it says."""
    _begun: bool = attrs.field(default=False, init=False)
    _count: int = attrs.field(default=0, init=False)
    _blocks: dict[int, Block] = attrs.field(factory=dict, init=False)
    _usage: dict[str, Any] = attrs.field(factory=dict, init=False)
    _stop: str | None = attrs.field(default=None, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)
    _made: list[Delta] = attrs.field(factory=list, init=False)

    def take(self, kind: str, event: Json) -> list[Delta]:
        """The deltas that an event makes."""
        self._made = []
        if kind == "metadata":
            self._usage |= _object(event.get("usage"))
            self._keep(event)
            self.counted = True
        elif not self.complete:
            self._hear(kind, event)
        return self._made

    def whole(self, message: Json) -> list[Delta]:
        """The deltas of an answer that came whole.

        Raises:
            ProtocolError: if it is no message.
        """
        content = _object(_object(message.get("output")).get("message")).get("content")
        if not isinstance(content, list):
            raise ProtocolError("the host answered without any content")
        events: list[tuple[str, Json]] = [("messageStart", {})]
        for index, block in enumerate(content):
            place = {"contentBlockIndex": index}
            events += [
                ("contentBlockStart", place | {"start": block}),
                ("contentBlockStop", place),
            ]
        events += [("messageStop", message), ("metadata", message)]
        return [delta for kind, event in events for delta in self.take(kind, event)]

    def response(self, **fields: Any) -> Generation:
        """The answer as it is now; `fields` are further ones of the response."""
        return self.fold.response(
            usage=usage_of(self._usage) if self._usage else None, raw=self._beside, **fields
        )

    def finished(self, **fields: Any) -> Generation:
        """The whole answer, with why it ended."""
        parts = self.fold.candidates()[0].parts
        calls = any(isinstance(part, ToolCallPart) for part in parts)
        finish = finish_of(self._stop, self._beside.get(_FIELDS), calls=calls)
        return self.response(finish=finish, **fields)

    def _make(self, delta: Delta) -> None:
        self.fold(delta)
        self._made.append(delta)

    def _hear(self, kind: str, event: Json) -> None:
        if kind == "contentBlockDelta":
            self._piece(event, _object(event.get("delta")))
        elif kind == "contentBlockStart":
            self._begin()
            self._end(self._place(event))
            self._piece(event, _object(event.get("start")))
        elif kind == "contentBlockStop":
            self._end(self._place(event))
        elif kind == "messageStart":
            self._begin()
        elif kind == "messageStop":
            self._begin()
            for place in sorted(self._blocks):
                self._end(place)
            stop = event.get("stopReason")
            self._stop = stop if isinstance(stop, str) else None
            self._keep(event)
            self.complete = True
        else:
            self._unknown(kind, event)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._make(ResponseStart(model=self.model, provider=self.provider))

    def _place(self, event: Json) -> int:
        """Which block is meant: without a number it is the last."""
        index = event.get("contentBlockIndex")
        return index if isinstance(index, int) else max(self._blocks, default=0)

    def _piece(self, event: Json, piece: Json) -> None:
        self._begin()
        if not kind_of(piece):
            self._unknown("contentBlock", event)
            return
        place = self._place(event)
        block = self._blocks.get(place)
        told = None if block is None else block.take(piece, self._count)
        if block is None or told is None:  # it begins without being told to
            self._end(place)
            block = self._blocks[place] = block_of(piece)
            told = block.take(piece, self._count)
        if told is None:
            self._unknown("contentBlock", event)
        else:
            self._told(block, told)

    def _end(self, place: int) -> None:
        block = self._blocks.pop(place, None)
        if block is None:
            return
        self._told(block, block.rest(self._count))
        if block.index >= 0:
            self._make(PartEnd(block.index, block.end(self.fold.whole(block.index))))

    def _told(self, block: Block, told: list[Delta]) -> None:
        if block.index == self._count:  # it has just become a part
            self._count += 1
        for delta in told:
            self._make(delta)

    def _keep(self, told: Json) -> None:
        """What has no place of its own in a response stands in its `raw`."""
        self._beside |= {
            name: one
            for name, one in told.items()
            if name not in _TOLD_ELSEWHERE and one is not None
        }

    def _unknown(self, kind: str, event: Json) -> None:
        told = {name: one for name, one in event.items() if name != "p"}
        self._beside.setdefault("events", []).append({kind: told})
