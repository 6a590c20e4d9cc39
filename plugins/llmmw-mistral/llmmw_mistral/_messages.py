"""Messages as the wire has them. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

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
from llmmw_mistral._values import NAME, objects_of, own, text_of

__all__ = ["messages_of"]

Json = dict[str, Any]

_BETWEEN = {"role": "assistant", "content": "OK"}
"""Older models take no user's message behind results of tools, so the assistant says something."""


_ANSWERED = ("assistant", "tool")
"""What the host takes no system message behind."""


def messages_of(messages: Sequence[Message], losses: Losses) -> list[Json]:
    """The field `messages` of a chat.

    Raises:
        UnsupportedFeature: for a part that the wire has no place for.
    """
    told: list[Json] = []
    shown: list[Part] = []
    for message in messages:
        if message.role == "tool":
            told.extend(_results(message, losses, shown))
            continue
        told.extend(_shown(shown, told, losses))
        if message.role == "assistant":
            told.extend(_assistant(message, losses, shown))
        elif message.role == "system" and told and told[-1]["role"] in _ANSWERED:
            told.extend([*_gap(told), _said_by_user(message, losses)])
        else:
            told.extend([*_gap(told), _said(message, losses)])
    told.extend(_shown(shown, told, losses))
    _go_on(told)
    return told


def _said_by_user(message: Message, losses: Losses) -> Json:
    """A system message, marked as such."""
    losses.note("takes a system message behind an answer for a user's")
    parts = (TextPart("<system>"), *message.parts, TextPart("</system>"))
    told = _said(Message("system", parts, name=message.name, extra=message.extra), losses)
    return told | {"role": "user"}


def _go_on(told: Sequence[Json]) -> None:
    """An answer that was begun is marked, else the host refuses it as the last message."""
    last = told[-1] if told else {}
    if last.get("role") == "assistant" and last["content"] and "tool_calls" not in last:
        last.setdefault("prefix", True)


def _gap(told: Sequence[Json]) -> list[Json]:
    return [dict(_BETWEEN)] if told and told[-1]["role"] == "tool" else []


def _shown(shown: list[Part], told: Sequence[Json], losses: Losses) -> list[Json]:
    """The message of a user for media of answers and results, since only a user shows any. It
    stands after the last of a row of results, as there is one for each call before all else."""
    if not shown:
        return []
    content = _content(shown, "user", losses)
    shown.clear()
    return [*_gap(told), {"role": "user", "content": content}]


def _said(message: Message, losses: Losses) -> Json:
    _unnamed(message, losses)
    content = _content(message.parts, message.role, losses)
    return {"role": message.role, "content": content} | own(message.extra)


def _unnamed(message: Message, losses: Losses) -> None:
    if message.name:
        losses.note(f"does not take the name {message.name!r} of a message: left out")


def _content(parts: Iterable[Part], role: str, losses: Losses) -> str | list[Json]:
    """Plain text where that says all, since older models take nothing else."""
    blocks = [block for part in parts for block in _blocks(part, role, losses)]
    texts = [text_of(block["text"]) for block in blocks if _is_text(block)]
    return "".join(texts) if len(texts) == len(blocks) else blocks


def _is_text(block: Json) -> bool:
    """Whether a block says nothing but a text."""
    return block.keys() == {"type", "text"} and block["type"] == "text"


def _blocks(part: Part, role: str, losses: Losses) -> list[Json]:
    if isinstance(part, CachePoint):
        return []
    if isinstance(part, TextPart):
        return _text(part)
    if isinstance(part, OpaquePart):
        if part.provider == NAME:
            return [dict(part.data)]
        losses.note(f"does not know a block of {part.provider} ({part.type}): left out")
        return []
    if isinstance(part, ReasoningPart) and role == "assistant":
        return _thought(part, losses)
    if isinstance(part, MediaPart) and role == "user":
        return [_media(part) | own(part.extra)]
    kind = part.kind.replace("_", " ")
    raise UnsupportedFeature(f"a {role} message takes no {kind} part on this wire; leave it out")


def _text(part: TextPart) -> list[Json]:
    """A text, and behind it what the host itself has told as the sources of it."""
    told = [{"type": "text", "text": part.text} | own(part.extra)] if part.text else []
    return told + [chunk for one in part.citations if (chunk := own(one.extra))]


def _thought(part: ReasoningPart, losses: Losses) -> list[Json]:
    fields = own(part.extra)
    rows = objects_of(fields.pop("thinking", []))
    if "".join(text_of(row.get("text")) for row in rows) != part.text:  # somebody has changed it
        texts = [{"type": "text", "text": part.text}] if part.text else []
        rows = [*texts, *(row for row in rows if "text" not in row)]
    if not rows:
        losses.note("takes no reasoning that another host has sealed: left out")
        return []
    return [{"type": "thinking", "thinking": rows} | fields]


_VOICES = ("mpeg", "mp3", "wav", "x-wav", "wave", "flac", "ogg", "webm", "mp4", "m4a", "x-m4a")


def _media(part: MediaPart) -> Json:
    family, _, form = part.media_type.partition("/")
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if family == "image":
        image = {"url": _address(part)} | ({"detail": part.detail} if part.detail else {})
        return {"type": "image_url", "image_url": image}
    if family == "audio" and (part.url or form in _VOICES):
        data = base64.b64encode(part.data or b"").decode()
        return {"type": "input_audio", "input_audio": part.url or data}
    if family in {"audio", "video"}:
        raise UnsupportedFeature(f"{part.media_type} can't be sent on this wire; leave it out")
    named = {"document_name": part.filename} if part.filename else {}
    return {"type": "document_url", "document_url": _address(part)} | named


def _address(part: MediaPart) -> str:
    data = base64.b64encode(part.data or b"").decode()
    return part.url or f"data:{part.media_type};base64,{data}"


def _assistant(message: Message, losses: Losses, shown: list[Part]) -> list[Json]:
    """An answer; none if it says nothing, which the host refuses. The media in it go to `shown`."""
    parts = [part for part in message.parts if not _is_foreign(part, losses)]
    media = [part for part in parts if isinstance(part, MediaPart)]
    if media:
        shown += [TextPart("Of the answer:"), *media]
    calls = [_call(part) for part in parts if isinstance(part, ToolCallPart)]
    said = [part for part in parts if not isinstance(part, (MediaPart, ToolCallPart))]
    told = _said(Message("assistant", tuple(said), name=message.name, extra=message.extra), losses)
    told = ({"tool_calls": calls} if calls else {}) | told
    return [told] if told["content"] or "tool_calls" in told else []


def _is_foreign(part: Part, losses: Losses) -> bool:
    """Whether a part is of a tool that another host has run."""
    if not isinstance(part, (ToolCallPart, ToolResultPart)) or not part.server:
        return False
    losses.note(f"does not know a tool that another host has run ({part.name}): left out")
    return True


def _call(part: ToolCallPart) -> Json:
    if part.custom:
        raise UnsupportedFeature(f"{part.name!r} was called with plain text: this wire has no such")
    function = {"name": part.name, "arguments": part.arguments or "{}"}
    return {"id": _id(part.id), "type": "function", "function": function} | own(part.extra)


def _results(message: Message, losses: Losses, shown: list[Part]) -> Iterator[Json]:
    """A message for each result. The media in it go to `shown`."""
    _unnamed(message, losses)
    for part in message.parts:
        if not isinstance(part, ToolResultPart):
            raise UnsupportedFeature(f"a tool message holds tool results, not a {part.kind} part")
        if _is_foreign(part, losses):
            continue
        media = [one for one in part.content if isinstance(one, MediaPart)]
        texts = [one for one in part.content if not isinstance(one, MediaPart)]
        content = _content(texts, "tool", losses)
        if media:
            shown += [TextPart(f"Of the tool result {part.call_id}:"), *media]
            content = content or "(see the user's next message)"
        if part.is_error:
            losses.note(f"is not told that the tool result {part.call_id} is an error")
        told: Json = {"role": "tool", "tool_call_id": _id(part.call_id), "content": content}
        told |= {"name": part.name} if part.name else {}
        yield told | own(message.extra) | own(part.extra)


def _id(given: str) -> str:
    """The id of a tool call, which may come from another host. The same one stays the same."""
    if re.fullmatch("[a-zA-Z0-9]{9}", given):
        return given
    return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:9]
