"""Asking for a response, and listening until it has come.

A response in the background goes on at the host when the line breaks: it is listened to again
from the last event on, and cancelled when nobody waits for it any more.

    created ── 1 ── 2 ──╳ cut        GET …?starting_after=2 ── 3 ── 4 ── completed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import quote

import attrs
import trio

from llmmw.errors import ConnectionFailed, LLMError, ProtocolError, StreamInterrupted
from llmmw.wire import Http, Reply, SSEEvent, dumps, loads
from llmmw_openai._reading import object_in
from llmmw_openai._responses_answer import ResponsesAnswer
from llmmw_openai._responses_items import text_of

__all__ = ["Listening"]

_MOST_TRIES = 5
"""How often a response is listened to again without a new event in between."""
_WAIT = 0.5
"""Seconds before the second such try; each further one waits twice as long."""
_CLEAN_UP = 2.0
"""Seconds that the host has to hear that nobody waits any more."""


@attrs.define(eq=False)
class Listening:
    """Listens to one response.

    Args:
        http: the host.
        answer: reads what it tells.
        path: where responses are asked for.
        background: whether the response goes on at the host without us, and can be listened to
            again.
    """

    http: Http
    answer: ResponsesAnswer
    path: str
    background: bool
    over: bool = attrs.field(default=False, init=False)
    """Whether the host has told how it ended."""

    async def listen(self, body: Mapping[str, Any], sent: Callable[[], None]) -> Reply:
        """Ask, and read the answer, whose headers are given back.

        Raises:
            LLMError: if there is no answer.
        """
        try:
            return await self._listen(dumps(body), bool(body.get("stream")), sent)
        except BaseException:
            if self.background and self.answer.id and not self.over:
                await self._cancel(self.answer.id)
            raise

    async def _listen(self, body: bytes, stream: bool, sent: Callable[[], None]) -> Reply:
        cut: LLMError | None = None
        async with self.http.post(self.path, body, stream=stream, sent=sent) as reply:
            try:
                await self._read(reply)
            except StreamInterrupted as error:
                if not self._can_resume:
                    raise
                cut = error
        if cut is not None:
            await self._resume(cut)
        return reply

    @property
    def _can_resume(self) -> bool:
        return bool(self.background and self.answer.id and self.answer.sequence is not None)

    async def _resume(self, cut: LLMError) -> None:
        """Listen again from the last event on, until the response has ended."""
        tries, heard = 0, self.answer.sequence
        while not self.over:
            if self.answer.sequence != heard:
                tries, heard = 0, self.answer.sequence
            if tries == _MOST_TRIES:
                raise cut
            if tries:
                await trio.sleep(_WAIT * 2 ** (tries - 1))
            tries += 1
            try:
                await self._again()
            except (StreamInterrupted, ConnectionFailed):
                pass
            except LLMError as error:
                if self.over:
                    raise
                if not error.retryable:
                    raise cut from error  # the host does not know it any more, or never kept it

    async def _again(self) -> None:
        id_ = quote(self.answer.id or "", safe="")
        query = {"stream": "true", "starting_after": str(self.answer.sequence)}
        async with self.http.get(f"{self.path}/{id_}", query, stream=True) as reply:
            await self._read(reply, after=self.answer.sequence)

    async def _cancel(self, id_: str) -> None:
        with trio.move_on_after(_CLEAN_UP, shield=True), suppress(LLMError):
            async with self.http.post(f"{self.path}/{quote(id_, safe='')}/cancel", b"{}") as reply:
                await reply.drain()

    async def _read(self, reply: Reply, after: int | None = None) -> None:
        """Read an answer in the form in which it came, which need not be the one asked for."""
        if reply.content_type != "text/event-stream":
            whole = object_in(reply, await reply.read())
            if whole.get("status") == "failed":
                raise self._failed(reply, whole)
            await self.answer.end(whole)
            self.over = True
            return
        async with aclosing(reply.events()) as events:
            async for event in events:
                if event.data.startswith("[DONE]"):
                    break
                if event.data.strip():
                    await self._take(event, reply, after)
                if self.over:
                    await reply.drain()
                    return
        raise StreamInterrupted("the stream ended before the answer did")

    async def _take(self, event: SSEEvent, reply: Reply, after: int | None) -> None:
        told = loads(event.data)
        if not isinstance(told, Mapping):
            raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
        kind = text_of(told.get("type")) or event.event
        if kind in {"error", "response.error", "response.failed"} or told.get("error"):
            raise self._failed(reply, told)
        number = told.get("sequence_number")
        if after is not None and isinstance(number, int) and number <= after:
            return
        await self.answer.take(told)
        self.over = self.answer.final is not None

    def _failed(self, reply: Reply, told: Mapping[str, Any]) -> LLMError:
        """The error of a response that failed, or of an event that says so."""
        self.over = True
        response = told.get("response")
        place = response if isinstance(response, Mapping) else told
        error = place.get("error") or {
            name: place.get(name) for name in ("code", "message") if place.get(name)
        }
        return reply.error({"error": error or {"message": "the response failed"}})
