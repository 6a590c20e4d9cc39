"""Parts of messages as the wire's blocks. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from llmmw import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import BadRequest, ProtocolError, UnsupportedFeature
from llmmw.wire import loads
from llmmw_anthropic._blocks import NAME
from llmmw_anthropic._notes import Notes

__all__ = ["block_of", "own"]

Json = dict[str, Any]

_FILES = "files-api-2025-04-14"
_IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_TEXTS = {"application/json", "application/xml", "application/x-yaml"}
_ROLES: Mapping[type, tuple[str, ...]] = {
    ToolCallPart: ("assistant",),
    ReasoningPart: ("assistant",),
    ToolResultPart: ("user",),
    MediaPart: ("user", "tool result"),
}
"""Where parts can stand; others can anywhere."""


def own(extra: Mapping[str, Any]) -> Json:
    """The fields for this host among those that a message, a part or a tool has besides.

    Raises:
        BadRequest: if they are no object.
    """
    fields = extra.get(NAME)
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise BadRequest(f"extra[{NAME!r}]={fields!r}: expected an object")
    return dict(fields)


def block_of(part: Part, role: str, notes: Notes) -> Json:
    """The block that a part is.

    Raises:
        UnsupportedFeature: for a part that has no place in such a turn.
    """
    if role not in _ROLES.get(type(part), (role,)) or type(part) not in _BLOCKS:
        kind = part.kind.replace("_", " ")
        raise UnsupportedFeature(f"a {role} turn takes no {kind} part on this wire; leave it out")
    block: Json = _BLOCKS[type(part)](part, notes)
    return block | own(getattr(part, "extra", {}))


def _text(part: TextPart, notes: Notes) -> Json:
    sources = [source for one in part.citations if (source := own(one.extra))]
    return {"type": "text", "text": part.text} | ({"citations": sources} if sources else {})


def _reasoning(part: ReasoningPart, notes: Notes) -> Json:
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.encrypted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _call(part: ToolCallPart, notes: Notes) -> Json:
    return {
        "type": "tool_use",
        "id": _id(part.id),
        "name": part.name,
        "input": _input(part, notes),
    }


def _input(part: ToolCallPart, notes: Notes) -> Any:
    """The arguments as an object, since the host takes nothing else."""
    if part.custom:
        return {"input": part.arguments}
    try:
        told = loads(part.arguments) if part.arguments.strip() else {}
    except ProtocolError:
        told = None
    if isinstance(told, dict):
        return told
    notes.note(f"is shown the arguments of the call {part.id} as a text: they are no JSON object")
    return {"arguments": part.arguments}


def _result(part: ToolResultPart, notes: Notes) -> Json:
    content = [
        block_of(one, "tool result", notes)
        for one in part.content
        if not (isinstance(one, TextPart) and not one.text.strip())
    ]
    told: Json = {"type": "tool_result", "tool_use_id": _id(part.call_id)}
    if content:
        told["content"] = content
    return told | ({"is_error": True} if part.is_error else {})


def _id(given: str) -> str:
    """The id of a tool call, which may come from another host."""
    if re.fullmatch("[a-zA-Z0-9_-]+", given):
        return given
    return "toolu_" + hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:24]


def _opaque(part: OpaquePart, notes: Notes) -> Json:
    if part.type == "container_upload":
        notes.betas[_FILES] = None
    return dict(part.data)


def _media(part: MediaPart, notes: Notes) -> Json:
    if part.detail:
        notes.note("knows no detail of an image: left out")
    family = part.media_type.partition("/")[0]
    if family in {"audio", "video"}:
        raise UnsupportedFeature(f"{part.media_type} can't be sent on this wire")
    if part.file_id is not None:
        notes.betas[_FILES] = None
    if family == "image":
        return {"type": "image", "source": _image(part)}
    titled = {"title": part.filename} if part.filename else {}
    return {"type": "document", "source": _document(part)} | titled


def _image(part: MediaPart) -> Json:
    if part.data is None:
        return _elsewhere(part)
    if part.media_type not in _IMAGES:
        known = ", ".join(sorted(_IMAGES))
        raise UnsupportedFeature(f"{part.media_type} can't be sent on this wire, only {known}")
    return {"type": "base64", "media_type": part.media_type, "data": _base64(part.data)}


def _document(part: MediaPart) -> Json:
    if part.data is None:
        return _elsewhere(part)
    if part.media_type == "application/pdf":
        return {"type": "base64", "media_type": part.media_type, "data": _base64(part.data)}
    try:
        if part.media_type.startswith("text/") or part.media_type in _TEXTS:
            return {"type": "text", "media_type": "text/plain", "data": part.data.decode()}
    except UnicodeDecodeError:
        pass
    raise UnsupportedFeature(
        f"{part.media_type} can't be sent inline on this wire: only application/pdf and text in "
        "UTF-8"
    )


def _elsewhere(part: MediaPart) -> Json:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    return {"type": "url", "url": part.url}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_BLOCKS: Mapping[type, Callable[..., Json]] = {
    TextPart: _text,
    ReasoningPart: _reasoning,
    MediaPart: _media,
    ToolCallPart: _call,
    ToolResultPart: _result,
    OpaquePart: _opaque,
}
