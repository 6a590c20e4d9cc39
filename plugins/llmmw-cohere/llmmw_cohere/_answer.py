"""What the host answers, as parts of a response.

A whole answer is read as the events of a stream that would tell it, so one reader takes both. It is
lenient: hosts leave events out, and send fields and blocks that nobody knows.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import attrs

from llmmw import Citation, Generation, OpaquePart, Price, ReasoningPart, TextPart
from llmmw.errors import ProtocolError
from llmmw.plugin import ResponseBuilder
from llmmw_cohere._logprobs import logprobs_of, shared
from llmmw_cohere._messages import PLAN
from llmmw_cohere._usage import finish_of, usage_of
from llmmw_cohere._values import NAME, listed, number, objects, own, text

__all__ = ["Answer"]

Json = Mapping[str, Any]

_SILENT = ("content-end", "tool-call-end", "citation-end", "ping")
_READ = {"id", "message", "finish_reason", "usage", "logprobs"}
_READ_OF_AN_EVENT = {"id", "type", "index", "delta", "logprobs"}
_READ_OF_A_BLOCK = {"type", "text", "thinking"}
_READ_OF_A_MESSAGE = {"role", "content", PLAN, "tool_calls", "citations"}
_IN_TEXT = ("TEXT_CONTENT", None)
"""Citations of other kinds belong to the plan or to the thinking."""


@attrs.define(eq=False)
class Answer:
    """Reads one answer and builds the response.

    Args:
        builder: takes what is read.
        price: what the model costs, where that is known.
    """

    builder: ResponseBuilder
    price: Price | None = None
    complete: bool = attrs.field(default=False, init=False)
    """Whether the host has said that the answer ends."""
    error: Any = attrs.field(default=None, init=False)
    """What went wrong while it was written, if the host said so."""
    _block: object = attrs.field(default=None, init=False)
    """The place of the content that is told, or what is told in its stead."""
    _is_text: bool = attrs.field(default=False, init=False)
    """Whether a text is told, which can be cited."""
    _is_odd: bool = attrs.field(default=False, init=False)
    """Whether content of a kind is told that nobody knows."""
    _calls: dict[int | None, int] = attrs.field(factory=dict, init=False)
    _held: dict[int, str] = attrs.field(factory=dict, init=False)
    """By call, the begin of arguments that may become `null`, which says that there are none."""
    _count: int = attrs.field(default=0, init=False)
    _reason: Any = attrs.field(default=None, init=False)
    _usage: Json = attrs.field(factory=dict, init=False)
    _more: dict[str, Any] = attrs.field(factory=dict, init=False)
    """What the content that is told has besides."""
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)
    _rows: dict[str, list[Any]] = attrs.field(factory=dict, init=False)
    """What stands beside in lists that are made here."""

    async def take(self, event: Json) -> None:
        """Read an event."""
        kind = text(event.get("type"))
        message = own(own(event.get("delta")).get("message"))
        hear = _EVENTS.get(kind)
        if hear is not None:
            self._keep(event, _READ_OF_AN_EVENT)
            await hear(self, event, message)
        elif kind not in _SILENT:
            self._rows.setdefault("events", []).append(dict(event))

    async def whole(self, told: Json) -> None:
        """Read an answer that came whole.

        Raises:
            ProtocolError: if it is none.
        """
        if not isinstance(told.get("message"), dict):
            raise ProtocolError("the host answered without any message")
        self._keep(told, _READ)
        for event in _events_of(told):
            await self.take(event)

    async def finish(self, **fields: Any) -> Generation:
        """The response; `fields` are further ones of it."""
        for key, begun in self._held.items():
            await self.builder.tool_call(key, arguments="" if begun.strip() == "null" else begun)
        return await self.builder.finish(
            finish_of(self._reason, calls=self._count > 0),
            usage=usage_of(self._usage, self.price) if self._usage else None,
            raw=self._beside | self._rows,
            **fields,
        )

    async def _start(self, event: Json, message: Json) -> None:
        await self.builder.start(id=text(event.get("id")) or None)
        self._keep(message, _READ_OF_A_MESSAGE)

    async def _content_start(self, event: Json, message: Json) -> None:
        await self._next(_place(event))
        content = own(message.get("content"))
        kind = text(content.get("type"))
        if kind in {"text", "thinking", ""}:
            await self._content(event, message)
        else:
            self._is_odd = True
            await self.builder.part(OpaquePart(provider=NAME, type=kind, data=dict(content)))

    async def _content(self, event: Json, message: Json) -> None:
        """A piece of text or of thinking."""
        content = message.get("content")
        content = {"text": content} if isinstance(content, str) else own(content)
        place = _place(event)
        if place != self._block and (place is not None or self._block == PLAN):
            await self._next(place)  # without a place it goes on
        if self._is_odd:
            self._rows.setdefault("events", []).append(dict(event))
            return
        thought = text(content.get("thinking"))
        await self.builder.reasoning(thought)
        rows = event.get("logprobs")
        if rows:
            self._rows.setdefault("logprobs", []).extend(objects(rows))
        said = text(content.get("text"))
        await self.builder.text(said, logprobs=logprobs_of(rows) if said else ())
        if thought or said:
            self._is_text = bool(said)
        if self._more or content.keys() - _READ_OF_A_BLOCK:
            self._more |= {k: one for k, one in content.items() if k not in _READ_OF_A_BLOCK}
            kind = TextPart if self._is_text else ReasoningPart
            self.builder.annotate(kind, {NAME: dict(self._more)})

    async def _next(self, block: object) -> None:
        """What follows is a part of its own."""
        await self.builder.end_part()
        self._block, self._is_text, self._is_odd, self._more = block, False, False, {}

    async def _plan(self, event: Json, message: Json) -> None:
        """What the model is going to do with its tools: no answer, but thinking in the open."""
        said = text(message.get(PLAN))
        if not said:
            return
        if self._block != PLAN:
            await self._next(PLAN)
        await self.builder.reasoning(said)
        self.builder.annotate(ReasoningPart, {NAME: {PLAN: True}})

    async def _call_start(self, event: Json, message: Json) -> None:
        for call in objects(message.get("tool_calls")):
            key = self._calls[_place(event)] = self._count
            self._count += 1
            await self._next(None)
            function = own(call.get("function"))
            extra = {k: one for k, one in call.items() if k not in {"id", "type", "function"}}
            await self.builder.tool_call(
                key,
                id=text(call.get("id")) or f"call_{uuid.uuid4().hex[:24]}",
                name=text(function.get("name")),
                extra={NAME: extra} if extra else {},
            )
            self._held[key] = ""
            await self._argue(key, function)

    async def _call_piece(self, event: Json, message: Json) -> None:
        place = _place(event)
        if place not in self._calls and (self._count == 0 or None not in {place, *self._calls}):
            await self._call_start(event, message)  # whose begin got lost
            return
        key = self._calls.get(place, self._count - 1)
        for call in objects(message.get("tool_calls")):
            await self._argue(key, own(call.get("function")))

    async def _argue(self, key: int, function: Json) -> None:
        """A piece of a call's arguments. A `null` within them is none of their end."""
        said = self._held.pop(key, None)
        told = (said or "") + _arguments(function)
        if said is not None and "null".startswith(told.strip()):
            self._held[key] = told
        else:
            await self.builder.tool_call(key, arguments=told)

    async def _cite(self, event: Json, message: Json) -> None:
        """Where a piece of the text has its content from. What is said of the plan or the thinking,
        or of a text that has ended, has no place in its part and is kept beside."""
        for one in objects(message.get("citations")):
            place = one.get("content_index")
            is_here = self._is_text and (place is None or place == self._block)
            if is_here and one.get("type") in _IN_TEXT:
                await self.builder.text(citation=_citation(one))
            else:
                self._rows.setdefault("citations", []).append(dict(one))

    async def _end(self, event: Json, message: Json) -> None:
        delta = own(event.get("delta"))
        self.complete = True
        self.error = delta.get("error")
        self._reason = delta.get("finish_reason")
        self._usage = own(delta.get("usage"))
        self._keep(delta, {"error", "finish_reason", "usage", "message"})

    def _keep(self, told: Json, read: set[str]) -> None:
        """What has no place of its own in a response stands in its `raw`."""
        self._beside |= {k: one for k, one in told.items() if k not in read and one is not None}


def _place(event: Json) -> int | None:
    return number(event.get("index"))


_EVENTS: Mapping[str, Callable[[Answer, Json, Json], Awaitable[None]]] = {
    "message-start": Answer._start,  # noqa: SLF001 (its own)
    "content-start": Answer._content_start,  # noqa: SLF001
    "content-delta": Answer._content,  # noqa: SLF001
    "tool-plan-delta": Answer._plan,  # noqa: SLF001
    "tool-call-start": Answer._call_start,  # noqa: SLF001
    "tool-call-delta": Answer._call_piece,  # noqa: SLF001
    "citation-start": Answer._cite,  # noqa: SLF001
    "message-end": Answer._end,  # noqa: SLF001
}


def _events_of(told: Json) -> Iterator[Json]:
    """The events that would tell an answer."""
    message = told["message"]
    yield {"type": "message-start", "id": told.get("id"), "delta": {"message": message}}
    content = message.get("content")
    content = [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)
    texts = [text(one.get("text")) or text(one.get("thinking")) for one in content]
    rows = shared(listed(told.get("logprobs")), texts)
    sources = _sources_of(objects(message.get("citations")), content)
    for index, block in enumerate(content):
        place = {"index": index, "delta": {"message": {"content": block}}}
        yield {"type": "content-start", "logprobs": rows[index], **place}
        for one in sources.pop(index, ()):
            yield {"type": "citation-start", "delta": {"message": {"citations": one}}}
    yield {"type": "tool-plan-delta", "delta": {"message": {PLAN: message.get(PLAN)}}}
    for index, call in enumerate(objects(message.get("tool_calls"))):
        yield {
            "type": "tool-call-start",
            "index": index,
            "delta": {"message": {"tool_calls": call}},
        }
    for one in (one for rest in sources.values() for one in rest):
        yield {"type": "citation-start", "delta": {"message": {"citations": one}}}
    ends = {name: told.get(name) for name in ("finish_reason", "usage")}
    yield {"type": "message-end", "delta": ends}


def _sources_of(citations: list[Json], content: list[Json]) -> dict[object, list[Json]]:
    """Citations by the place of the content that they belong to: the last text, if none is said."""
    texts = [index for index, block in enumerate(content) if text(block.get("text"))]
    found: dict[object, list[Json]] = {}
    for one in citations:
        place = one.get("content_index")
        if type(place) is not int or place not in texts:
            place = texts[-1] if texts and place is None else None
        found.setdefault(place, []).append(one)
    return found


def _citation(told: Json) -> Citation:
    """A citation, with what is told of its first source; the host's own form goes along, since it
    wants that back."""
    source = next(iter(objects(told.get("sources"))), {})
    found = own(source.get("document")) or own(source.get("tool_output"))
    start, end = _span(told)
    return Citation(
        url=text(found.get("url")) or None,
        title=text(found.get("title")) or None,
        text=text(told.get("text")) or None,
        start=start,
        end=end,
        extra={NAME: dict(told)},
    )


def _span(told: Json) -> tuple[int | None, int | None]:
    """Where a citation begins and ends; nothing of what can't be."""
    start, end = (one if type(one) is int else None for one in (told.get("start"), told.get("end")))
    if (start or 0) < 0 or (end is not None and end < (start or 0)):
        return None, None
    return start, end


def _arguments(function: Json) -> str:
    """The text of arguments."""
    told = function.get("arguments")
    if isinstance(told, str):
        return told
    if not isinstance(told, dict):
        return ""
    try:
        return json.dumps(told, ensure_ascii=False)
    except RecursionError:
        pass
    raise ProtocolError("the arguments of a tool call nest too deeply")
