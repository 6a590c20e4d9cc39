"""A provider that follows a script.

What it answers is delivered by a task of its own through a channel, as a network would: a sleep
in the caller's task would absorb a pending cancellation and hide ties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import trio

from llmmw._call import Call
from llmmw._capabilities import Capabilities
from llmmw._deltas import ResponseStart
from llmmw._listen import ResponseBuilder
from llmmw._provider import Provider
from llmmw._request import CountTokens, Detokenize, Embed, Request, Score, Tokenize
from llmmw._response import (
    Detokenized,
    Embeddings,
    Finish,
    Response,
    Scores,
    TokenCount,
    Tokens,
)
from llmmw._tasks import open_nursery
from llmmw.errors import LLMError
from llmmw.sim._script import Script, Scripted, Turns, begun_in

__all__ = ["Seen", "SimulatedProvider"]

_STOP = Finish("stop")


@attrs.frozen
class Seen:
    """Something that the provider saw: an attempt `opened`, a piece `read`, or its end
    (`ok`, `cancelled`, or the name of the error)."""

    time: float
    what: Literal["opened", "read", "ended"]
    number: int
    model: str
    detail: str = ""


@attrs.define(eq=False)
class SimulatedProvider(Provider):
    """Answers by scripts.

    ::

        SimulatedProvider({"a": "hello"})
        SimulatedProvider({"a": [Script(error=Fault("busy")), "hello"]})
        SimulatedProvider({"a": {"Who?": "me", re.compile("^What"): "that"}})

    Args:
        scripts: what each model does, by its name or by a regular expression: a text; a script;
            several, of which the n-th attempt gets the n-th, and the last goes on for ever; a
            function; or a mapping from prompts to these. A model that is not there is `NotFound`,
            a prompt that is not is a `BadRequest`. It may be changed at any time.
        records: keep what is seen, piece by piece; long simulations leave it.
        greets: it says that it begins before it has any content.
        able: what models can do, by name. One with `prefill` that was given the beginning of its
            script's text goes on from there.
    """

    scripts: Mapping[Any, Scripted] = attrs.field(factory=dict)
    name: str = attrs.field(default="sim", kw_only=True)
    records: bool = attrs.field(default=True, kw_only=True)
    greets: bool = attrs.field(default=False, kw_only=True)
    able: Mapping[str, Capabilities] = attrs.field(factory=dict, kw_only=True)
    seen: list[Seen] = attrs.field(factory=list, init=False)
    live: int = attrs.field(default=0, init=False)
    """How many attempts are open now."""
    _turns: Turns = attrs.field(factory=Turns, init=False)
    _numbers: int = attrs.field(default=0, init=False)
    _counts: dict[str, Counter[str]] = attrs.field(factory=dict, init=False)

    @property
    def opened(self) -> list[Seen]:
        """The attempts, in the order in which they were opened."""
        return [seen for seen in self.seen if seen.what == "opened"]

    def statistics(self) -> dict[str, dict[str, int]]:
        """Of each model: how many attempts were `opened`, and how many ended `ok`, `cancelled`,
        or with an error, by its name."""
        return {model: dict(counts) for model, counts in self._counts.items()}

    def capabilities(self, model: str) -> Capabilities:
        return self.able.get(model, Capabilities())

    async def __call__(self, call: Call) -> Response:
        model = call.request.model_name
        script = self._turns.next(self.scripts, call)
        if self.capabilities(model).prefill:
            script = script.after(begun_in(call.request))
        self._numbers = number = self._numbers + 1
        counts = self._counts.get(model)
        if counts is None:
            counts = self._counts[model] = Counter()
        counts["opened"] += 1
        self._see("opened", number, model)
        self.live += 1
        outcome = "cancelled"
        try:
            reached = getattr(script.error, "kind", "") != "shed"
            if self.greets and reached and call.listener is not None:
                await call.listener(ResponseStart(model=model, provider=self.name))
            response = await self._answer(call, script, number)
            outcome = "ok"
            return response
        except LLMError as error:
            outcome = type(error).__name__
            raise
        finally:
            self.live -= 1
            counts[outcome] += 1
            self._see("ended", number, model, outcome)

    def _see(
        self, what: Literal["opened", "read", "ended"], number: int, model: str, detail: str = ""
    ) -> None:
        if self.records:
            self.seen.append(Seen(trio.current_time(), what, number, model, detail))

    async def _answer(self, call: Call, script: Script, number: int) -> Response:
        request = call.request
        send, receive = trio.open_memory_channel[str | LLMError](0)
        builder = ResponseBuilder(call, self.name)
        async with open_nursery() as nursery:
            nursery.start_soon(_deliver, script, send)
            async for piece in receive:
                if isinstance(piece, LLMError):
                    raise piece
                self._see("read", number, request.model_name, piece)
                if script.tool:
                    await builder.tool_call(0, id="call", name=script.tool, arguments=piece)
                else:
                    await builder.text(piece)
        other = self._other(request)
        if other is not None:
            return other
        return await builder.finish(_STOP, usage=script.usage_of(request))

    def _other(self, request: Request) -> Response | None:
        """The response to what asks for no text."""
        if isinstance(request, Embed):
            vectors = [[float(len(text))] for text in request.inputs]
            return Embeddings(vectors=vectors, provider=self.name, model=request.model_name)
        if isinstance(request, Score):
            scores = [-float(len(option)) for option in request.options]
            return Scores(scores=scores, provider=self.name, model=request.model_name)
        if isinstance(request, CountTokens):
            words = sum(len(message.text.split()) for message in request.messages)
            return TokenCount(tokens=words, provider=self.name, model=request.model_name)
        if isinstance(request, Tokenize):
            points = map(ord, request.text)
            return Tokens(tokens=points, provider=self.name, model=request.model_name)
        if isinstance(request, Detokenize):
            text = "".join(chr(min(token, 0x10FFFF)) for token in request.tokens)
            return Detokenized(text=text, provider=self.name, model=request.model_name)
        return None


async def _deliver(script: Script, send: trio.MemorySendChannel[str | LLMError]) -> None:
    with send:
        if script.first:
            await trio.sleep(script.first)
        for piece, gap in script.timed:
            await send.send(piece)
            if gap:
                await trio.sleep(gap)
        if script.hangs:
            await trio.sleep_forever()
        if script.error is not None:
            await send.send(script.error())
