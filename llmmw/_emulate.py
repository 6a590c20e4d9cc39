"""What llmmw does itself for a target that can't, where a request says `unsupported="emulate"`."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from llmmw._call import Call, Listener
from llmmw._chain import Handler
from llmmw._deltas import Delta, PartDelta, PartEnd, PartStart, ResponseStart, Restarted
from llmmw._request import Generate
from llmmw._response import Candidate, Finish, Generation, Response, Usage
from llmmw._tasks import open_nursery

__all__ = ["Several", "Stops"]


@attrs.define
class Stops:
    """An edit that ends a text before the first of some words, as it would have been ended had
    they been tokens: where one is complete, nothing that follows is looked at."""

    words: Sequence[str]
    finish: Finish | None = None
    _held: str = ""

    def feed(self, text: str) -> str:
        """What can't be the beginning of such a word."""
        if self.finish is not None:
            return ""
        text, words = self._held + text, [word for word in self.words if word]
        found = [(at + len(word), at, word) for word in words if (at := text.find(word)) >= 0]
        if found:
            _, at, word = min(found)
            self.finish, self._held = Finish("stop", stop_sequence=word), ""
            return text[:at]
        kept = len(text) - max((_begun(text, word) for word in words), default=0)
        self._held = text[kept:]
        return text[:kept]

    def close(self) -> str:
        """What was the beginning of a word and then was none."""
        rest, self._held = self._held, ""
        return rest


def _begun(text: str, word: str) -> int:
    """How many of the last characters are the first of a word."""
    most = min(len(word) - 1, len(text))
    return next((size for size in range(most, 0, -1) if text.endswith(word[:size])), 0)


@attrs.frozen
class Several:
    """Middleware that makes several calls at once, and one response of their answers: their
    candidates, and the sum of what they used. Where one fails, all do."""

    count: int

    async def __call__(self, call: Call, next: Handler) -> Response:
        telling = None if call.listener is None else _Telling(call.listener)
        answers: dict[int, Response] = {}

        async def ask(number: int) -> None:
            request = call.request
            if isinstance(request, Generate) and request.seed is not None:
                request = request.replace(seed=request.seed + number)  # else they were the same
            one = call.replace(request=request)
            if telling is not None:
                one = one.replace(listener=telling.of(number))
            answers[number] = await next(one)

        async with open_nursery() as nursery:
            for number in range(self.count):
                nursery.start_soon(ask, number)
        rows = [answers[number] for number in range(self.count)]
        return _merged([row for row in rows if isinstance(row, Generation)], telling)


@attrs.define(eq=False)
class _Telling:
    """Tells what several calls tell, one delta at a time, each with its candidate."""

    listener: Listener
    start: ResponseStart | None = None
    _lock: trio.Lock = attrs.field(factory=trio.Lock)
    _told: list[PartStart | PartDelta | PartEnd] = attrs.field(factory=list)

    def of(self, number: int) -> Listener:
        """The listener of one of the calls."""

        async def listener(delta: Delta) -> None:
            async with self._lock:
                if isinstance(delta, Restarted):
                    await self._again(number, delta)
                elif not isinstance(delta, ResponseStart):
                    self._told.append(attrs.evolve(delta, candidate=number))
                    await self.listener(self._told[-1])
                elif self.start is None:
                    self.start = delta
                    await self.listener(delta)

        return listener

    async def _again(self, number: int, delta: Restarted) -> None:
        """One of them begins anew; what the others told is told once more."""
        self._told = [one for one in self._told if one.candidate != number]
        for told in (delta, *([self.start] if self.start else []), *self._told):
            await self.listener(told)


def _merged(answers: Sequence[Generation], telling: _Telling | None) -> Generation:
    first = answers[0]
    start = None if telling is None else telling.start
    known = {} if start is None else {"id": start.id, "model": start.model}
    return first.replace(
        candidates=tuple(Candidate(one.message, one.finish) for one in answers),
        usage=_summed([one.usage for one in answers]),
        warnings=tuple(dict.fromkeys(text for one in answers for text in one.warnings)),
        raw=None,
        **known,
    )


def _summed(used: Sequence[Usage | None]) -> Usage | None:
    """What several used together; what one does not tell is unknown of all."""
    rows = [one for one in used if one is not None]
    if len(rows) < len(used):
        return None
    sums = {}
    for field in attrs.fields(Usage):
        told = [getattr(row, field.name) for row in rows]
        if field.name not in {"server_tool_calls", "raw"}:
            sums[field.name] = None if None in told else sum(told)
    calls: dict[str, int] = {}
    for row in rows:
        for name, count in row.server_tool_calls.items():
            calls[name] = calls.get(name, 0) + count
    return Usage(**sums, server_tool_calls=calls)
