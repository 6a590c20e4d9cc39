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
from llmmw_openai._presets import Preset

__all__ = ["messages_of"]

Json = dict[str, Any]

_AUDIO = {"mpeg": "mp3", "mp3": "mp3", "wav": "wav", "x-wav": "wav", "wave": "wav"}


def messages_of(messages: Sequence[Message], preset: Preset, losses: Losses) -> list[Json]:
    """The field `messages` of a chat.

    Raises:
        UnsupportedFeature: for a part that the wire has no place for.
    """
    told: list[Json] = []
    shown: list[Part] = []
    places = range(len(messages) - 1, -1, -1)
    last_question = next((k for k in places if messages[k].role == "user"), -1)
    for place, message in enumerate(messages):
        if shown and message.role != "tool":
            told.extend(_shown(shown, preset, losses))
        if message.role == "tool":
            told.extend(_results(message, preset, losses, shown))
        elif message.role == "assistant":
            told.append(_assistant(message, preset, losses, shown, in_loop=place > last_question))
        else:
            content = _content(message.parts, message.role, preset, losses)
            told.append({"role": message.role, "content": content} | _beside(message, preset))
    told.extend(_shown(shown, preset, losses))
    return told


def _beside(message: Message, preset: Preset) -> Json:
    """Name and further fields of a message."""
    if not message.name and not message.extra:
        return {}
    named = {"name": message.name} if message.name else {}
    return named | dict(message.extra.get(preset.name) or {})


def _kept(parts: Iterable[Part], preset: Preset, losses: Losses) -> Iterator[Part]:
    """The parts without those that are for nobody here."""
    for part in parts:
        if isinstance(part, OpaquePart) and part.provider != preset.name:
            losses.note(f"does not know a block of {part.provider} ({part.type}): left out")
        elif not isinstance(part, (CachePoint, ReasoningPart)):
            yield part


def _content(parts: Sequence[Part], role: str, preset: Preset, losses: Losses) -> str | list[Json]:
    """Plain text where that says all, since many hosts take nothing else in most roles."""
    if len(parts) == 1 and type(parts[0]) is TextPart and not parts[0].extra:
        return parts[0].text
    kept = list(_kept(parts, preset, losses))
    if all(isinstance(part, TextPart) and not part.extra.get(preset.name) for part in kept):
        return "".join(part.text for part in kept if isinstance(part, TextPart))
    return [_block(part, role, preset) for part in kept]


def _block(part: Part, role: str, preset: Preset) -> Json:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text} | dict(part.extra.get(preset.name) or {})
    if isinstance(part, OpaquePart):
        return dict(part.data)
    if isinstance(part, MediaPart) and role == "user":
        return _media(part, preset) | dict(part.extra.get(preset.name) or {})
    kind = part.kind.replace("_", " ")
    raise UnsupportedFeature(f"a {role} message takes no {kind} part on this wire; leave it out")


def _media(part: MediaPart, preset: Preset) -> Json:
    family, _, form = part.media_type.partition("/")
    if family == "image" and part.file_id is None:
        image = {"url": part.url or _data_url(part)}
        return {"type": "image_url", "image_url": image | _given(detail=part.detail)}
    if family == "video" and part.file_id is None:
        return {"type": "video_url", "video_url": {"url": part.url or _data_url(part)}}
    if preset.documents == "document_url" and family != "audio" and part.file_id is None:
        return {"type": "document_url", "document_url": part.url or _data_url(part)}
    if family == "audio" and part.data is not None and form in _AUDIO:
        data = base64.b64encode(part.data).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO[form]}}
    if part.file_id is not None:
        return {"type": "file", "file": {"file_id": part.file_id}}
    if part.data is not None and family != "audio":
        name = part.filename or f"file.{form}"
        return {"type": "file", "file": {"filename": name, "file_data": _data_url(part)}}
    how = "by a URL" if part.url else "inline"
    raise UnsupportedFeature(f"{part.media_type} can't be sent {how} on this wire")


def _data_url(part: MediaPart) -> str:
    return f"data:{part.media_type};base64,{base64.b64encode(part.data or b'').decode()}"


def _assistant(
    message: Message, preset: Preset, losses: Losses, shown: list[Part], *, in_loop: bool
) -> Json:
    """An answer. The media in it go to `shown`."""
    told: Json = {"role": "assistant", "content": None}
    said: list[Part] = []
    calls: list[Json] = []
    refusals: list[str] = []
    media: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolCallPart):
            calls.append(_call(part, preset))
        elif isinstance(part, TextPart) and part.refusal:
            refusals.append(part.text)
        elif isinstance(part, MediaPart) and "id" in (part.extra.get(preset.name) or {}):
            told["audio"] = {"id": part.extra[preset.name]["id"]}
        elif isinstance(part, MediaPart):
            media.append(part)
        else:
            said.append(part)
    if media:
        shown += [TextPart("Of the answer:"), *media]
    content = _content(said, "assistant", preset, losses)
    if content or not (calls or refusals or "audio" in told):
        told["content"] = content
    told |= _given(tool_calls=calls, refusal="".join(refusals))
    return told | _reasoning(message, preset, in_loop=in_loop) | _beside(message, preset)


def _reasoning(message: Message, preset: Preset, *, in_loop: bool) -> Json:
    """What the host wants to see again of its own reasoning."""
    told: Json = {}
    for part in message.parts:
        if isinstance(part, ReasoningPart):
            told |= dict(part.extra.get(preset.name) or {})
            if preset.echo_reasoning and in_loop and part.text:
                before = told.get(preset.echo_reasoning, "")
                told[preset.echo_reasoning] = before + part.text
    return told


def _call(part: ToolCallPart, preset: Preset) -> Json:
    if part.custom:
        told: Json = {"type": "custom", "custom": {"name": part.name, "input": part.arguments}}
    else:
        function = {"name": part.name, "arguments": part.arguments or "{}"}
        told = {"type": "function", "function": function}
    return {"id": _id(part.id, preset)} | told | dict(part.extra.get(preset.name) or {})


def _results(message: Message, preset: Preset, losses: Losses, shown: list[Part]) -> Iterator[Json]:
    """A message for each result. What is no text goes to `shown`, since only a user shows media."""
    for part in message.parts:
        if not isinstance(part, ToolResultPart):
            raise UnsupportedFeature(f"a tool message holds tool results, not a {part.kind} part")
        texts = [one for one in part.content if not isinstance(one, MediaPart)]
        media = [one for one in part.content if isinstance(one, MediaPart)]
        content = _content(texts, "tool", preset, losses)
        if media:
            shown += [TextPart(f"Of the tool result {part.call_id}:"), *media]
            content = content or "(see the user's next message)"
        if part.is_error:
            losses.note(f"is not told that the tool result {part.call_id} is an error")
        yield {"role": "tool", "tool_call_id": _id(part.call_id, preset), "content": content}


def _id(given: str, preset: Preset) -> str:
    """The id of a tool call, which may come from another host."""
    if not preset.short_ids or re.fullmatch("[a-zA-Z0-9]{9}", given):
        return given
    return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:9]


def _shown(shown: list[Part], preset: Preset, losses: Losses) -> Iterator[Json]:
    """The message of a user for media of answers and results. It stands after the last of a row
    of results, since hosts want an answer to each call before anything else."""
    if shown:
        yield {"role": "user", "content": _content(shown, "user", preset, losses)}
        shown.clear()


def _given(**fields: Any) -> Json:
    """The fields that are set."""
    return {name: one for name, one in fields.items() if one}
