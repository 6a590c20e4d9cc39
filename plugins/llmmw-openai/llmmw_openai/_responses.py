"""Asking for a response, and listening until it has come.

A response in the background goes on at the host when the line breaks: it is listened to again
from the last event on, and cancelled when nobody waits for it any more.

    created ── 1 ── 2 ──╳ cut        GET …?starting_after=2 ── 3 ── 4 ── completed

A host that gives it whole before it is done is asked again until it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import quote

import attrs
import trio

from llmmw.errors import ConnectionFailed, LLMError, ProtocolError, StreamInterrupted
from llmmw.plugin import Event
from llmmw.wire import Http, Reply, SSEEvent, dumps, loads
from llmmw_openai._reading import object_in
from llmmw_openai._responses_answer import ResponsesAnswer
from llmmw_openai._responses_items import text_of

__all__ = ["ListenedAgain", "Listening"]

_MOST_TRIES = 5
"""How often a response is listened to again without a new event in between."""
_WAIT, _MOST_WAIT = 0.5, 8.0
"""Seconds before the second such try; each further one waits twice as long, up to the most."""
_CLEAN_UP = 2.0
"""Seconds that the host has to hear that nobody waits any more."""


@attrs.frozen
class ListenedAgain(Event):
    """A response that goes on at the host is listened to again, from event `after` on, which is
    `None` if none was numbered yet."""

    after: int | None
    parent: int = 0

    def __str__(self) -> str:
        return "listens again" + ("" if self.after is None else f" after event {self.after}")


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
    _goes_on: bool = attrs.field(default=False, init=False)
    """Whether the host has just said that it has not."""

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
        """Whether nothing would be told twice: without numbers, only before the first item."""
        is_exact = self.answer.sequence is not None or not self.answer.parts.begun
        return bool(self.background and self.answer.id and is_exact)

    async def _resume(self, cut: LLMError) -> None:
        """Listen again from the last event on, until the response has ended."""
        tries, heard = 0, self.answer.sequence
        while not self.over:
            if self.answer.sequence != heard:
                tries, heard = 0, self.answer.sequence
            if (tries >= _MOST_TRIES and not self._goes_on) or not self._can_resume:
                raise cut
            await _wait(tries, cut)
            tries += 1
            self._goes_on = False
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
        id_, after = quote(self.answer.id or "", safe=""), self.answer.sequence
        call = self.answer.parts.call
        call.ledger.add(ListenedAgain(trio.current_time(), after, call.attempt.number))
        query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
        async with self.http.get(f"{self.path}/{id_}", query, stream=True) as reply:
            await self._read(reply, after=after)

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
            if text_of(whole.get("status")) in {"queued", "in_progress"}:
                await self._not_yet(whole)
            await self.answer.end(whole)
            self.over = True
            return
        while events := await reply.next_events():
            for event in events:
                if event.data.startswith("[DONE]"):
                    raise StreamInterrupted("the stream ended before the answer did")
                if event.data.strip():
                    await self._take(event, reply, after)
                if self.over:
                    await reply.drain()
                    return
        raise StreamInterrupted("the stream ended before the answer did")

    async def _not_yet(self, whole: Mapping[str, Any]) -> NoReturn:
        """The response has come before it was done: whoever can't wait has what it holds."""
        self._goes_on = True
        if self.background:
            await self.answer.take({"type": "response.queued", "response": whole})
        else:
            await self.answer.end(whole)
        raise StreamInterrupted(
            f"the host gave the response before it was done: it is {whole['status']}"
        )

    async def _take(self, event: SSEEvent, reply: Reply, after: int | None) -> None:
        told = loads(event.data)
        if not isinstance(told, dict):
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


async def _wait(tries: int, cut: LLMError) -> None:
    """Wait before a further try; not at all if the deadline comes first."""
    if not tries:
        return
    seconds = min(_WAIT * 2 ** (tries - 1), _MOST_WAIT)
    if trio.current_time() + seconds >= trio.current_effective_deadline():
        raise cut
    await trio.sleep(seconds)
