"""Between a provider and whoever listens: the caller's face, and the builder of an answer."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Mapping
from typing import Any, Literal

import attrs

from llmmw._call import Call, Listener
from llmmw._deltas import (
    HEARD,
    Delta,
    Fold,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseStart,
    Restarted,
)
from llmmw._parts import (
    Citation,
    MediaPart,
    Part,
    ReasoningPart,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmmw._response import Finish, Generation, Response, Usage
from llmmw.errors import ListenerFailed, LLMError, ProtocolError, StreamInterrupted

__all__ = [
    "AnswerSize",
    "CallerListener",
    "ResponseBuilder",
    "broken_off",
    "with_partial",
]

_MOST_BYTES = 64 * 2**20


@attrs.define
class AnswerSize:
    """How large an answer is so far. Call it with each delta; one without end is refused."""

    _bytes: int = 0

    def __call__(self, delta: Delta) -> None:
        if isinstance(delta, PartDelta):
            self._bytes += len(delta.text) + len(delta.arguments) + len(delta.data)
        elif isinstance(delta, PartEnd) and isinstance(delta.part, MediaPart):
            self._bytes += len(delta.part.data or b"")
        elif isinstance(delta, Restarted):
            self._bytes = 0
        if self._bytes > _MOST_BYTES:
            raise ProtocolError(f"the answer is larger than {_MOST_BYTES} bytes")


def broken_off(error: LLMError, partial: Response | None) -> StreamInterrupted:
    """What a call ends with that was told `partial` before this error, which may be of another
    attempt."""
    if isinstance(error, StreamInterrupted):
        error.partial = partial
        return error
    cut = StreamInterrupted(
        f"the answer broke off: {error.message}",
        provider=error.provider,
        model=error.model,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
        retry_after=error.retry_after,
        partial=partial,
        processed=error.processed,
    )
    cut.retryable, cut.elsewhere = error.retryable, error.elsewhere
    cut.attempts = error.attempts
    cut.__cause__ = error
    return cut


def with_partial(error: LLMError, partial: Response) -> LLMError:
    """The same error with another partial answer: a copy, since whoever raised it may raise it
    again. Raise it where the first is handled no more: as its context, the first would keep the
    frames of a provider."""
    changed = copy.copy(error)
    changed.__cause__ = error.__cause__
    changed.partial = partial
    return changed


@attrs.define(eq=False)
class CallerListener:
    """The caller's own listener as the chain sees it: what it raises is nobody else's fault."""

    _listener: Listener
    _fold: Fold = attrs.field(factory=Fold)

    async def __call__(self, delta: Delta) -> None:
        self._fold(delta)
        try:
            await self._listener(delta)
        except Exception as error:
            raise ListenerFailed(error) from error

    def complete(self, error: LLMError) -> None:
        """Give an error what the caller has heard, unless it has it already."""
        if error.partial is None and self._fold.anything:
            error.partial = self._fold.response()


_Kind = Literal["text", "refusal", "reasoning"]
_TYPES = {"text": TextPart, "refusal": TextPart, "reasoning": ReasoningPart}
_NONE = (None, -1)


@attrs.define(eq=False)
class ResponseBuilder:
    """Builds a provider's answer piece by piece, and tells each piece to the call's listener.

    A provider that uses it streams and answers whole with the same code, and the fold of what
    it tells is its response by construction. Text and reasoning parts end when another part
    begins; tool calls are kept apart by the wire's own key and end with the answer.
    """

    call: Call
    provider: str
    model: str = ""
    fold: Fold = attrs.field(factory=Fold)
    _current: dict[int, tuple[_Kind, int]] = attrs.field(factory=dict)
    _tools: dict[tuple[int, object], int] = attrs.field(factory=dict)
    _count: dict[int, int] = attrs.field(factory=dict)
    _notes: dict[tuple[int, int], Mapping[str, Any]] = attrs.field(factory=dict)
    _started: bool = False

    def _tell(self, delta: Delta) -> Awaitable[None]:
        self.fold(delta)
        listener = self.call.listener
        return HEARD if listener is None else listener(delta)

    async def start(self, *, id: str | None = None, model: str | None = None) -> None:
        """The provider has begun; told once, later calls change nothing."""
        if not self._started:
            self._started = True
            self.model = model or self.model or self.call.request.model_name
            await self._tell(ResponseStart(id=id, model=self.model, provider=self.provider))

    async def _begin(self, part: Part, candidate: int) -> int:
        if not self._started:
            await self.start()
        await self.end_part(candidate=candidate)
        index = self._count.get(candidate, 0)
        self._count[candidate] = index + 1
        await self._tell(PartStart(index, part, candidate))
        return index

    async def end_part(self, *, candidate: int = 0) -> None:
        """End the running text or reasoning, if any: what follows is a part of its own."""
        current = self._current.pop(candidate, None)
        if current is not None:
            await self._end(candidate, current[1])

    async def _end(self, candidate: int, index: int) -> None:
        part = self.fold.whole(index, candidate)
        extra = self._notes.pop((candidate, index), None)
        if extra is not None and isinstance(part, (TextPart, ReasoningPart, ToolCallPart)):
            part = attrs.evolve(part, extra=extra)
        await self._tell(PartEnd(index, part, candidate))

    async def _run(self, kind: _Kind, candidate: int) -> int:
        """Begin the candidate's running part; its index."""
        refusal = kind == "refusal"
        part = ReasoningPart() if kind == "reasoning" else TextPart("", refusal=refusal)
        index = await self._begin(part, candidate)
        self._current[candidate] = (kind, index)
        return index

    async def text(
        self,
        text: str = "",
        *,
        logprobs: tuple[TokenLogprob, ...] = (),
        citation: Citation | None = None,
        refusal: bool = False,
        candidate: int = 0,
    ) -> None:
        """A piece of text."""
        if text or logprobs or citation:
            kind: _Kind = "refusal" if refusal else "text"
            current, index = self._current.get(candidate, _NONE)
            if current != kind:
                index = await self._run(kind, candidate)
            await self._tell(
                PartDelta(
                    index=index,
                    candidate=candidate,
                    text=text,
                    logprobs=logprobs,
                    citation=citation,
                )
            )

    async def reasoning(
        self, text: str = "", *, signature: str | None = None, candidate: int = 0
    ) -> None:
        """A piece of reasoning, or the signature that ends it."""
        if text or signature:
            current, index = self._current.get(candidate, _NONE)
            if current != "reasoning":
                index = await self._run("reasoning", candidate)
            await self._tell(
                PartDelta(index=index, candidate=candidate, text=text, signature=signature)
            )

    def annotate(self, kind: type, extra: Mapping[str, Any], *, candidate: int = 0) -> bool:
        """Set `extra` of the running text or reasoning part, to be told at its end; whether a
        part of this kind is running."""
        current = self._current.get(candidate)
        if current is None or _TYPES[current[0]] is not kind:
            return False
        self._notes[candidate, current[1]] = extra
        return True

    async def tool_call(
        self,
        key: object,
        *,
        id: str = "",
        name: str = "",
        arguments: str = "",
        candidate: int = 0,
        **fields: Any,
    ) -> None:
        """A piece of the tool call that the wire knows by `key`; the first has id and name, and
        further `fields` of the part. A later `extra` replaces the first, and is told at its end."""
        place = (candidate, key)
        if place not in self._tools:
            part = ToolCallPart(id=id, name=name, **fields)
            self._tools[place] = await self._begin(part, candidate)
        elif "extra" in fields:
            self._notes[candidate, self._tools[place]] = fields["extra"]
        if arguments:
            index = self._tools[place]
            await self._tell(PartDelta(index=index, candidate=candidate, arguments=arguments))

    async def part(self, part: Part, *, candidate: int = 0) -> None:
        """A part that comes whole."""
        index = await self._begin(part, candidate)
        await self._tell(PartEnd(index, part, candidate))

    async def finish(
        self, finish: Finish, *, usage: Usage | None = None, **fields: Any
    ) -> Generation:
        """Ends the open parts and gives the response; `fields` are further ones of it."""
        await self.start()
        for candidate in list(self._current):
            await self.end_part(candidate=candidate)
        for candidate, index in self.fold.open_parts:
            await self._end(candidate, index)
        return self.fold.response(finish=finish, usage=usage, ledger=self.call.ledger, **fields)

    def interrupted(self, message: str) -> StreamInterrupted:
        """The error of an answer that broke off here, with what came of it."""
        return StreamInterrupted(message, provider=self.provider, partial=self.fold.response())
