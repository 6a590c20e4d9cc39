"""From push to pull: what a user iterates. The only place where an answer crosses tasks.

The chain runs in a task and tells its deltas into a buffer; the user takes them out. The buffer
is bounded by the size of an answer, so a slow reader never slows a provider; it is ended
synchronously, so that an error can't be lost between the two; and a reader is woken once for all
that has come at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from llmmw._call import Call
from llmmw._deltas import HEARD, Delta, Fold, PartDelta, PartStart, deltas_of
from llmmw._listen import AnswerSize
from llmmw._parts import TextPart
from llmmw._response import Generation, Response
from llmmw._tasks import unstopped
from llmmw.errors import LLMError

__all__ = ["Stream", "TextPieces"]

_MANY = 32
"""Deltas after which a reader that has more to read lets other tasks run."""


class Stream:
    """An answer as it is written: iterate for deltas, or `text` for text alone; afterwards
    `response` has the whole.

    Raises, from the iteration: whatever the call ended with.
    """

    def __init__(self) -> None:
        self._deltas: deque[Delta] = deque()
        self._ended = False
        self._news: trio.Event | None = None  # a ParkingLot is three times as large
        self._at_once = 0
        self._fold = Fold()
        self._size = AnswerSize()
        self._response: Generation | None = None
        self._error: Exception | None = None

    def _listen(self, delta: Delta) -> Awaitable[None]:
        self._fold(delta)
        self._size(delta)
        self._deltas.append(delta)
        self._wake()
        return HEARD

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    async def _run(self, answer: Callable[[Call], Awaitable[Response]], call: Call) -> None:
        """Answer the call into this stream; never raises but `Cancelled`."""
        try:
            try:
                response = await answer(call.replace(listener=self._listen))
                assert isinstance(response, Generation)
                if not self._fold.anything and response.parts:
                    for delta in deltas_of(response):  # a handler that does not tell
                        await self._listen(delta)
                self._response = response
            except LLMError as error:
                if error.partial is None and self._fold.anything:
                    error.partial = self._fold.response(ledger=call.ledger)
                self._error = error
            except Exception as error:
                self._error = unstopped(error)
        finally:
            self._ended = True
            self._wake()

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        if self._deltas or self._ended:
            await self._pause()
        while not self._deltas:
            if not self._ended:
                if self._news is None:
                    self._news = trio.Event()
                await self._news.wait()
            elif self._error is None:
                raise StopAsyncIteration
            else:
                raise self._error
        return self._deltas.popleft()

    async def _pause(self) -> None:
        """Be cancelled if anybody wants that; and now and then, let others run."""
        self._at_once += 1
        if self._at_once % _MANY:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()

    @property
    def text(self) -> AsyncIterator[str]:
        """The pieces of text alone, without reasoning and refusals. A stream that was asked to
        restart can't take back what it has told here: use the deltas then."""
        return _Texts(self)

    async def wait_response(self) -> Generation:
        """Read to the end and give the whole answer.

        Raises:
            LLMError: what the call ended with.
        """
        async for _ in self:
            pass
        return self.response

    @property
    def response(self) -> Generation:
        """The whole answer, once the stream has ended.

        Raises:
            LLMError: what the call ended with.
            RuntimeError: if it has not ended yet.
        """
        if self._error is not None:
            raise self._error
        if self._response is None:
            raise RuntimeError("the stream has not ended: read it first, or await wait_response()")
        return self._response

    @property
    def partial(self) -> Generation:
        """What has come so far."""
        return self._response or self._fold.response()


class TextPieces:
    """Picks the pieces of text out of an answer's deltas, without reasoning and refusals."""

    def __init__(self) -> None:
        self.wanted: bool = False
        """Whether the part that is told is text."""

    def __call__(self, delta: Delta) -> str:
        """The text of a delta; empty if it has none."""
        if isinstance(delta, (PartStart, PartDelta)) and delta.candidate != 0:
            return ""
        if isinstance(delta, PartStart):
            self.wanted = isinstance(delta.part, TextPart) and not delta.part.refusal
        return delta.text if isinstance(delta, PartDelta) and self.wanted else ""


class _Texts:
    """The pieces of text of a stream. No generator, since one that is left early would warn."""

    def __init__(self, deltas: Stream) -> None:
        self._deltas = deltas
        self._piece = TextPieces()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        async for delta in self._deltas:
            if text := self._piece(delta):
                return text
        raise StopAsyncIteration
