"""What the body of an error says, in whichever of the many shapes: message, words, status, wait.

Reads anything and never fails. Every text leaves here without secrets and without characters that
a terminal or a log would obey.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import orjson

from llmmw.errors import ProtocolError
from llmmw.wire._json import loads

__all__ = ["Told", "clean", "is_error", "told_by"]

_WORDS = (
    *("code", "type", "status", "Code", "__type", "reason", "error_type", "error_code"),
    *("limit_source", "quotaId"),
)
"""Where hosts put their word for an error, first one first."""
_NESTS = ("error", "innererror", "metadata", "details", "violations", "errors", "content", "detail")
_LISTS = ("details", "violations", "errors")
_TEXTS = ("message", "msg", "error", "content", "detail")
_STATUSES = ("code", "status_code", "status")
_PROBLEM = {"detail", "title", "type", "status", "status_code", "code", "instance", "request_id"}
_FAILED = ("error", "response.failed")
_DEPTH, _ITEMS = 5, 8
_MOST_READ, _MOST_RAW, _MOST_TOLD, _MOST_OF_A_WORD = 20_000, 500, 2_000, 200
_CONTROL = re.compile("[\\s\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


@attrs.frozen(kw_only=True)
class Told:
    """What a body says of its error."""

    message: str
    """For people; empty if the body is."""
    words: tuple[str, ...]
    """The host's own words for the error, the most telling first."""
    status: int | None
    """The HTTP status that stands inside the body."""
    delay: str
    """The wait of Google's `RetryInfo`, as `46s`."""
    request_id: str


def told_by(body: object, scrub: Callable[[str], str]) -> Told:
    """What `body` says: bytes, text, or JSON that was read already.

    Args:
        body: of the answer, or of one event in it.
        scrub: takes the secrets out of a text.
    """
    text, data = _read(body)
    data = _unwrapped(data)
    error = data.get("error") if isinstance(data, dict) else None
    levels = [one for one in (error, data) if isinstance(one, dict)]
    message = clean(_message(data), scrub)[:_MOST_TOLD]
    found = (word for level in levels for word in _words(level, _DEPTH))
    return Told(
        message=message or clean(_visible(text), scrub)[:_MOST_RAW],
        words=tuple(dict.fromkeys(clean(word, scrub)[:_MOST_OF_A_WORD] for word in found)),
        status=next(filter(None, map(_status, levels)), None),
        delay=next(filter(None, map(_delay, levels)), ""),
        request_id=clean(_string(data, "request_id"), scrub)[:_MOST_OF_A_WORD],
    )


def is_error(data: object) -> bool:
    """Whether JSON from inside an answer of status 200 tells an error."""
    while isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return False
    if data.get("error") or data.get("object") == "error" or data.get("type") in _FAILED:
        return True
    choices = data.get("choices")
    if choices and isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict) and choice.get("error"):
                return True
    return bool(data.get("detail")) and data.keys() <= _PROBLEM


def clean(text: str, scrub: Callable[[str], str]) -> str:
    """One line without secrets."""
    return scrub(_CONTROL.sub(" ", text[:_MOST_READ]).strip())


def _read(body: object) -> tuple[str, object]:
    """A body as text and as JSON; `None` if it is none."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace").lstrip("\ufeff")
    if not isinstance(body, str):
        try:
            return orjson.dumps(body).decode(), body
        except TypeError:
            return "", body
    try:
        return body, loads(body)
    except ProtocolError:
        return body, None


def _unwrapped(data: object) -> object:
    """The object that tells the error: out of lists, a failed response, or a choice."""
    while isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict) or data.get("error"):
        return data
    if data.get("type") == "response.failed" and isinstance(data.get("response"), dict):
        return {"type": "response.failed", **data["response"]}
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("error"):
            return choice
    return data


def _message(data: object) -> str:
    """The host's message, by the paths that hosts use."""
    if isinstance(data, str):
        return data
    if not isinstance(data, dict):
        return ""
    paths = ("error", "message", "Message", "detail", "errors", "error_message")
    message = next(filter(None, (_text(data.get(path), _DEPTH) for path in paths)), "")
    error = data.get("error")
    raw = error.get("metadata") if isinstance(error, dict) else None
    further = _string(raw, "raw")  # what the host behind a router said
    return f"{message}: {further}" if further else message


def _text(value: object, depth: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and depth:
        text = next(filter(None, (_text(value.get(key), depth - 1) for key in _TEXTS)), "")
        where = value.get("loc")
        place = ".".join(map(str, where[:_ITEMS])) if isinstance(where, list) else ""
        return f"{place}: {text}" if place and text else text
    if isinstance(value, list) and depth:
        return "; ".join(filter(None, (_text(item, depth - 1) for item in value[:_ITEMS])))
    return ""


def _words(level: dict[str, Any], depth: int) -> Iterator[str]:
    for key in _WORDS:
        word = level.get(key)
        if (
            isinstance(word, (str, int))
            and not isinstance(word, bool)
            and word not in {"", "error"}
        ):
            yield str(word)
    for key in _NESTS:
        nest = level.get(key)
        inner = nest[:_ITEMS] if isinstance(nest, list) and key in _LISTS else [nest]
        for one in inner if depth else ():
            if isinstance(one, dict):
                yield from _words(one, depth - 1)


def _status(level: dict[str, Any]) -> int | None:
    for key in _STATUSES:
        given = level.get(key)
        if isinstance(given, (int, str)) and re.fullmatch("[45][0-9][0-9]", str(given)):
            return int(given)
    return None


def _delay(level: dict[str, Any]) -> str:
    details = level.get("details")
    for detail in details[:_ITEMS] if isinstance(details, list) else ():
        if delay := _string(detail, "retryDelay"):
            return delay
    return ""


def _string(level: object, key: str) -> str:
    value = level.get(key) if isinstance(level, dict) else None
    return value if isinstance(value, str) else ""


def _visible(text: str) -> str:
    """What a reader would see of a page, if the text is one."""
    text = text[:_MOST_READ]
    if not text.lstrip().startswith("<"):
        return text
    seen, hidden = [], ""
    for piece in text.split("<"):
        tag, _, rest = piece.partition(">")
        name = tag.split(None, 1)[0].lower() if tag.split() else ""
        if hidden and name != f"/{hidden}":
            continue
        hidden = name if name in {"script", "style"} else ""
        seen.append("" if hidden else rest)
    return html.unescape(" ".join(seen))
