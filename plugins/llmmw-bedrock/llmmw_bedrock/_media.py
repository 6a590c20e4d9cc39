"""Images, documents, videos and sounds as the wire has them, and as an answer shows them. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from llmmw import MediaPart
from llmmw.errors import UnsupportedFeature
from llmmw_bedrock._values import NAME, own, text

__all__ = ["media_block", "media_of"]

Json = dict[str, Any]

_IMAGES = {f"image/{word}": word for word in ("png", "jpeg", "gif", "webp")}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
    "application/json": "txt",
    "application/xml": "txt",
    "application/x-yaml": "txt",
}
_VIDEOS = {
    "video/x-matroska": "mkv",
    "video/quicktime": "mov",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/opus": "opus",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/m4a": "m4a",
    "audio/ogg": "ogg",
    "audio/x-matroska": "mka",
    "audio/webm": "webm",
    "audio/pcm": "pcm",
}
_TABLES = {"image": _IMAGES, "video": _VIDEOS, "audio": _SOUNDS}


def media_block(part: MediaPart, names: set[str]) -> Json:
    """The block that a part is.

    Args:
        part: the part; its `extra` may say more of the block, as `citations` of a document.
        names: those of documents that a request has already; no two may have the same.

    Raises:
        UnsupportedFeature: for a type that the wire does not know, or a place that it can't reach.
    """
    family = part.media_type.partition("/")[0]
    kind = family if family in _TABLES else "document"
    format_ = _TABLES.get(family, _DOCUMENTS).get(part.media_type)
    if format_ is None and family == "text":
        format_ = "txt"
    if format_ is None:
        known = ", ".join(sorted(_TABLES.get(family, _DOCUMENTS)))
        raise UnsupportedFeature(f"{part.media_type} can't be sent on this wire, only {known}")
    named = {"name": _name(part, names)} if kind == "document" else {}
    return {kind: {"format": format_, **named, "source": _source(part)} | own(part.extra)}


def _source(part: MediaPart) -> Json:
    if part.data is not None:
        return {"bytes": base64.b64encode(part.data).decode()}
    place = part.url or part.file_id or ""
    if not place.startswith("s3://"):
        raise UnsupportedFeature(
            f"{part.media_type} can't be sent by an address or an id on this wire, but s3://…: "
            "give its bytes (MediaPart.from_file)"
        )
    return {"s3Location": {"uri": place}}


def _name(part: MediaPart, names: set[str]) -> str:
    """What a document is called: the host takes letters, digits, single blanks and -()[]."""
    stem = (part.filename or "").rpartition("/")[2].rpartition(".")
    said = re.sub(r"[^A-Za-z0-9()\[\]-]+", " ", stem[0] or stem[2]).strip()[:180] or "Document"
    name, count = said, 1
    while name in names:
        count += 1
        name = f"{said} {count}"
    names.add(name)
    return name


_TYPES = {
    "image": {word: name for name, word in _IMAGES.items()},
    "audio": {word: name for name, word in reversed(_SOUNDS.items())},
}


def media_of(kind: str, block: Mapping[str, Any]) -> MediaPart | None:
    """The part that a block of an answer shows; `None` if nobody knows what it shows."""
    source = block.get("source")
    media_type = _TYPES.get(kind, {}).get(text(block.get("format")))
    if not isinstance(source, Mapping) or len(source) != 1 or media_type is None:
        return None
    more = {name: one for name, one in block.items() if name not in ("format", "source")}
    extra = {NAME: more} if more else {}
    place = source.get("s3Location")
    if isinstance(place, Mapping) and isinstance(place.get("uri"), str):
        return MediaPart(media_type=media_type, url=place["uri"], extra=extra)
    try:
        data = base64.b64decode(text(source.get("bytes")), validate=True)
    except binascii.Error:
        return None
    return MediaPart(media_type=media_type, data=data, extra=extra) if data else None
