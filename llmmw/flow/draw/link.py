"""A graph within an address: JSON, packed, in signs that every address may have."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

from llmmw.errors import BadRequest
from llmmw.flow._graph import Graph

__all__ = ["from_link", "to_link"]

_MOST = 64 * 2**20


def to_link(value: Any, base: str = "") -> str:
    """The end of an address that holds a graph; `from_link` reads it.

    The form is base64 for addresses, without padding, of the JSON packed by zlib.

    Args:
        value: a `Graph`, JSON as a text, or data that has a form in JSON.
        base: what the address begins with.
    """
    if isinstance(value, Graph):
        value = value.to_json()
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    packed = zlib.compress(text.encode(), 9)
    return base + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def from_link(link: str) -> str:
    """The JSON of a graph that is in an address, or in its end.

    Raises:
        BadRequest: if there is none in it.
    """
    end = link.rpartition("/")[2].rpartition("#")[2]
    unpacker = zlib.decompressobj()
    try:
        packed = base64.b64decode(end + "=" * (-len(end) % 4), b"-_", validate=True)
        text = unpacker.decompress(packed, _MOST)
        if not unpacker.eof:
            raise BadRequest("the address holds a graph that is cut, or too large")
        return text.decode()
    except (binascii.Error, ValueError, zlib.error) as error:
        raise BadRequest(f"the address holds no graph: {error}") from None
