"""What comes over the line, as objects and events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from llmmw.errors import ProtocolError
from llmmw.wire import EventMessage, Reply, loads

__all__ = ["event_in", "object_in", "seconds_in"]

_KINDS = {"exception": (":exception-type", ""), "error": (":error-code", ":error-message")}
"""The messages that end a stream with an error, and where they say which."""


def object_in(reply: Reply, data: bytes) -> dict[str, Any]:
    """The object that a body is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = loads(data)
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told


def event_in(reply: Reply, message: EventMessage) -> tuple[str, Mapping[str, Any]]:
    """The kind and the fields of an event.

    Raises:
        LLMError: if the message tells an error, or is none.
    """
    kind = message.text(":message-type")
    if kind in _KINDS:
        raise reply.error(_told(message, *_KINDS[kind]))
    told = loads(message.payload) if message.payload.strip() else {}
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an event belongs")
    return message.text(":event-type"), told


def _told(message: EventMessage, code: str, words: str) -> dict[str, Any]:
    """What an error says; its message stands in the payload or in a header."""
    try:
        told = loads(message.payload)
    except ProtocolError:
        told = None
    fields = told if isinstance(told, dict) else {}
    said = message.text(words) if words else ""
    texts = [said, *(fields.get(name) for name in ("message", "Message", "originalMessage"))]
    shown = dict.fromkeys(one for one in texts if isinstance(one, str) and one)
    return {"code": message.text(code), "message": ": ".join(shown)}


def seconds_in(told: Mapping[str, Any], name: str) -> float | None:
    """A time, which the host writes as a date or a number of seconds; `None` if it is none."""
    given = told.get(name)
    try:
        if isinstance(given, str):
            then = datetime.fromisoformat(given)
            return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            return float(given)
    except (ValueError, OverflowError):
        pass
    return None
