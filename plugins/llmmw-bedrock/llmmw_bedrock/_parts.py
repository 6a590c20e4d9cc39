"""Parts of messages as the wire's blocks, each an object with one member. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from llmmw import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import ProtocolError, UnsupportedFeature
from llmmw.wire import Losses, loads
from llmmw_bedrock._media import media_block
from llmmw_bedrock._values import own

__all__ = ["Blocks"]

Json = dict[str, Any]

_ROLES: Mapping[type, tuple[str, ...]] = {
    ToolCallPart: ("assistant",),
    ReasoningPart: ("assistant",),
    ToolResultPart: ("user",),
    MediaPart: ("user", "tool result"),
}
"""Where parts can stand; others can anywhere."""


@attrs.define
class Blocks:
    """Makes the blocks of one request."""

    losses: Losses
    names: set[str] = attrs.field(factory=set)
    """What its documents are called."""

    def of(self, part: Part, role: str) -> Json:
        """The block that a part is.

        Raises:
            UnsupportedFeature: for a part that has no place in such a turn.
        """
        make = self._makers.get(type(part))
        if make is None or role not in _ROLES.get(type(part), (role,)):
            kind = part.kind.replace("_", " ")
            raise UnsupportedFeature(
                f"a {role} turn takes no {kind} part on this wire; leave it out"
            )
        return make(part)

    @property
    def _makers(self) -> Mapping[type, Callable[..., Json]]:
        return {
            TextPart: self._text,
            ReasoningPart: self._reasoning,
            MediaPart: self._media,
            ToolCallPart: self._call,
            ToolResultPart: self._result,
            OpaquePart: self._opaque,
        }

    def _text(self, part: TextPart) -> Json:
        sources = [source for one in part.citations if (source := own(one.extra))]
        if not sources:
            return {"text": part.text} | own(part.extra)
        told = {"content": [{"text": part.text}], "citations": sources}
        return {"citationsContent": told | own(part.extra)}

    def _reasoning(self, part: ReasoningPart) -> Json:
        if part.redacted:
            return {"reasoningContent": {"redactedContent": part.encrypted}}
        told = {"text": part.text, "signature": part.signature}
        return {"reasoningContent": {"reasoningText": told | own(part.extra)}}

    def _call(self, part: ToolCallPart) -> Json:
        told = {"toolUseId": _id(part.id), "name": part.name, "input": self._input(part)}
        return {"toolUse": told | own(part.extra)}

    def _input(self, part: ToolCallPart) -> Any:
        """The arguments as an object, since the host takes nothing else."""
        if part.custom:
            return {"input": part.arguments}
        try:
            told = loads(part.arguments) if part.arguments.strip() else {}
        except ProtocolError:
            told = None
        if isinstance(told, dict):
            return told
        self.losses.note(
            f"is shown the arguments of the call {part.id} as a text: they are no JSON object"
        )
        return {"arguments": part.arguments}

    def _result(self, part: ToolResultPart) -> Json:
        media = [one.media_type for one in part.content if isinstance(one, MediaPart)]
        if any(one.startswith("audio/") for one in media):
            raise UnsupportedFeature(
                "the result of a tool takes no sound on this wire: show it in a user's message"
            )
        content = [
            self.of(one, "tool result")
            for one in part.content
            if not (isinstance(one, TextPart) and not one.text.strip())
        ]
        told: Json = {"toolUseId": _id(part.call_id), "content": content}
        if part.is_error:  # that it went well need not be said, and some models refuse the field
            told["status"] = "error"
        return {"toolResult": told | own(part.extra)}

    def _opaque(self, part: OpaquePart) -> Json:
        return dict(part.data)

    def _media(self, part: MediaPart) -> Json:
        if part.detail:
            self.losses.note("knows no detail of an image: left out")
        return media_block(part, self.names)


def _id(given: str) -> str:
    """The id of a tool call, which may come from another host."""
    if re.fullmatch("[a-zA-Z0-9_.:-]{1,64}", given):
        return given
    return "tooluse_" + hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:24]
