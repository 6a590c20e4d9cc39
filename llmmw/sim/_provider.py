"""A provider that follows a script.

What it answers is delivered by a task of its own through a channel, as a network would: a sleep
in the caller's task would absorb a pending cancellation and hide ties.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import attrs
import trio

from llmmw._call import Call
from llmmw._listen import ResponseBuilder
from llmmw._provider import Provider
from llmmw._request import CountTokens, Embed, Score
from llmmw._response import Embeddings, Finish, Response, Scores, TokenCount, Usage
from llmmw._tasks import open_nursery
from llmmw.errors import LLMError, NotFound

__all__ = ["Script", "Seen", "SimulatedProvider"]


@attrs.frozen(kw_only=True)
class Script:
    """What one attempt does.

    Args:
        first: seconds to the first piece (or to the error, if there is none).
        gap: seconds between two pieces, and from the last to the end.
        pieces: the text, piece by piece.
        error: what it ends with after its pieces, in place of an answer.
        hangs: it never ends after its pieces.
    """

    first: float = 0.0
    gap: float = 0.0
    pieces: tuple[str, ...] = attrs.field(default=("ok",), converter=tuple)
    error: Callable[[], LLMError] | None = None
    hangs: bool = False

    @property
    def text(self) -> str:
        """The text of all pieces."""
        return "".join(self.pieces)

    @property
    def seconds(self) -> float:
        """How long it takes to its end."""
        return math.inf if self.hangs else self.first + self.gap * len(self.pieces)


@attrs.frozen
class Seen:
    """Something that the provider saw: an attempt `opened`, a piece `read`, or its end
    (`ok`, `cancelled`, or the name of the error)."""

    time: float
    what: Literal["opened", "read", "ended"]
    number: int
    model: str
    detail: str = ""


Scripted: TypeAlias = Sequence[Script] | Callable[[Call, int], Script]
"""Scripts, one after the other; or a function of the call and of how many came before it."""


@attrs.define(eq=False)
class SimulatedProvider(Provider):
    """Answers by scripts: of each model, the n-th attempt gets the n-th script, and the last
    script goes on for ever.

    Args:
        scripts: the scripts of each model, or a function that gives them; a model that is not
            there is `NotFound`.
    """

    scripts: Mapping[str, Scripted] = attrs.field(factory=dict)
    name: str = attrs.field(default="sim", kw_only=True)
    seen: list[Seen] = attrs.field(factory=list, init=False)
    live: int = attrs.field(default=0, init=False)
    """How many attempts are open now."""
    _counts: dict[str, int] = attrs.field(factory=dict, init=False)
    _opened: int = attrs.field(default=0, init=False)

    @property
    def opened(self) -> list[Seen]:
        """The attempts, in the order in which they were opened."""
        return [seen for seen in self.seen if seen.what == "opened"]

    def _next(self, call: Call) -> Script:
        model = call.request.model_name
        scripts = self.scripts.get(model)
        if not scripts:
            known = ", ".join(sorted(self.scripts)) or "none"
            raise NotFound(f"the world has no model {model!r}; it has {known}")
        count = self._counts.get(model, 0)
        self._counts[model] = count + 1
        if callable(scripts):
            return scripts(call, count)
        return scripts[min(count, len(scripts) - 1)]

    async def __call__(self, call: Call) -> Response:
        model = call.request.model_name
        script = self._next(call)
        self._opened += 1
        number = self._opened

        def see(what: Literal["opened", "read", "ended"], detail: str = "") -> None:
            self.seen.append(Seen(trio.current_time(), what, number, model, detail))

        see("opened")
        self.live += 1
        outcome = "cancelled"
        try:
            response = await self._answer(call, script, see)
            outcome = "ok"
            return response
        except LLMError as error:
            outcome = type(error).__name__
            raise
        finally:
            self.live -= 1
            see("ended", outcome)

    async def _answer(
        self, call: Call, script: Script, see: Callable[[Literal["read"], str], None]
    ) -> Response:
        send, receive = trio.open_memory_channel[str | LLMError](0)
        builder = ResponseBuilder(call, self.name)
        async with open_nursery() as nursery:
            nursery.start_soon(_deliver, script, send)
            async for piece in receive:
                if isinstance(piece, LLMError):
                    raise piece
                see("read", piece)
                await builder.text(piece)
        request = call.request
        if isinstance(request, Embed):
            vectors = [[float(len(text))] for text in request.inputs]
            return Embeddings(vectors=vectors, provider=self.name, model=request.model_name)
        if isinstance(request, Score):
            scores = [-float(len(option)) for option in request.options]
            return Scores(scores=scores, provider=self.name, model=request.model_name)
        if isinstance(request, CountTokens):
            words = sum(len(message.text.split()) for message in request.messages)
            return TokenCount(tokens=words, provider=self.name, model=request.model_name)
        usage = Usage(input_tokens=1, output_tokens=len(script.pieces))
        return await builder.finish(Finish("stop"), usage=usage)


async def _deliver(script: Script, send: trio.MemorySendChannel[str | LLMError]) -> None:
    with send:
        await trio.sleep(script.first)
        for piece in script.pieces:
            await send.send(piece)
            await trio.sleep(script.gap)
        if script.hangs:
            await trio.sleep_forever()
        if script.error is not None:
            await send.send(script.error())
