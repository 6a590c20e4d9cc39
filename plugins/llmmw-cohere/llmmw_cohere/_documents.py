"""Images, and documents that answers can cite, as the wire has them. Pure."""

from __future__ import annotations

import base64
from typing import Any

from llmmw import MediaPart
from llmmw.errors import UnsupportedFeature
from llmmw_cohere._values import fields_of

__all__ = ["document_of", "image_of", "is_image"]

Json = dict[str, Any]

_TEXTS = ("text/", *(f"application/{one}" for one in ("json", "xml", "yaml", "x-yaml", "x-ndjson")))


def is_image(part: MediaPart) -> bool:
    """Whether it goes to the model as an image."""
    return part.media_type.startswith("image/")


def image_of(part: MediaPart) -> Json:
    """The block of an image.

    Raises:
        UnsupportedFeature: if it is the id of a file, which this host does not take.
    """
    if part.file_id is not None:
        raise UnsupportedFeature("an image can't be sent by the id of a file on this wire")
    data = base64.b64encode(part.data or b"").decode()
    told = {"url": part.url or f"data:{part.media_type};base64,{data}"}
    if part.detail:
        told["detail"] = part.detail
    return {"type": "image_url", "image_url": told} | fields_of(part.extra)


def document_of(part: MediaPart) -> Json:
    """A document: a text under the name of its file.

    Raises:
        UnsupportedFeature: if it is no text that came along.
    """
    try:
        if part.data is not None and part.media_type.lower().startswith(_TEXTS):
            data = {"text": part.data.decode()}
            if part.filename:
                data["title"] = part.filename
            return {"data": data} | fields_of(part.extra)
    except UnicodeDecodeError:
        pass
    how = "inline" if part.data is not None else "by an address"
    raise UnsupportedFeature(
        f"{part.media_type} can't be sent {how} on this wire: only images, and text in UTF-8"
    )
