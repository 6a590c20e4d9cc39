"""The seven kinds of parts that messages are made of."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import attrs

from llmmw._functions import arguments_for
from llmmw._plain import restore, value
from llmmw._typed import dump
from llmmw.errors import BadRequest

__all__ = [
    "CachePoint",
    "Citation",
    "Extra",
    "MediaPart",
    "OpaquePart",
    "Part",
    "ReasoningPart",
    "TextPart",
    "TokenLogprob",
    "ToolCallPart",
    "ToolResultPart",
    "content_parts",
    "shortened",
    "text_of",
]

Extra: TypeAlias = Mapping[str, Any]
"""What a provider sent beside the unified fields, by its name; needed to send a part back."""


def _rows(rows: Iterable[Iterable[Any]]) -> tuple[tuple[str, float], ...]:
    return tuple((str(token), float(logprob)) for token, logprob in rows)


def _citations(items: Iterable[Citation]) -> tuple[Citation, ...]:
    return tuple(items)


def _logprobs(items: Iterable[TokenLogprob]) -> tuple[TokenLogprob, ...]:
    return tuple(items)


def _parts(content: object) -> tuple[Part, ...]:
    return content_parts(content)


@value
@attrs.frozen(kw_only=True)
class Citation:
    """Where a text has its content from."""

    url: str | None = None
    title: str | None = None
    text: str | None = None
    start: int | None = None
    end: int | None = None
    extra: Extra = attrs.field(factory=dict, hash=False)


@value
@attrs.frozen
class TokenLogprob:
    """A token, its natural-log probability, and the most probable alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = attrs.field(default=(), converter=_rows)


@value
@attrs.frozen
class TextPart:
    """Text. A refusal is marked, so that it is never taken for an answer."""

    kind: ClassVar[str] = "text"
    text: str
    citations: tuple[Citation, ...] = attrs.field(default=(), converter=_citations, kw_only=True)
    logprobs: tuple[TokenLogprob, ...] = attrs.field(default=(), converter=_logprobs, kw_only=True)
    refusal: bool = attrs.field(default=False, kw_only=True)
    id: str | None = attrs.field(default=None, kw_only=True)
    extra: Extra = attrs.field(factory=dict, hash=False, kw_only=True)


@value
@attrs.frozen
class ReasoningPart:
    """What the model thought, with whatever its provider needs to see again unchanged."""

    kind: ClassVar[str] = "reasoning"
    text: str = ""
    signature: str | None = attrs.field(default=None, kw_only=True)
    encrypted: str | None = attrs.field(default=None, kw_only=True)
    redacted: bool = attrs.field(default=False, kw_only=True)
    format: Literal["summary", "raw"] = attrs.field(default="raw", kw_only=True)
    id: str | None = attrs.field(default=None, kw_only=True)
    extra: Extra = attrs.field(factory=dict, hash=False, kw_only=True)


@value
@attrs.frozen(kw_only=True)
class MediaPart:
    """An image, audio, video or document: exactly one of `data`, `url` and `file_id`."""

    kind: ClassVar[str] = "media"
    media_type: str
    data: bytes | None = attrs.field(default=None, repr=lambda data: f"{len(data or b'')} bytes")
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    extra: Extra = attrs.field(factory=dict, hash=False)

    def __attrs_post_init__(self) -> None:
        if sum(x is not None for x in (self.data, self.url, self.file_id)) != 1:
            raise BadRequest("a media part needs exactly one of data, url and file_id")
        data: object = self.data  # whatever a caller has put there
        if data is not None and not isinstance(data, bytes):
            kind = type(data).__name__
            raise BadRequest(f"the data of a media part are bytes, not {kind}; see from_file")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> MediaPart:
        """Read a file; an image's type is told by its first bytes, not by its name.

        Raises:
            BadRequest: if the file can't be read, or is named like an image and is none.
        """
        place = Path(path)
        try:
            data = place.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadRequest(f"can't read the attachment {place}: {reason}") from error
        named = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
        seen = _image_type(data)
        if named in _IMAGES.values() and seen is None:
            raise BadRequest(f"the attachment {place} is no readable image ({named})")
        return cls(media_type=seen or named, data=data, filename=place.name)


_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def _image_type(data: bytes) -> str | None:
    for start, media_type in _IMAGES.items():
        if data.startswith(start) and (start != b"RIFF" or data[8:12] == b"WEBP"):
            return media_type
    return None


@value
@attrs.frozen(kw_only=True)
class ToolCallPart:
    """The model asks for a tool. `arguments` is the JSON text exactly as it was sent."""

    kind: ClassVar[str] = "tool_call"
    id: str
    name: str
    arguments: str = ""
    server: bool = False
    custom: bool = False
    extra: Extra = attrs.field(factory=dict, hash=False)

    def parse(self) -> Any:
        """The arguments as data; empty text is `{}`.

        Raises:
            BadRequest: if the model wrote invalid JSON.
        """
        import orjson

        try:
            return orjson.loads(self.arguments) if self.arguments.strip() else {}
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"arguments of the call of {self.name!r}: {error}") from error

    def bind(self, function: Callable[..., Any]) -> dict[str, Any]:
        """The arguments as keyword arguments for the function that is the tool, each of the type
        of its hint: `weather(**call.bind(weather))`.

        Raises:
            BadRequest: if the model gave others, or invalid JSON.
        """
        try:
            return arguments_for(function, self.arguments if self.arguments.strip() else "{}")
        except ValueError as error:
            raise BadRequest(f"arguments of the call of {self.name!r}: {error}") from error

    def result(self, value: Any = None, *, error: object = None) -> ToolResultPart:
        """What the tool gave, as the next turn takes it: `ask([question, response, result])`.

        Args:
            value: text and parts as they are; else what has a form in JSON: plain data, and attrs,
                dataclass and pydantic objects.
            error: what went wrong instead, as text or exception; the model is told that it is one.

        Raises:
            BadRequest: if the value has no form in JSON.
        """
        if error is not None:
            is_raised = isinstance(error, BaseException)
            value = f"{type(error).__name__}: {error}" if is_raised else str(error)
        try:
            content = value if _is_content(value) else dump(value)
        except TypeError as wrong:
            raise BadRequest(f"the result of {self.name!r}: {wrong}; give text") from wrong
        return ToolResultPart(
            call_id=self.id, name=self.name, content=content, is_error=error is not None
        )


@value
@attrs.frozen(kw_only=True)
class ToolResultPart:
    """What a tool answered. Some wires pair it by `call_id`, some by `name`."""

    kind: ClassVar[str] = "tool_result"
    call_id: str
    name: str = ""
    content: tuple[Part, ...] = attrs.field(default=(), converter=_parts)
    is_error: bool = False
    server: bool = False
    extra: Extra = attrs.field(factory=dict, hash=False)


@value
@attrs.frozen
class CachePoint:
    """Ends the prefix that a provider may cache; ignored where that does not exist."""

    kind: ClassVar[str] = "cache_point"
    ttl: str | None = None


@value
@attrs.frozen(kw_only=True)
class OpaquePart:
    """A block without a unified meaning, sent back verbatim to the provider it came from."""

    kind: ClassVar[str] = "opaque"
    provider: str
    type: str
    data: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


def _is_content(item: object) -> bool:
    """Whether this is what a tool says as it is."""
    several = isinstance(item, (list, tuple)) and len(item) > 0
    pieces: Any = item if several else [item]
    return isinstance(item, str) or all(isinstance(one, _PARTS) for one in pieces)


Part: TypeAlias = (
    TextPart | ReasoningPart | MediaPart | ToolCallPart | ToolResultPart | CachePoint | OpaquePart
)
_PARTS: tuple[type[Part], ...] = get_args(Part)
_KINDS = frozenset(_PARTS)


def text_of(parts: Iterable[Part]) -> str:
    """The concatenated text of the text parts, without refusals."""
    return "".join(p.text for p in parts if isinstance(p, TextPart) and not p.refusal)


def content_parts(content: object) -> tuple[Part, ...]:
    """The parts of a message's content: a string, a part, a dict of one, or a sequence of these.

    Raises:
        BadRequest: if some piece is none of these.
    """
    if isinstance(content, str):
        return (TextPart(content),)
    if type(content) is tuple and _KINDS.issuperset(map(type, content)):
        return content  # as all that was made before is
    if isinstance(content, _PARTS):
        return (content,)
    if isinstance(content, Mapping):
        return (_part_of_dict(content),)
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return tuple(part for piece in content for part in content_parts(piece))
    raise BadRequest(f"can't take {shortened(content)} for the content of a message")


def _part_of_dict(item: Mapping[str, Any]) -> Part:
    """A part from its plain form or from a content block of the OpenAI kind."""
    if "$kind" in item:
        made = restore(item)
        if isinstance(made, _PARTS):
            return made
        raise BadRequest(f"expected a part of a message, got a {item['$kind']}")
    kind = item.get("type")
    try:
        if kind in {"text", "input_text", "output_text"}:
            return TextPart(item["text"])
        if kind == "image_url":
            image = item["image_url"]
            image = {"url": image} if isinstance(image, str) else image
            return _media(image["url"], detail=image.get("detail"))
        if kind == "input_audio":
            audio = item["input_audio"]
            data = base64.b64decode(audio["data"], validate=True)
            return MediaPart(media_type=f"audio/{audio['format']}", data=data)
        if kind == "file":
            return _file(item["file"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest(f"a content block of type {kind!r} is not well formed: {error}") from error
    raise BadRequest(
        f"unknown content block type {kind!r}; known are text, image_url, input_audio, file"
    )


def _file(item: Mapping[str, Any]) -> MediaPart:
    name = item.get("filename")
    if "file_id" in item:
        kind = "application/octet-stream"
        return MediaPart(media_type=kind, file_id=item["file_id"], filename=name)
    return attrs.evolve(_media(item["file_data"]), filename=name)


def _media(url: str, *, detail: str | None = None) -> MediaPart:
    if not url.startswith("data:"):
        media_type = mimetypes.guess_type(url.partition("?")[0])[0] or "image/*"
        return MediaPart(media_type=media_type, url=url, detail=detail)
    head, comma, body = url.removeprefix("data:").partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadRequest("a data: URL must be base64: data:image/png;base64,…")
    data = base64.b64decode(body, validate=True)
    return MediaPart(media_type=head.removesuffix(";base64"), data=data, detail=detail)


def shortened(item: object) -> str:
    """A value as an error shows it: at most 60 characters."""
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "…"
