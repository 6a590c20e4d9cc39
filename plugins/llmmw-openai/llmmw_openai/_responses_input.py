"""Messages as the items that the Responses API has them. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import attrs

from llmmw import (
    CachePoint,
    MediaPart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import UnsupportedFeature
from llmmw.wire import Losses
from llmmw_openai._responses_items import object_of

__all__ = ["Items"]

Json = dict[str, Any]


@attrs.define
class Items:
    """Turns messages into items of an input.

    Args:
        own: the name under which parts keep what only this host understands.
        losses: takes what the host is not told.
        stored: whether the host keeps what it answers, so that an id is enough to find it.
    """

    own: str
    losses: Losses
    stored: bool = True
    _custom: set[str] = attrs.field(factory=set, init=False)
    """The ids of calls of tools without a schema: their results have another type."""
    _shown: list[Part] = attrs.field(factory=list, init=False)
    """Media of answers that only a user's message can show."""

    def of(self, messages: Sequence[Message]) -> list[Json]:
        """The items.

        Raises:
            UnsupportedFeature: for a part that the wire has no place for.
        """
        told: list[Json] = []
        for message in messages:
            if message.role != "tool":
                told.extend(self._show())
            if message.role == "tool":
                told.extend(self._results(message))
            elif message.role == "assistant":
                told.extend(self._answer(message))
            else:
                told.extend(self._asked(message))
        return [*told, *self._show()]

    def _asked(self, message: Message) -> Iterator[Json]:
        """A message of a user or of the system; items that stand in it come before it."""
        blocks = []
        for part in message.parts:
            item = self._item_in(part)
            if item is None:
                blocks.append(part)
            else:
                yield item
        content = self._content(blocks, message.role)
        if content or len(blocks) == len(message.parts):
            told: Json = {"role": message.role, "content": content}
            yield told | dict(message.extra.get(self.own) or {})

    def _item_in(self, part: Part) -> Json | None:
        """What stands among the parts of a message, and is an item in its own right."""
        if not isinstance(part, OpaquePart) or part.provider != self.own:
            return None
        return None if part.type.startswith(("input_", "output_")) else dict(part.data)

    def _content(self, parts: Iterable[Part], role: str) -> str | list[Json]:
        kept = [part for part in parts if self._is_known(part)]
        if all(isinstance(part, TextPart) and not part.extra.get(self.own) for part in kept):
            return "".join(part.text for part in kept if isinstance(part, TextPart))
        return [self._block(part, role) for part in kept]

    def _is_known(self, part: Part) -> bool:
        if isinstance(part, OpaquePart) and part.provider != self.own:
            self.losses.note(f"does not know a block of {part.provider} ({part.type}): left out")
            return False
        return not isinstance(part, (CachePoint, ReasoningPart))

    def _block(self, part: Part, role: str) -> Json:
        if isinstance(part, OpaquePart):
            return dict(part.data)
        if isinstance(part, TextPart):
            told = {"type": "input_text", "text": part.text}
            return told | dict(part.extra.get(self.own) or {})
        if isinstance(part, MediaPart) and role != "system":
            return _media(part) | dict(part.extra.get(self.own) or {})
        kind = part.kind.replace("_", " ")
        raise UnsupportedFeature(
            f"a {role} message takes no {kind} part on this wire; leave it out"
        )

    def _answer(self, message: Message) -> Iterator[Json]:
        """An answer, as the items that it was, in their order."""
        rows = [part for part in message.parts if not isinstance(part, CachePoint)]
        media: list[Part] = []
        for (kind, id_), group in groupby(rows, key=lambda part: (type(part), _id(part))):
            parts = list(group)
            if kind is TextPart:
                yield from self._said(id_, parts)
            elif kind is ReasoningPart:
                yield from self._thought(id_, parts)
            else:
                for part in parts:
                    yield from self._item(part, media)
        if media:
            self._shown += [TextPart("Of the answer:"), *media]

    def _said(self, id_: str | None, parts: list[Any]) -> Iterator[Json]:
        kept = parts[0].extra.get(self.own)
        if kept is None and not any(part.refusal for part in parts):
            text = "".join(part.text for part in parts)
            if text:
                # The type says nothing new, but llama.cpp wants it.
                yield {"type": "message", "role": "assistant", "content": text}
            return
        head = {} if kept is None else {"id": id_, **object_of(kept.get("item"))}
        content = [self._said_block(part) for part in parts]
        yield {"type": "message", "role": "assistant", "content": content, **head}

    def _said_block(self, part: TextPart) -> Json:
        beside = object_of((part.extra.get(self.own) or {}).get("block"))
        if part.refusal:
            return {"type": "refusal", "refusal": part.text, **beside}
        cited = [one.extra[self.own] for one in part.citations if self.own in one.extra]
        return {"type": "output_text", "text": part.text, "annotations": cited, **beside}

    def _thought(self, id_: str | None, parts: list[Any]) -> Iterator[Json]:
        """Reasoning goes back as it came, to the host that it came from."""
        kept = parts[0].extra.get(self.own)
        if kept is None:
            return
        sealed = next((part.encrypted for part in parts if part.encrypted), None)
        raw = [part.text for part in parts if part.format == "raw" and part.text]
        if not (self.stored or sealed or raw):
            self.losses.note(f"did not give the reasoning {id_} to keep, nor keeps it: left out")
            return
        summary = [part.text for part in parts if part.format == "summary" and part.text]
        told: Json = {"type": "reasoning"} | ({"id": id_} if id_ else {})
        told["summary"] = [{"type": "summary_text", "text": text} for text in summary]
        if raw:
            told["content"] = [{"type": "reasoning_text", "text": text} for text in raw]
        if sealed:
            told["encrypted_content"] = sealed
        yield {**told, **object_of(kept.get("item"))}

    def _item(self, part: Part, media: list[Part]) -> Iterator[Json]:
        kept = getattr(part, "extra", {}).get(self.own) or {}
        if isinstance(part, ToolCallPart):
            yield {**self._call(part), **object_of(kept.get("item"))}
        elif isinstance(part, OpaquePart):
            if self._is_known(part):
                yield dict(part.data)
        elif isinstance(part, MediaPart) and "item" in kept:
            data = base64.b64encode(part.data or b"").decode()
            item = object_of(kept["item"])
            yield {"type": "image_generation_call", "result": data, **item}
        elif isinstance(part, MediaPart):
            media.append(part)
        elif isinstance(part, ToolResultPart):
            raise UnsupportedFeature("an assistant message takes no tool result on this wire")

    def _call(self, part: ToolCallPart) -> Json:
        told: Json = {"call_id": part.id, "name": part.name}
        if part.custom:
            self._custom.add(part.id)
            return {"type": "custom_tool_call", **told, "input": part.arguments}
        return {"type": "function_call", **told, "arguments": part.arguments or "{}"}

    def _results(self, message: Message) -> Iterator[Json]:
        for part in message.parts:
            item = self._item_in(part)
            if item is not None:
                yield item
                continue
            if not isinstance(part, ToolResultPart):
                raise UnsupportedFeature(
                    f"a tool message holds tool results, not a {part.kind} part"
                )
            if part.is_error:
                self.losses.note(f"is not told that the tool result {part.call_id} is an error")
            kind = "custom_tool_call" if part.call_id in self._custom else "function_call"
            output = self._content(part.content, "tool")
            told = {"type": f"{kind}_output", "call_id": part.call_id, "output": output}
            yield told | dict(part.extra.get(self.own) or {})

    def _show(self) -> Iterator[Json]:
        if self._shown:
            yield {"role": "user", "content": self._content(self._shown, "user")}
            self._shown.clear()


def _id(part: Part) -> str | None:
    """The id of the item that a part is of."""
    return getattr(part, "id", None)


def _media(part: MediaPart) -> Json:
    family, _, form = part.media_type.partition("/")
    if family in {"audio", "video"}:
        raise UnsupportedFeature(f"{part.media_type} can't be sent on this wire")
    kind = "input_image" if family == "image" else "input_file"
    if part.file_id is not None:
        told: Json = {"type": kind, "file_id": part.file_id}
    elif part.url is not None:
        told = {"type": kind, "image_url" if family == "image" else "file_url": part.url}
    else:
        data = base64.b64encode(part.data or b"").decode()
        url = f"data:{part.media_type};base64,{data}"
        named = {"filename": part.filename or f"file.{form}", "file_data": url}
        told = {"type": kind} | ({"image_url": url} if family == "image" else named)
    if family == "image":
        told["detail"] = part.detail or "auto"
    return told
