"""One case: a folder with an exchange that was recorded or written, and its reading."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import attrs
import orjson

from llmmw.testing.conformance._frames import frame

__all__ = ["Case", "cases_of"]

_TYPES = {
    "sse": "text/event-stream",
    "bare-json-lines": "text/event-stream",  # framed by us
    "json": "application/json",
    "json-array-stream": "application/json",
    "ndjson": "application/x-ndjson",
    "html": "text/html",
    "aws-eventstream": "application/vnd.amazon.eventstream",
}
_BARE = ("bare-json-lines",)
"""Framings that are made here."""
_OF_THE_LINE = {
    *("content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"),
    *("trailer", "upgrade", "date"),
}
"""Headers that say how the bytes travelled, which they do anew."""
_NAMED = ("anthropic-messages", "openai-responses", "cohere-v2")
"""Wires whose events have a name, which is their type."""
_DONE = ("openai-chat", "openai-completions", "mistral-chat")
_BINARY = ("bedrock-converse",)
"""Wires whose events are frames of an AWS event stream."""
_LAST = {
    *("message_stop", "message-end"),
    *("response.completed", "response.incomplete", "response.failed"),
}
"""Types of events that end an answer."""


@attrs.frozen(kw_only=True)
class Case:
    """An exchange: what a host sent, and what is in it."""

    id: str
    provider: str
    wire: str
    streams: bool
    framing: str
    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    expected: Mapping[str, Any] = attrs.field(repr=False)
    request: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    """What the recorded client sent."""
    url: str = ""
    chunks: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    """The body as it was cut, where that matters."""

    @property
    def model(self) -> str:
        """The model that was asked, as far as it is known."""
        found = re.search(r"/models?/([^/:?]+)", self.url)
        told = (self.request or {}).get("model") or (found and found[1])
        return unquote(str(told or self.expected.get("model") or "m"))

    @property
    def answers(self) -> list[bytes]:
        """The bodies to serve, one a request: most often one. Some of those that were kept as
        bare lines are several answers, one after another."""
        if self.framing not in _BARE:
            return [self.body]
        lines = [line for line in self.body.splitlines() if line.strip()]
        return [b"".join(self._framed(part)) for part in _several(lines)]

    def _framed(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            if self.wire in _BINARY:
                yield frame(line)
                continue
            kind = _fields(line).get("type") if self.wire in _NAMED else None
            if isinstance(kind, str):
                yield b"event: " + kind.encode() + b"\n"
            yield b"data: " + line + b"\n\n"
        if self.wire in _DONE:
            yield b"data: [DONE]\n\n"


def _several(lines: list[bytes]) -> list[list[bytes]]:
    """The lines of each answer: one ends with an event that ends an answer, or where the id
    changes after a reason to finish, or before another message starts."""
    parts: list[list[bytes]] = [[]]
    ended, last_id = False, None
    for line in lines:
        fields = _fields(line)
        told = fields.get("id")
        choices = fields.get("choices") or ()
        starts = "messageStart" in fields and parts[-1]
        if starts or (ended and (last_id is None or told != last_id)):
            parts.append([])
            ended = False
        parts[-1].append(line)
        if fields.get("type") in _LAST:
            ended, last_id = True, None
        elif any(isinstance(one, dict) and one.get("finish_reason") for one in choices):
            ended, last_id = told is not None, told
    return parts


def _fields(line: bytes) -> dict[str, Any]:
    """The fields of an event; none of what is no object."""
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def cases_of(folder: str | Path) -> list[Case]:
    """The cases in a folder and in all folders below it, by their ids.

    Raises:
        FileNotFoundError: if there is none.
    """
    root = Path(folder)
    cases = [_case(path.parent, root) for path in sorted(root.rglob("case.json"))]
    if not cases:
        raise FileNotFoundError(f"there is no case.json below {root}")
    return cases


def _case(folder: Path, root: Path) -> Case:
    told = orjson.loads((folder / "case.json").read_bytes())
    framing = told.get("framing") or "json"
    kind = "aws-eventstream" if told["wire"] in _BINARY and framing in _BARE else framing
    headers = {"content-type": _TYPES.get(kind, "application/octet-stream")}
    if framing not in _BARE:
        headers |= _headers(told.get("response_headers") or {})
    asked = folder / "request.json"
    return Case(
        id=str(told.get("id") or folder.relative_to(root)),
        provider=told["provider"],
        wire=told["wire"],
        streams=told.get("mode") == "stream",
        framing=framing,
        status=told.get("http_status") or 200,
        headers=headers,
        body=(folder / told["body"]).read_bytes(),
        expected=orjson.loads((folder / "expected.json").read_bytes()),
        request=_object(asked) if asked.exists() else None,
        url=told.get("url") or "",
        chunks=tuple(base64.b64decode(piece) for piece in told.get("chunks_b64") or ()),
    )


def _object(path: Path) -> Mapping[str, Any] | None:
    try:
        told = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, Mapping) else None


def _headers(told: Mapping[str, Any]) -> dict[str, str]:
    firsts = {
        name.lower(): str(given[0] if isinstance(given, list) and given else given)
        for name, given in told.items()
    }
    return {name: text for name, text in firsts.items() if name not in _OF_THE_LINE}
