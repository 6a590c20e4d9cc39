"""Numbers, instants and images as the host writes them. Pure and lenient."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from llmmw.errors import BadRequest, ProtocolError

__all__ = ["image_of", "number", "object_of", "own", "seconds_of", "text_of"]

_MOST = 2**63
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def number(told: Any) -> int | None:
    """A count, which may stand there as a text, or `None` for what is none."""
    if isinstance(told, str) and re.fullmatch("[0-9]{1,18}", told):
        return int(told)
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _MOST:
        return None
    return int(told)


def text_of(told: Any) -> str:
    """A text; nothing for what is none."""
    return told if isinstance(told, str) else ""


def object_of(told: Any) -> Mapping[str, Any]:
    """An object; an empty one for what is none."""
    return told if isinstance(told, dict) else {}


def seconds_of(told: Any) -> float | None:
    """An instant, in seconds since 1970."""
    try:
        then = datetime.fromisoformat(told)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def image_of(told: str) -> tuple[str, bytes]:
    """The media type and the bytes of an image, which comes as base64 alone.

    Raises:
        ProtocolError: if it is none.
    """
    try:
        data = base64.b64decode(told, validate=True)
    except ValueError:
        pass
    else:
        kinds = (kind for start, kind in _IMAGES.items() if data.startswith(start))
        return next(kinds, "image/*"), data
    raise ProtocolError("the host sent base64 that is none")


def own(extra: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The fields for this host among those that a message, a part or a tool has besides.

    Raises:
        BadRequest: if they are no object.
    """
    fields = extra.get(name)
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise BadRequest(f"extra[{name!r}]={fields!r}: expected an object")
    return dict(fields)
