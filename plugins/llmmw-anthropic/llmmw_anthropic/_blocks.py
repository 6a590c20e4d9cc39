"""The blocks that an answer is made of, each as a part of ours. Pure.

A block becomes a part when there is something in it: an empty one is told to nobody, since the host
would not take it back either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from llmmw import (
    Citation,
    Delta,
    OpaquePart,
    Part,
    PartDelta,
    PartStart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
)
from llmmw.errors import ProtocolError
from llmmw.wire import loads

__all__ = ["NAME", "Block", "block_of"]

NAME = "anthropic"
"""Under which parts keep what only this wire understands."""

Json = Mapping[str, Any]


_TEXT, _THOUGHT = TextPart(""), ReasoningPart()


def block_of(told: Json) -> Block:
    """A block as it begins."""
    return _KINDS.get(str(told.get("type")), OpaqueBlock)(told)


def _text(told: Any) -> str:
    return told if isinstance(told, str) else ""


@attrs.define(eq=False)
class Block:
    """A block. `index` is the number of its part; -1 as long as it is none."""

    plain: ClassVar[tuple[str, str]] = ("", "")
    """The type of a piece that only adds to the text of its part, and the field of that."""
    start: Json
    index: int = attrs.field(default=-1, init=False)

    def begin(self, index: int) -> list[Delta]:
        """The deltas of what it begins with; `index` is the number that its part would have."""
        raise NotImplementedError

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        """The deltas of a piece of it, or `None` if that is none of such a block."""
        raise NotImplementedError

    def rest(self) -> list[Delta]:
        """The deltas of what could not be told before its end."""
        return []

    def end(self, part: Part) -> Part:
        """The complete part, made of what was told."""
        return part

    def _part(self, skeleton: Part, index: int) -> list[Delta]:
        """Its beginning as a part, if it was none yet."""
        if self.index >= 0:
            return []
        self.index = index
        return [PartStart(index, skeleton)]

    def _extra(self, *known: str) -> Json:
        more = {
            name: one
            for name, one in self.start.items()
            if name not in known and name != "type" and one is not None
        }
        return {NAME: more} if more else {}


class TextBlock(Block):
    """Text, and where it has its content from."""

    plain = ("text_delta", "text")

    def begin(self, index: int) -> list[Delta]:
        told = self._piece(_text(self.start.get("text")), None, index)
        sources = self.start.get("citations")
        for source in sources if isinstance(sources, list) else ():
            told += self._piece("", source, index)
        return told

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        if piece.get("type") not in ("text_delta", "citations_delta"):
            return None
        return self._piece(_text(piece.get("text")), piece.get("citation"), index)

    def end(self, part: Part) -> Part:
        assert isinstance(part, TextPart)
        return attrs.evolve(part, extra=self._extra("text", "citations"))

    def _piece(self, text: str, source: Any, index: int) -> list[Delta]:
        citation = _citation(source) if isinstance(source, dict) else None
        if not text and citation is None:
            return []
        begun = self._part(_TEXT, index)
        return [*begun, PartDelta(index=self.index, text=text, citation=citation)]


class ThinkingBlock(Block):
    """What the model thought, with the signature that it must be sent back with."""

    plain = ("thinking_delta", "thinking")

    def begin(self, index: int) -> list[Delta]:
        return self._piece(self.start.get("thinking"), self.start.get("signature"), index)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        if piece.get("type") not in ("thinking_delta", "signature_delta"):
            return None
        return self._piece(piece.get("thinking"), piece.get("signature"), index)

    def end(self, part: Part) -> Part:
        assert isinstance(part, ReasoningPart)
        return attrs.evolve(part, extra=self._extra("thinking", "signature"))

    def _piece(self, thought: Any, signature: Any, index: int) -> list[Delta]:
        text, sign = _text(thought), _text(signature)
        if not text and not sign:
            return []
        begun = self._part(_THOUGHT, index)
        return [*begun, PartDelta(index=self.index, text=text, signature=sign or None)]


class RedactedBlock(Block):
    """What the model thought, and only its host may read."""

    def begin(self, index: int) -> list[Delta]:
        sealed = _text(self.start.get("data"))
        part = ReasoningPart(redacted=True, encrypted=sealed, extra=self._extra("data"))
        return self._part(part, index)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        return None


@attrs.define(eq=False)
class ToolBlock(Block):
    """A call of a tool. Its arguments may stand in its beginning; pieces of them replace that."""

    told: bool = attrs.field(default=False, init=False)

    def begin(self, index: int) -> list[Delta]:
        id_, name = _text(self.start.get("id")), _text(self.start.get("name"))
        extra = self._extra("id", "name", "input")
        return self._part(ToolCallPart(id=id_, name=name, extra=extra), index)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        if piece.get("type") != "input_json_delta":
            return None
        return self._arguments(_text(piece.get("partial_json")))

    def rest(self) -> list[Delta]:
        given = self.start.get("input")
        return [] if self.told else self._arguments(_written({} if given is None else given))

    def _arguments(self, text: str) -> list[Delta]:
        self.told = self.told or bool(text)
        return [PartDelta(index=self.index, arguments=text)] if text else []


@attrs.define(eq=False)
class OpaqueBlock(Block):
    """A block that only this wire understands; it is kept to be sent back as it is."""

    data: dict[str, Any] = attrs.field(init=False)
    pieces: list[str] = attrs.field(factory=list, init=False)
    """JSON text of its input."""

    def __attrs_post_init__(self) -> None:
        self.data = dict(self.start)

    def begin(self, index: int) -> list[Delta]:
        return self._part(self.end(None), index)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        if piece.get("type") == "input_json_delta":
            self.pieces.append(_text(piece.get("partial_json")))
            return []
        for name, more in piece.items():
            before = self.data.get(name)
            if name == "type" or more is None:
                continue
            if isinstance(before, str) and isinstance(more, str):
                more = before + more
            elif isinstance(before, list) and isinstance(more, list):
                more = [*before, *more]
            self.data[name] = more
        return []

    def end(self, part: Part | None) -> Part:
        data = dict(self.data)
        text = "".join(self.pieces)
        if text.strip():
            data["input"] = _read(text)
        return OpaquePart(provider=NAME, type=str(data.get("type")), data=data)


_KINDS: Mapping[str, type[Block]] = {
    "text": TextBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedBlock,
    "tool_use": ToolBlock,
}


def _citation(source: Json) -> Citation:
    """Where a text comes from. The host's own form goes along, since it wants that back."""
    url, cited = source.get("url") or source.get("source"), source.get("cited_text")
    title = source.get("title") or source.get("document_title")
    return Citation(
        url=_text(url) or None,
        title=_text(title) or None,
        text=_text(cited) or None,
        extra={NAME: dict(source)},
    )


def _written(given: Any) -> str:
    if isinstance(given, str):
        return given
    try:
        return json.dumps(given, ensure_ascii=False)
    except RecursionError:
        pass
    raise ProtocolError("the arguments of a tool call nest too deeply")


def _read(text: str) -> Any:
    """The input of a call that the host ran itself; what is no JSON stays a text."""
    try:
        return loads(text)
    except ProtocolError:
        return text
