"""A text of an answer that is changed as it comes, the same whether it streams or not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Protocol

import attrs

from llmmw._call import Call, Listener
from llmmw._chain import Handler
from llmmw._deltas import Delta, PartDelta, PartEnd, PartStart, ResponseStart, Restarted
from llmmw._listen import with_partial
from llmmw._messages import Message
from llmmw._parts import Part, TextPart
from llmmw._request import Generate
from llmmw._response import Finish, Generation, Response
from llmmw.errors import LLMError

__all__ = ["Edit", "Edited"]


class Edit(Protocol):
    """Changes one text. However it is cut into pieces, what it gives is the same together."""

    @property
    def finish(self) -> Finish | None:
        """Set where the answer ends in this text: what follows is no part of it."""

    def feed(self, text: str) -> str:
        """What is certain after another piece."""

    def close(self) -> str:
        """What else there is, once the text is whole."""


@attrs.frozen
class Edited:
    """Middleware that has every text of an answer changed by an `Edit` of its own. Refusals and
    reasoning are left alone."""

    edit: Callable[[], Edit]

    async def __call__(self, call: Call, next: Handler) -> Response:
        if not isinstance(call.request, Generate):
            return await next(call)
        telling = None if call.listener is None else _Telling(self.edit, call.listener)
        try:
            response = await next(call if telling is None else call.replace(listener=telling))
        except LLMError as error:
            if not isinstance(error.partial, Generation):
                raise
            cut = with_partial(error, self._changed(error.partial, is_whole=False))
        else:
            if not isinstance(response, Generation):
                return response
            return self._changed(response, is_whole=True)
        raise cut

    def _changed(self, response: Generation, is_whole: bool) -> Generation:
        message, end = self._message(response.message, is_whole)
        several = []
        for one in response.candidates:
            told, its_end = self._message(one.message, is_whole)
            several.append(attrs.evolve(one, message=told, finish=its_end or one.finish))
        finish = end or response.finish
        return response.replace(message=message, candidates=tuple(several), finish=finish)

    def _message(self, message: Message, is_whole: bool) -> tuple[Message, Finish | None]:
        parts: list[Part] = []
        for part in message.parts:
            if not _is_text(part):
                parts.append(part)
                continue
            changed, end = _edited(part, self.edit(), is_whole or part is not message.parts[-1])
            parts.append(changed)
            if end is not None:
                return attrs.evolve(message, parts=tuple(parts)), end
        return attrs.evolve(message, parts=tuple(parts)), None


def _is_text(part: Part) -> bool:
    return isinstance(part, TextPart) and not part.refusal


def _edited(part: Part, edit: Edit, is_whole: bool) -> tuple[Part, Finish | None]:
    assert isinstance(part, TextPart)
    text = edit.feed(part.text)
    text += edit.close() if is_whole else ""
    if edit.finish is None:
        return attrs.evolve(part, text=text), None
    ends = itertools.accumulate(len(one.token) for one in part.logprobs)
    told = tuple(one for one, end in zip(part.logprobs, ends, strict=True) if end <= len(text))
    sources = tuple(one for one in part.citations if (one.start or 0) < len(text))
    return attrs.evolve(part, text=text, logprobs=told, citations=sources), edit.finish


@attrs.define(eq=False)
class _Telling:
    """Tells the deltas of the changed answer as they come."""

    edit: Callable[[], Edit]
    listener: Listener
    _edits: dict[tuple[int, int], Edit] = attrs.field(factory=dict)
    _ends: dict[int, int] = attrs.field(factory=dict)
    """The last part of each candidate that has ended."""

    async def __call__(self, delta: Delta) -> None:
        if isinstance(delta, Restarted):
            self._edits.clear()
            self._ends.clear()
        if isinstance(delta, (Restarted, ResponseStart)):
            await self.listener(delta)
        elif delta.index <= self._ends.get(delta.candidate, math.inf):
            await self._tell(delta)

    async def _tell(self, delta: PartStart | PartDelta | PartEnd) -> None:
        place = (delta.candidate, delta.index)
        if isinstance(delta, PartStart) and _is_text(delta.part):
            self._edits[place] = self.edit()
        edit = self._edits.get(place)
        if edit is None:
            await self.listener(delta)
        elif isinstance(delta, PartDelta):
            # What it says of single tokens is told at its end, when it is known which there are.
            text = edit.feed(delta.text)
            if text or (delta.citation and edit.finish is None):
                await self.listener(attrs.evolve(delta, text=text, logprobs=()))
        elif isinstance(delta, PartStart):
            await self.listener(attrs.evolve(delta, part=_edited(delta.part, edit, False)[0]))
        else:
            rest = edit.close()
            if rest:
                await self.listener(PartDelta(index=place[1], candidate=place[0], text=rest))
            whole = _edited(delta.part, self.edit(), True)[0]
            await self.listener(attrs.evolve(delta, part=whole))
        if edit is not None and edit.finish is not None:
            self._ends[delta.candidate] = delta.index
