"""Messages as the text of server-sent events, which a browser's EventSource reads."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any

from llmmw.errors import BadRequest
from llmmw.flow._events import FlowEvent
from llmmw.flow._log import Log, Reads
from llmmw.flow._wire_events import MessageWriter, error_data

__all__ = ["SSETexts", "sse_event"]

_LINE_END = re.compile("\r\n|\r|\n")


def sse_event(
    data: str, *, event: str | None = None, id: str | None = None, retry: int | None = None
) -> str:
    """The text of one event, with the empty line that ends it.

    Args:
        data: any text. Each line gets its own `data:`; a reader puts LF between them.
        event: its type; a reader takes it for `message` if there is none.
        id: what a reader sends as `Last-Event-ID` when it connects again.
        retry: milliseconds after which a reader that was cut off connects again.

    Raises:
        BadRequest: if `event` or `id` has what can't stand in a line.
    """
    for name, one in (("event", event), ("id", id)):
        if one is not None and (_LINE_END.search(one) or "\0" in one):
            raise BadRequest(f"{name}={one!r}: expected a text of one line")
    lines = [] if event is None else [f"event: {event}"]
    if id is not None:
        lines.append(f"id: {id}")
    if retry is not None:
        lines.append(f"retry: {retry:d}")
    lines += [f"data: {line}" for line in _LINE_END.split(data)]
    return "\n".join(lines) + "\n\n"


class SSETexts(Reads[str]):
    """Makes server-sent events of what a run tells. A failure of the run is its last event."""

    def __init__(self) -> None:
        self._messages = MessageWriter()
        self._numbers = itertools.count(1)

    def __call__(self, event: FlowEvent) -> Iterable[str]:
        """The texts of an event's messages."""
        return [self._text(one) for one in self._messages(event)]

    def end(self, log: Log) -> Iterable[str]:
        """What the run has failed with, if it has."""
        if log.error is None:
            return ()
        return [self._text({"object": "graph.error", "data": error_data(log.error)})]

    def _text(self, message: dict[str, Any]) -> str:
        return sse_event(_json(message), id=str(next(self._numbers)))


def _json(message: dict[str, Any]) -> str:
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which has no place in UTF-8
        return json.dumps(message)
    return text
