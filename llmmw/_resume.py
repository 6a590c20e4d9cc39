"""Going on with an answer that broke off after its caller had heard a part of it.

Another attempt is asked the same, and is given the text so far as the beginning of its answer. What
it then tells is joined to what was told, as if one had told it all: a new sample of the same
distribution where the target is the same, and a seam that only the ledger shows.

::

    first      The cat ··· sat ··· ✗
    second                            (The cat sat) ··· on ··· the mat. ··· response
    caller     The cat ··· sat ·························· on ··· the mat. ··· response
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import attrs
import trio

from llmmw._call import Call
from llmmw._deltas import (
    Delta,
    Fold,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseStart,
    Restarted,
    deltas_of,
)
from llmmw._ledger import StreamResumed
from llmmw._messages import Message
from llmmw._parts import ReasoningPart, TextPart
from llmmw._request import Generate, Request
from llmmw._response import Generation, Response
from llmmw.errors import ConfigError, LLMError

__all__ = ["Join", "Told", "continued", "objection"]


class _Source(Protocol):
    """The attempt that goes on."""

    @property
    def number(self) -> int: ...

    @property
    def target(self) -> str: ...


def objection(call: Call, request: Request, told: Told | None = None, *, first: bool) -> str:
    """Why the target of a request is passed over, or nothing. Whether it can serve a request is
    asked at its `first` visit alone; whether it can go on with an answer, when one was begun."""
    continues = call.attempt.continues or (told is not None and told.begun)
    if continues and not _prefills(call, request.model):
        return "it can't go on with an answer that was begun for it"
    if told is not None and told.begun and continued(request, "") is None:
        return "it is asked for what can't go on with an answer"
    return call.host.objection(request) if first and call.host is not None else ""


def _prefills(call: Call, target: str) -> bool:
    try:
        return call.host is not None and call.host.able(target).prefill
    except (LLMError, ConfigError):  # as a call of it would raise
        return False


def continued(request: Request, text: str) -> Request | None:
    """What to ask for the rest of an answer that begins with `text`; `None`: it has no rest that
    could be told apart, since its form is bound, or thoughts or other answers belong to it."""
    if not isinstance(request, Generate) or request.output is not None:
        return None
    if request.reasoning is not None or (request.n or 1) > 1:
        return None
    begun = text.rstrip()  # hosts refuse a beginning that ends in white space
    if not begun:
        return request
    if request.prompt is not None:
        return request.replace(prompt=request.prompt + begun)
    *before, last = request.messages
    if last.role == "assistant" and last.parts and isinstance(last.parts[-1], TextPart):
        part = attrs.evolve(last.parts[-1], text=last.parts[-1].text + begun)
        last = attrs.evolve(last, parts=(*last.parts[:-1], part))
        return request.replace(messages=(*before, last))
    return request.replace(messages=(*request.messages, Message("assistant", begun)))


@attrs.define(eq=False)
class Told:
    """The listener of a call that is to be resumed: what its caller has heard, over all
    attempts."""

    call: Call
    fold: Fold = attrs.field(factory=Fold)
    _cut: bool = False
    """A delta was cut off on its way; nobody knows whether the caller has it."""

    async def __call__(self, delta: Delta) -> None:
        assert self.call.listener is not None
        self._cut = True
        self.fold(delta)
        await self.call.listener(delta)
        self._cut = False

    @property
    def begun(self) -> bool:
        """Whether there was content."""
        return self.fold.anything

    @property
    def seams(self) -> int:
        """How often this call was continued, whoever did it."""
        return sum(isinstance(event, StreamResumed) for event in self.call.ledger.events)

    @property
    def text(self) -> str | None:
        """The text that the caller has, if it has no more than that and the last is not ended."""
        parts = self.fold.candidates()[0].parts
        if self._cut or self.fold.open_parts != [(0, len(parts) - 1)]:
            return None
        *before, last = parts
        plain = isinstance(last, TextPart) and not last.refusal and not last.citations
        thoughts = all(isinstance(part, ReasoningPart) for part in before)
        return last.text if isinstance(last, TextPart) and plain and thoughts else None

    def resumable(self, requests: Iterable[Request], most: int) -> bool:
        """Whether an attempt may go on with what came of these requests."""
        whole = self.text is not None and all(continued(one, "") is not None for one in requests)
        return whole and self.seams < most

    def request(self, request: Request) -> Request:
        """What the next attempt is asked in place of `request`."""
        rest = continued(request, self.text or "")
        assert rest is not None
        return rest


@attrs.define(eq=False)
class Join:
    """The listener of an attempt that goes on: joins what it tells to what was told.

    Its first text is a piece of the running part, without the white space that was told already;
    what comes before or after gets a place of its own.
    """

    _told: Told
    _source: _Source
    _running: int = attrs.field(init=False)
    """The part that is to go on."""
    _before: list[Delta] = attrs.field(init=False)
    """What was told."""
    _text: str = attrs.field(init=False)
    _tail: str = attrs.field(init=False)
    """The white space at the end of what was told, as far as it may be repeated."""
    _shift: int | None = None
    """From its places to those of the whole; `None` before its first part."""
    _first: int | None = None
    """The place of its first text."""
    _seen: bool = False

    def __attrs_post_init__(self) -> None:
        self._text = self._told.text or ""
        self._tail = self._text[len(self._text.rstrip()) :]
        self._running = self._told.fold.open_parts[0][1]
        *self._before, _ = deltas_of(self._told.fold.response())

    async def __call__(self, delta: Delta) -> None:
        if isinstance(delta, Restarted):
            await self._again(delta)
        elif isinstance(delta, PartDelta):
            await self._piece(delta)
        elif isinstance(delta, PartStart):
            await self._start(delta)
        elif isinstance(delta, PartEnd):
            await self._end(delta)

    async def _again(self, delta: Restarted) -> None:
        """A policy inside, which asks nobody, has the rest begin anew; and only the rest."""
        for one in (delta, *self._before):
            await self._told(one)
        self._shift = self._first = None
        self._tail = self._text[len(self._text.rstrip()) :]

    async def _start(self, delta: PartStart) -> None:
        text = isinstance(delta.part, TextPart) and not delta.part.refusal
        begins = self._shift is None
        if self._shift is None:
            self._shift = self._running - delta.index + (not text)
        place = delta.index + self._shift
        if text and self._first is None:
            self._first = place
        if place != self._running:
            if begins:
                await self._close()
            await self._tell(attrs.evolve(delta, index=place))
        elif isinstance(delta.part, TextPart) and delta.part.text:
            await self._piece(PartDelta(index=delta.index, text=delta.part.text))

    async def _piece(self, delta: PartDelta) -> None:
        place = delta.index + (self._shift or 0)
        text = self._fresh(delta.text) if place == self._first else delta.text
        piece = attrs.evolve(delta, index=place, text=text)
        if piece.content or piece.logprobs or not delta.content:
            await self._tell(piece)

    def _fresh(self, text: str) -> str:
        """A text without what was told already."""
        again = 0
        while again < min(len(self._tail), len(text)) and self._tail[again] == text[again]:
            again += 1
        self._tail = self._tail[again:] if again == len(text) else ""
        return text[again:]

    async def _end(self, delta: PartEnd) -> None:
        place = delta.index + (self._shift or 0)
        part = delta.part
        if place == self._first and isinstance(part, TextPart):
            whole = self._told.fold.whole(place)
            assert isinstance(whole, TextPart)
            part = attrs.evolve(
                part, text=whole.text, citations=whole.citations, logprobs=whole.logprobs
            )
        await self._tell(PartEnd(place, part))

    async def _close(self) -> None:
        """End the running part, if it is not ended."""
        for _, place in self._told.fold.open_parts:
            await self._tell(PartEnd(place, self._told.fold.whole(place)))

    async def _tell(self, delta: Delta) -> None:
        self._mark()
        await self._told(delta)

    def _mark(self) -> None:
        if not self._seen:
            self._seen = True
            ledger, source = self._told.call.ledger, self._source
            fields = (source.target, len(self._text), source.number)
            ledger.write(StreamResumed, trio.current_time(), *fields)

    async def finish(self, response: Response) -> Response:
        """The whole answer, of which `response` is the rest; what was not told is told."""
        if not isinstance(response, Generation):
            return response
        if self._shift is None:
            for delta in deltas_of(response):
                await self(delta)
        await self._close()
        self._mark()
        fold = self._told.fold
        whole = response.replace(message=fold.candidates()[0])
        if fold.start == ResponseStart():
            return whole
        start = fold.start
        return whole.replace(id=start.id, model=start.model, provider=start.provider)
