"""The pieces of an answer as they are told, and their fold, which is the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import attrs

from llmmw._messages import Message
from llmmw._parts import (
    Citation,
    MediaPart,
    Part,
    ReasoningPart,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmmw._response import Candidate, Generation
from llmmw.errors import ProtocolError

__all__ = [
    "HEARD",
    "Delta",
    "Fold",
    "PartDelta",
    "PartEnd",
    "PartStart",
    "ResponseStart",
    "Restarted",
    "deltas_of",
]


if TYPE_CHECKING:
    from attrs import frozen as _light
else:  # there are thousands of them, and a frozen one takes twice as long to make
    _light = partial(attrs.define, unsafe_hash=True)


@attrs.frozen(kw_only=True)
class ResponseStart:
    """A provider has begun to answer."""

    id: str | None = None
    model: str = ""
    provider: str = ""


@attrs.frozen
class PartStart:
    """A part begins; `part` is its skeleton: kind, ids, a tool's name."""

    index: int
    part: Part
    candidate: int = 0


@_light(kw_only=True)
class PartDelta:
    """A piece of the part `index`: text (or reasoning), JSON text of arguments, or a detail."""

    index: int
    candidate: int = 0
    text: str = ""
    arguments: str = ""
    signature: str | None = None
    citation: Citation | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    data: bytes = b""

    @property
    def content(self) -> bool:
        """Whether there is something of the answer in it."""
        return bool(self.text or self.arguments or self.data or self.signature or self.citation)


@attrs.frozen
class PartEnd:
    """A part is complete."""

    index: int
    part: Part
    candidate: int = 0


@attrs.frozen
class Restarted:
    """All that was told before is void; the answer begins anew. Forget it and fold again."""

    reason: str = ""


Delta: TypeAlias = ResponseStart | PartStart | PartDelta | PartEnd | Restarted


# To ask what is over takes half as long as to make a generator.
_OVER = cast("Generator[Any, Any, None]", iter(()))


class _Heard(Coroutine[Any, Any, None]):  # not only awaitable: trio calls nothing less in a task
    def __await__(self) -> Generator[Any, Any, None]:
        return _OVER

    def send(self, value: object) -> None:
        raise StopIteration

    def throw(self, *error: Any) -> None:
        raise error[-1]

    def close(self) -> None:
        pass


HEARD: Awaitable[None] = _Heard()
"""What a listener gives that has heard a delta already, so that nobody need wait for it."""


@attrs.define
class _OpenPart:
    """A part that is being told: its skeleton and the pieces so far."""

    part: Part
    text: list[str] = attrs.field(factory=list)
    # Made when they are needed: most parts are text, and thousands may be open at once.
    arguments: list[str] | tuple[()] = ()
    data: bytearray | bytes = b""
    signature: str | None = None
    citations: tuple[Citation, ...] = ()
    logprobs: list[TokenLogprob] | tuple[()] = ()

    def add(self, delta: PartDelta) -> None:
        if delta.text:
            self.text.append(delta.text)
        if delta.arguments:
            self.arguments = self.arguments or []
            self.arguments.append(delta.arguments)
        if delta.signature:
            self.signature = delta.signature
        if delta.citation is not None:
            self.citations += (delta.citation,)
        if delta.logprobs:
            self.logprobs = self.logprobs or []
            self.logprobs += delta.logprobs
        if delta.data:
            self.data = self.data or bytearray()
            self.data += delta.data

    def whole(self) -> Part:
        """The part as it is now."""
        part = self.part
        if isinstance(part, TextPart):
            return attrs.evolve(
                part,
                text=part.text + "".join(self.text),
                citations=(*part.citations, *self.citations),
                logprobs=(*part.logprobs, *self.logprobs),
            )
        if isinstance(part, ReasoningPart):
            text = part.text + "".join(self.text)
            return attrs.evolve(part, text=text, signature=self.signature or part.signature)
        if isinstance(part, ToolCallPart):
            return attrs.evolve(part, arguments=part.arguments + "".join(self.arguments))
        if isinstance(part, MediaPart) and self.data:
            return attrs.evolve(part, data=bytes(self.data))
        return part


@attrs.define
class Fold:
    """Gathers deltas into the answer that they tell. Call it with each delta in turn.

    Raises:
        ProtocolError: when a delta does not fit what came before it.
    """

    start: ResponseStart = attrs.field(factory=ResponseStart)
    _open: dict[tuple[int, int], _OpenPart] = attrs.field(factory=dict)
    _done: dict[tuple[int, int], Part] = attrs.field(factory=dict)
    anything: bool = False
    """Whether some content was told since the beginning or the last `Restarted`."""

    def __call__(self, delta: Delta) -> None:
        if isinstance(delta, PartDelta):  # most are
            open_part = self._open.get((delta.candidate, delta.index))
            if open_part is None:
                raise ProtocolError(f"a piece of part {delta.index}, which is not open")
            open_part.add(delta)
            if not self.anything:
                self.anything = delta.content
        elif isinstance(delta, PartStart):
            place = (delta.candidate, delta.index)
            if place in self._open or place in self._done:
                raise ProtocolError(f"part {delta.index} of the answer begins twice")
            self._open[place] = _OpenPart(delta.part)
        elif isinstance(delta, PartEnd):
            place = (delta.candidate, delta.index)
            if self._open.pop(place, None) is None:
                raise ProtocolError(f"part {delta.index} of the answer ends before it begins")
            self._done[place] = delta.part
            self.anything = True
        elif isinstance(delta, ResponseStart):
            self.start = delta
        else:
            self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.start = ResponseStart()
        self._open.clear()
        self._done.clear()
        self.anything = False

    def whole(self, index: int, candidate: int = 0) -> Part:
        """An open part as it is now."""
        return self._open[candidate, index].whole()

    @property
    def open_parts(self) -> list[tuple[int, int]]:
        """The parts not yet ended, as (candidate, index)."""
        return sorted(self._open)

    def candidates(self) -> list[Message]:
        """The message of each candidate so far."""
        parts = self._done | {place: part.whole() for place, part in self._open.items()}
        count = 1 + max((candidate for candidate, _ in parts), default=0)
        rows: list[list[Part]] = [[] for _ in range(count)]
        for candidate, index in sorted(parts):
            rows[candidate].append(parts[candidate, index])
        return [Message("assistant", tuple(row)) for row in rows]

    def response(self, **fields: Any) -> Generation:
        """The answer so far; `fields` are those that deltas do not tell."""
        messages = self.candidates()
        several = tuple(Candidate(m) for m in messages) if len(messages) > 1 else ()
        known = {
            "id": self.start.id,
            "model": self.start.model,
            "provider": self.start.provider,
            "message": messages[0],
            "candidates": several,
        }
        return Generation(**(known | fields))


def deltas_of(response: Generation) -> Iterator[Delta]:
    """The fewest deltas whose fold is `response`, for answers that come whole."""
    yield ResponseStart(id=response.id, model=response.model, provider=response.provider)
    rows = [c.message for c in response.candidates] or [response.message]
    for candidate, message in enumerate(rows):
        for index, part in enumerate(message.parts):
            yield PartStart(index, _SKELETONS.get(type(part), _same)(part), candidate)
            if isinstance(part, (TextPart, ReasoningPart)) and part.text:
                yield PartDelta(index=index, candidate=candidate, text=part.text)
            elif isinstance(part, ToolCallPart) and part.arguments:
                yield PartDelta(index=index, candidate=candidate, arguments=part.arguments)
            yield PartEnd(index, part, candidate)


def _same(part: Any) -> Any:
    return part


_SKELETONS: dict[type, Callable[[Any], Any]] = {
    TextPart: lambda part: attrs.evolve(part, text=""),
    ReasoningPart: lambda part: attrs.evolve(part, text=""),
    ToolCallPart: lambda part: attrs.evolve(part, arguments=""),
}
