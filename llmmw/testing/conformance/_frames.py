"""AWS event streams, written and read plainly: nothing here is shared with a provider's decoder."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson

__all__ = ["frame", "payloads_of"]

_EVENT = re.compile(rb'\s*\{\s*"(\w+)"\s*:\s*(.*)\}\s*', re.DOTALL)
_PRELUDE = 12
_TEXT = 7


def frame(line: bytes) -> bytes:
    """The frame of an event that was kept as `{type: payload}`; of another line as an event
    without a type. The payload may be anything."""
    told = _EVENT.fullmatch(line)
    if told is None:
        return _framed({":message-type": "event"}, line)
    kind = told[1].decode()
    word = "exception" if kind.endswith("Exception") else "event"
    headers = {
        f":{word}-type": kind,
        ":content-type": "application/json",
        ":message-type": word,
    }
    return _framed(headers, told[2])


def _framed(headers: Mapping[str, str], payload: bytes) -> bytes:
    written = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">BH", _TEXT, len(text)) + text.encode()
        for name, text in headers.items()
    )
    size = _PRELUDE + len(written) + len(payload) + 4
    prelude = struct.pack(">II", size, len(written))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + written + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def payloads_of(body: bytes) -> Iterator[dict[str, Any]]:
    """The events of whole frames as `{type: payload}`; checksums are not looked at, and what is
    no JSON is left out."""
    while len(body) > _PRELUDE:
        size, written = struct.unpack_from(">II", body)
        if size <= _PRELUDE + written or size > len(body):
            return
        headers = _texts(body[_PRELUDE : _PRELUDE + written])
        kind = headers.get(":event-type") or headers.get(":exception-type") or "error"
        with suppress(orjson.JSONDecodeError):
            yield {kind: orjson.loads(body[_PRELUDE + written : size - 4] or b"{}")}
        body = body[size:]


def _texts(data: bytes) -> dict[str, str]:
    """The headers up to the first that is no text."""
    found = {}
    while data:
        end = 1 + data[0]
        name, kind = data[1:end].decode(), data[end]
        if kind != _TEXT:
            break
        (size,) = struct.unpack_from(">H", data, end + 1)
        found[name] = data[end + 3 : end + 3 + size].decode()
        data = data[end + 3 + size :]
    return found
