"""Messages as the wire has them: a text, images beside it, thoughts, and calls of tools. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
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
from llmmw.errors import BadRequest, ProtocolError, UnsupportedFeature
from llmmw.wire import Losses, loads
from llmmw_ollama._values import own

__all__ = ["MARK", "NAME", "messages_of"]

Json = dict[str, Any]

NAME = "ollama"
"""Under which requests and parts keep what only this host understands."""
MARK = "synthetic_id"
"""In `extra` of a call whose id is none of the host's; it is not sent back."""


def messages_of(messages: Sequence[Message], losses: Losses) -> list[Json]:
    """The field `messages`.

    Args:
        messages: what was said.
        losses: takes what the host can't honour.

    Raises:
        UnsupportedFeature: for a part that the wire has no place for.
        BadRequest: if nothing was said that could be sent.
    """
    parts = [part for message in messages for part in message.parts]
    calls = {part.id: part for part in parts if isinstance(part, ToolCallPart)}
    turns = _Turns(losses, calls)
    told = [turn for message in messages for turn in turns.of(message)]
    if not told:  # the host would load a model, and answer nothing
        raise BadRequest(
            "nothing in the conversation says anything to this host: add a user's message"
        )
    return told


@attrs.frozen
class _Turns:
    """What a message becomes, in the light of the others."""

    losses: Losses
    calls: Mapping[str, ToolCallPart]

    def of(self, message: Message) -> Iterator[Json]:
        """The messages of the wire for one of ours: results of tools have one each."""
        if message.name:
            self.losses.note("does not tell the model the name of a message")
        parts = list(self._kept(message))
        if message.role == "tool":
            for part in parts:
                yield self._result(part) | own(message.extra, NAME)
        elif parts:
            yield self._turn(message.role, parts) | own(message.extra, NAME)

    def _kept(self, message: Message) -> Iterator[Part]:
        """The parts without those that are for nobody here."""
        for part in message.parts:
            why = ""
            if isinstance(part, OpaquePart):
                why = f"does not know a block of {part.provider} ({part.type})"
            elif isinstance(part, (ToolCallPart, ToolResultPart)) and part.server:
                why = f"does not know a tool that another host has run ({part.name})"
            elif isinstance(part, ReasoningPart) and not part.text:
                why = "is not shown reasoning that another host has sealed"
            if why:
                self.losses.note(f"{why}: left out")
            elif not isinstance(part, CachePoint):
                yield part

    def _turn(self, role: str, parts: Sequence[Part]) -> Json:
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[Json] = []
        for part in parts:
            if isinstance(part, TextPart):
                texts.append(part.text)
            elif isinstance(part, ReasoningPart) and role == "assistant":
                thoughts.append(part.text)
            elif isinstance(part, ToolCallPart) and role == "assistant":
                calls.append(self._call(part))
            elif not isinstance(part, MediaPart) or role == "system":
                kind = part.kind.replace("_", " ")
                raise UnsupportedFeature(
                    f"a {role} message takes no {kind} part on this wire; leave it out"
                )
        told: Json = {"role": role, "content": "".join(texts)}
        told |= {"thinking": "".join(thoughts)} if thoughts else {}
        told |= self._images(parts)
        return told | ({"tool_calls": calls} if calls else {})

    def _images(self, parts: Sequence[Part]) -> Json:
        """The images of a message, which stand before its text."""
        places = [place for place, part in enumerate(parts) if isinstance(part, MediaPart)]
        if places and any(isinstance(one, TextPart) for one in parts[places[0] : places[-1]]):
            self.losses.note("shows all images of a message before its text")
        images = [self._image(part) for part in parts if isinstance(part, MediaPart)]
        return {"images": images} if images else {}

    def _image(self, part: MediaPart) -> str:
        if part.media_type.partition("/")[0] != "image":
            raise UnsupportedFeature(f"{part.media_type} can't be sent on this wire, only images")
        if part.data is None:
            where = "a URL" if part.url is not None else "the id of a file"
            raise UnsupportedFeature(
                f"an image can't be sent by {where} on this wire, only its bytes"
            )
        if part.detail not in (None, "auto"):
            self.losses.note(f"knows no detail of an image ({part.detail})")
        return base64.b64encode(part.data).decode()

    def _call(self, part: ToolCallPart) -> Json:
        beside = own(part.extra, NAME)
        further = own(beside, "function")
        made = beside.pop(MARK, False) or not part.id
        beside.pop("function", None)
        function = {"name": part.name, "arguments": self._arguments(part)} | further
        return ({} if made else {"id": part.id}) | {"function": function} | beside

    def _arguments(self, part: ToolCallPart) -> Any:
        """The arguments as an object, since the host takes nothing else."""
        if part.custom:
            return {"input": part.arguments}
        try:
            told = loads(part.arguments) if part.arguments.strip() else {}
        except ProtocolError:
            told = None
        if isinstance(told, dict):
            return told
        self.losses.note(f"takes objects alone as arguments: those of {part.id} go into one")
        return {"arguments": part.arguments}

    def _result(self, part: Part) -> Json:
        if not isinstance(part, ToolResultPart):
            raise UnsupportedFeature(f"a tool message holds tool results, not a {part.kind} part")
        if part.is_error:
            self.losses.note(f"is not told that the tool result {part.call_id} is an error")
        call = self.calls.get(part.call_id)
        name = part.name or (call.name if call else "")
        told = self._turn("tool", list(self._kept(Message("tool", part.content))))
        told |= {"tool_name": name} if name else {}
        made = call is not None and own(call.extra, NAME).get(MARK)
        told |= {} if made or not part.call_id else {"tool_call_id": part.call_id}
        return told | own(part.extra, NAME)
