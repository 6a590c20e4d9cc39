"""JSON on the wire: strict where we write, lenient where we read."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from llmmw.errors import BadRequest, ProtocolError

__all__ = ["dumps", "loads"]


_HALF = re.compile("[\ud800-\udfff]")


def dumps(body: object) -> bytes:
    """The body of a request.

    Raises:
        BadRequest: for text that is no Unicode, or data that is no JSON.
    """
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise BadRequest(f"the request can't be written as JSON: {error}") from error


def loads(data: bytes | str) -> Any:
    """What a host sent. `NaN` and `Infinity`, which some send, are taken; halves of characters,
    which are no Unicode, become U+FFFD.

    Raises:
        ProtocolError: if it is no JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        told = json.loads(data)
        written = json.dumps(told, ensure_ascii=False)
        if not _HALF.search(written):
            return told
        return json.loads(written.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        kind = "nothing" if not data else "no JSON"
    raise ProtocolError(f"the host sent {kind} where JSON belongs")
