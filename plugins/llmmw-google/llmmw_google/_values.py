"""Instants and bytes as Google writes them, and the ids that are made where it gives none. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import Any

from llmmw.errors import ProtocolError

__all__ = ["bytes_of", "seconds_of", "stem_of"]


def stem_of(id_: str) -> str:
    """The middle of ids that are made here; the same for the same answer."""
    return hashlib.sha256(id_.encode("utf-8", "replace")).hexdigest()[:12] if id_ else ""


def seconds_of(told: Any) -> float | None:
    """An instant as Google writes it, in seconds since 1970."""
    try:
        then = datetime.fromisoformat(told)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def bytes_of(data: str) -> bytes:
    """Base64, of either alphabet, with padding or without."""
    bare = re.sub(r"\s|=", "", data).translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        pass
    raise ProtocolError("the host sent base64 that is none")
