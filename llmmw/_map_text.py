"""Rewriting the text of answers, told and returned alike."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeGuard

import attrs

from llmmw._call import Call, Listener
from llmmw._chain import Handler
from llmmw._deltas import Delta, Fold, PartDelta, PartEnd, PartStart, deltas_of
from llmmw._messages import Message
from llmmw._parts import Part, TextPart
from llmmw._response import Generation, Response
from llmmw.errors import ListenerFailed, LLMError

__all__ = ["MapText"]


@attrs.frozen
class MapText:
    """Middleware that rewrites the text of answers: `MapText(str.upper)`.

    What is told and what is returned is changed alike, and so is what an error has of an answer
    in `partial`. Reasoning, tool calls and refusals stay
    as they are. Log-probabilities and citations belong to the old text and are dropped.

    Args:
        change: gets a text and gives the new one. What it raises ends the call and reaches the
            caller as it is.
        pieces: change each piece as it comes, so that the answer is told while it is written. Only
            for a change that looks at nothing around, so that `change(a) + change(b)` is
            `change(a + b)`, as with `str.upper`. Without it, the change gets each text whole, and
            whoever listens is told all at the end of the answer.
    """

    change: Callable[[str], str]
    pieces: bool = attrs.field(default=False, kw_only=True)

    async def __call__(self, call: Call, next: Handler) -> Response:
        try:
            if call.listener is not None and self.pieces:
                return await self._in_pieces(call, call.listener, next)
            return await self._whole(call, next)
        except LLMError as error:
            if error.partial is None and not error.attempts:
                raise
            raise self._error(error) from error.__cause__

    async def _whole(self, call: Call, next: Handler) -> Response:
        response = await next(call.replace(listener=None))
        if not isinstance(response, Generation):
            return response
        changed = self._response(response)
        if call.listener is not None:
            for delta in deltas_of(changed):
                await call.listener(delta)
        return changed

    async def _in_pieces(self, call: Call, listener: Listener, next: Handler) -> Response:
        fold = Fold()

        async def tell(delta: Delta) -> None:
            changed = self._delta(delta, fold)
            if changed is not None:
                fold(changed)
                await listener(changed)

        response = await next(call.listening(tell))
        if not isinstance(response, Generation):
            return response
        # What was told is the answer, whatever the change would make of all of it.
        return _with(response, fold.candidates())

    def _delta(self, delta: Delta, fold: Fold) -> Delta | None:
        if isinstance(delta, PartStart) and _is_ours(delta.part):
            return attrs.evolve(delta, part=self._part(delta.part))
        if isinstance(delta, PartEnd) and _is_ours(delta.part):
            told = fold.whole(delta.index, delta.candidate)
            assert isinstance(told, TextPart)
            part = attrs.evolve(delta.part, text=told.text, logprobs=(), citations=())
            return attrs.evolve(delta, part=part)
        if isinstance(delta, PartDelta) and _is_ours(fold.whole(delta.index, delta.candidate)):
            text = self._text(delta.text)
            piece = PartDelta(index=delta.index, candidate=delta.candidate, text=text)
            return piece if text else None
        return delta

    def _error(self, error: LLMError) -> LLMError:
        """The error with what had come of an answer rewritten. A copy, since whoever raised it may
        raise the same object again."""
        changed = copy.copy(error).with_traceback(error.__traceback__)
        if isinstance(error.partial, Generation):
            changed.partial = self._response(error.partial)
        changed.attempts = tuple(self._error(one) for one in error.attempts)
        return changed

    def _response(self, response: Generation) -> Generation:
        messages = [c.message for c in response.candidates] or [response.message]
        return _with(response, [self._message(message) for message in messages])

    def _message(self, message: Message) -> Message:
        parts = (self._part(part) if _is_ours(part) else part for part in message.parts)
        return attrs.evolve(message, parts=tuple(parts))

    def _part(self, part: TextPart) -> TextPart:
        return attrs.evolve(part, text=self._text(part.text), logprobs=(), citations=())

    def _text(self, text: str) -> str:
        try:
            return self.change(text) if text else ""
        except Exception as error:
            # In the middle of a provider's stream, it must not be taken for the provider's.
            raise ListenerFailed(error) from error


def _is_ours(part: Part) -> TypeGuard[TextPart]:
    return isinstance(part, TextPart) and not part.refusal


def _with(response: Generation, messages: list[Message]) -> Generation:
    """The response with other messages, one a candidate."""
    several = tuple(
        attrs.evolve(one, message=messages[place]) for place, one in enumerate(response.candidates)
    )
    return response.replace(message=messages[0], candidates=several)
