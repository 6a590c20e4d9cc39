"""The blocks that an answer is made of, each as a part of ours. Pure.

A block is an object with one member, whose name is its kind. In a stream it comes in pieces of the
same form, of most kinds without a beginning. It becomes a part when there is something in it: an
empty one is told to nobody, since the host would not take it back either.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

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
from llmmw_bedrock._media import media_of
from llmmw_bedrock._values import NAME, objects, text

__all__ = ["Block", "block_of", "kind_of"]

Json = Mapping[str, Any]

_TEXT, _THOUGHT, _SEALED = TextPart(""), ReasoningPart(), ReasoningPart(redacted=True)


def kind_of(told: Json) -> str:
    """The kind of a block or of a piece of one: the name of its member. Some have a type beside."""
    return next((str(name) for name, one in told.items() if one is not None and name != "type"), "")


def block_of(told: Json) -> Block:
    """The block that begins with `told`, which may be a whole one or a piece."""
    kind = kind_of(told)
    inner = told.get(kind)
    fields = inner if isinstance(inner, dict) else {}
    if kind == "reasoningContent":
        return SealedBlock() if "redactedContent" in fields else ThinkingBlock()
    if kind == "toolUse" and fields.get("type") != "server_tool_use":
        return ToolBlock()
    return _KINDS.get(kind, OpaqueBlock)()


@attrs.define(eq=False)
class Block:
    """A block. `index` is the number of its part; -1 as long as it is none."""

    index: int = attrs.field(default=-1, init=False)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        """The deltas of a piece of it, or `None` if that is none of such a block; `index` is the
        number that its part would have."""
        raise NotImplementedError

    def rest(self, index: int) -> list[Delta]:
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


def _extra(told: Json, *known: str) -> Json:
    more = {name: one for name, one in told.items() if name not in known and one is not None}
    return {NAME: more} if more else {}


@attrs.define(eq=False)
class TextBlock(Block):
    """Text, and where it has its content from."""

    extra: Json = attrs.field(factory=dict, init=False)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        kind = kind_of(piece)
        if kind == "text":
            return self._say(text(piece["text"]), None, index)
        if kind == "citation":
            return self._say("", piece["citation"], index)
        cited = piece.get("citationsContent")
        if kind != "citationsContent" or not isinstance(cited, dict):
            return None
        told: list[Delta] = []
        for one in objects(cited.get("content")):
            told += self._say(text(one.get("text")), None, index)
        for source in objects(cited.get("citations")):
            told += self._say("", source, index)
        self.extra = _extra(cited, "content", "citations")
        return told

    def end(self, part: Part) -> Part:
        assert isinstance(part, TextPart)
        return attrs.evolve(part, extra=self.extra)

    def _say(self, said: str, source: Any, index: int) -> list[Delta]:
        citation = _citation(source) if isinstance(source, dict) else None
        if not said and citation is None:
            return []
        begun = self._part(_TEXT, index)
        return [*begun, PartDelta(index=self.index, text=said, citation=citation)]


@attrs.define(eq=False)
class ThinkingBlock(Block):
    """What the model thought, with the signature that it must be sent back with."""

    extra: Json = attrs.field(factory=dict, init=False)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        thought = piece.get("reasoningContent")
        if not isinstance(thought, dict) or "redactedContent" in thought:
            return None
        whole = thought.get("reasoningText")
        fields = whole if isinstance(whole, dict) else thought
        if fields is whole:
            self.extra = _extra(fields, "text", "signature")
        said, sign = text(fields.get("text")), text(fields.get("signature"))
        if not said and not sign:
            return []
        begun = self._part(_THOUGHT, index)
        return [*begun, PartDelta(index=self.index, text=said, signature=sign or None)]

    def end(self, part: Part) -> Part:
        assert isinstance(part, ReasoningPart)
        return attrs.evolve(part, extra=self.extra)


@attrs.define(eq=False)
class SealedBlock(Block):
    """What the model thought, and only its host may read."""

    pieces: list[str] = attrs.field(factory=list, init=False)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        thought = piece.get("reasoningContent")
        if not isinstance(thought, dict) or "redactedContent" not in thought:
            return None
        sealed = text(thought["redactedContent"])
        self.pieces += [sealed] if sealed else []
        return self._part(_SEALED, index) if sealed else []

    def end(self, part: Part) -> Part:
        assert isinstance(part, ReasoningPart)
        return attrs.evolve(part, encrypted=_joined(self.pieces))


@attrs.define(eq=False)
class ToolBlock(Block):
    """A call of a tool. Its arguments come whole, as an object, or in pieces of JSON text."""

    given: Any = attrs.field(factory=dict, init=False)
    told: bool = attrs.field(default=False, init=False)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        call = piece.get("toolUse")
        if not isinstance(call, dict):
            return None
        said = call.get("input")
        told: list[Delta] = []
        if self.index < 0 or "toolUseId" in call:
            part = ToolCallPart(
                id=text(call.get("toolUseId")),
                name=text(call.get("name")),
                extra=_extra(call, "toolUseId", "name", "input", "type"),
            )
            told = self._part(part, index)
        if not isinstance(said, str):
            self.given = self.given if said is None else said
            return told
        self.told = self.told or bool(said)
        return [*told, PartDelta(index=self.index, arguments=said)] if said else told

    def rest(self, index: int) -> list[Delta]:
        if self.told or self.index < 0:
            return []
        return [PartDelta(index=self.index, arguments=_written(self.given))]


@attrs.define(eq=False)
class OpaqueBlock(Block):
    """A block that only this wire understands; it is kept to be sent back as it is."""

    kind: str = attrs.field(default="", init=False)
    data: Any = attrs.field(default=None, init=False)
    pieces: list[str] = attrs.field(factory=list, init=False)
    """JSON text of the input of a call that the host ran itself."""

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        kind = kind_of(piece)
        if self.kind and kind != self.kind:
            return None
        self.kind, more = kind, piece.get(kind)
        if isinstance(more, dict) and isinstance(more.get("input"), str) and self.data is not None:
            self.pieces.append(more["input"])
        elif isinstance(more, list) and isinstance(self.data, dict):  # of a toolResult
            self.data = self.data | {"content": [*objects(self.data.get("content")), *more]}
        elif isinstance(more, dict) and isinstance(self.data, dict):
            self.data = self.data | more
        else:
            self.data = more
        return self._part(OpaquePart(provider=NAME, type=kind), index) if kind else []

    def end(self, part: Part) -> Part:
        data = self.data
        if self.pieces and isinstance(data, dict):
            data = data | {"input": _read("".join(self.pieces))}
        return OpaquePart(provider=NAME, type=self.kind, data={self.kind: data})


@attrs.define(eq=False)
class MediaBlock(OpaqueBlock):
    """An image, or what stands in its place."""

    sealed: list[str] = attrs.field(factory=list, init=False)

    def take(self, piece: Json, index: int) -> list[Delta] | None:
        kind = kind_of(piece)
        if self.kind and kind != self.kind:
            return None
        self.kind, more = kind, piece.get(kind)
        fields = more if isinstance(more, dict) else {}
        source = fields.get("source")
        if isinstance(source, dict) and isinstance(source.get("bytes"), str):
            self.sealed.append(source["bytes"])
        self.data = (self.data or {}) | fields
        return []

    def rest(self, index: int) -> list[Delta]:
        if self.sealed:
            self.data = self.data | {"source": {"bytes": _joined(self.sealed)}}
        part = media_of(self.kind, self.data or {})
        return self._part(part or super().end(_TEXT), index) if self.data else []

    def end(self, part: Part) -> Part:
        return part


_KINDS: Mapping[str, type[Block]] = {
    "text": TextBlock,
    "citation": TextBlock,
    "citationsContent": TextBlock,
    "image": MediaBlock,
    "audio": MediaBlock,
}


def _citation(source: Json) -> Citation:
    """Where a text comes from. The host's own form goes along, since it wants that back."""
    location = source.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    url = text(web.get("url")) if isinstance(web, dict) else ""
    cited = "".join(text(one.get("text")) for one in objects(source.get("sourceContent")))
    return Citation(
        url=url or None,
        title=text(source.get("title")) or None,
        text=cited or None,
        extra={NAME: dict(source)},
    )


def _joined(pieces: list[str]) -> str:
    """Bytes that came in pieces, each in base64."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)


def _written(given: Any) -> str:
    try:
        return json.dumps(given, ensure_ascii=False)
    except RecursionError:
        pass
    raise ProtocolError("the arguments of a tool call nest too deeply")


def _read(said: str) -> Any:
    """The input of a call that the host ran itself; what is no JSON stays a text."""
    try:
        return loads(said) if said.strip() else {}
    except ProtocolError:
        return said
