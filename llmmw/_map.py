"""Many requests at once, in bounded memory."""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sized,
)
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Literal, TypeAlias

import attrs
import trio

from llmmw._call import Call
from llmmw._explain import Spent, spent_in
from llmmw._journal import LiveJournal, plus
from llmmw._ledger import CacheHit
from llmmw._request import Generate, Request, generate_of
from llmmw._response import Response
from llmmw._tasks import open_nursery, unstopped
from llmmw.errors import BadRequest, LLMError

__all__ = ["Item", "Items", "Named", "Progress", "Requests", "check_many", "request_of"]

Requests: TypeAlias = Iterable[object] | AsyncIterable[object]
_CLEAN_UP = 2.0
_Begin: TypeAlias = Callable[[Request], Call]
_Answer: TypeAlias = Callable[[Call], Awaitable[Response]]


@attrs.frozen(kw_only=True)
class Item:
    """One of many: its place in the input, its id, and its response or its error."""

    index: int
    id: object
    response: Response | None = None
    error: LLMError | None = None
    journaled: bool = False
    """It stood in the journal: an earlier run has asked for it."""


@attrs.frozen
class Named:
    """An input under an id of its own. An error stands for one that can't be asked."""

    id: object
    asked: Request | LLMError


@attrs.frozen(kw_only=True)
class Progress:
    """How far a map has come."""

    done: int
    failed: int
    total: int | None
    """How many there are, where the input has a length."""
    journaled: int = 0
    """How many of those that are done stood in the journal."""
    hits: int = 0
    """How many were answered out of a cache."""
    spent: Spent = attrs.field(factory=Spent)
    """What was used, by calls that failed, too; those of the journal have used nothing."""


def request_of(item: object, defaults: Mapping[str, Any]) -> tuple[object, Request]:
    """The id (or `None`) and the request of one input: a request, a row
    `{"id"?, "prompt" | "messages", "system"?, …parameters}`, or any friendly form of a prompt.

    Raises:
        BadRequest: if it is none of these.
    """
    if isinstance(item, Named):
        if isinstance(item.asked, LLMError):
            raise item.asked
        return item.id, item.asked
    if isinstance(item, Generate):
        fresh = {name: x for name, x in defaults.items() if not item.has(name)}
        return None, generate_of(item, **fresh)
    if isinstance(item, Request):
        return None, item
    if not isinstance(item, Mapping) or "role" in item or "$kind" in item:
        return None, generate_of(item, **defaults)
    row = dict(item)
    name = row.pop("id", None)
    given = [key for key in ("prompt", "messages") if row.get(key)]
    if len(given) != 1:
        have = f"has {' and '.join(given)}" if given else "has neither"
        raise BadRequest(f'a row needs "prompt" or "messages", this one {have}')
    if given[0] == "prompt" and not isinstance(row["prompt"], str):
        raise BadRequest(f'"prompt" must be text, not {type(row["prompt"]).__name__}')
    prompt = row.pop(given[0])
    for key in ("prompt", "messages"):
        row.pop(key, None)
    return name, generate_of(prompt, **{**defaults, **row})


def check_many(requests: object) -> None:
    """Refuse what is not many requests.

    Raises:
        BadRequest: if it can't be iterated, or is a single request.
    """
    if not isinstance(requests, (Iterable, AsyncIterable)):
        raise BadRequest(f"map takes an iterable of requests, not {requests!r}")
    if isinstance(requests, (str, bytes, Mapping)):
        raise BadRequest("map takes many requests; for a single one use ask")


class _Source:
    """The inputs, numbered, out of any iterable; asked by one worker at a time."""

    def __init__(self, requests: Requests) -> None:
        self._lock = trio.Lock()
        self.asked = requests.__aiter__() if isinstance(requests, AsyncIterable) else None
        self._plain = iter(requests) if not isinstance(requests, AsyncIterable) else iter(())
        self._count = 0

    async def take(self) -> tuple[int, object]:
        """The next input and its number, or `StopAsyncIteration`."""
        if self.asked is None:
            try:
                item = next(self._plain)
            except StopIteration:
                raise StopAsyncIteration from None
            except StopAsyncIteration as error:
                raise unstopped(error) from error
        else:
            async with self._lock:
                item = await self.asked.__anext__()
                return self._numbered(item)
        return self._numbered(item)

    def _numbered(self, item: object) -> tuple[int, object]:
        self._count += 1
        return self._count - 1, item


class Items:
    """The answers of a map: iterate asynchronously for its `Item`s."""

    def __init__(
        self,
        requests: Requests,
        begin: _Begin,
        answer: _Answer,
        *,
        defaults: Mapping[str, Any],
        concurrency: int,
        ordered: bool,
        errors: Literal["raise", "yield"],
        progress: Callable[[Progress], None] | None,
        journal: LiveJournal | None,
    ) -> None:
        if type(concurrency) is not int or concurrency < 1:
            raise BadRequest(f"concurrency={concurrency!r}: expected a whole number from 1 on")
        check_many(requests)
        if errors not in {"raise", "yield"}:
            raise BadRequest(f"errors={errors!r}: expected 'raise' or 'yield'")
        self._source = _Source(requests)
        self._begin = begin
        self._answer = answer
        self._journal = journal
        self._defaults = defaults
        self._concurrency = concurrency
        self._ordered = ordered
        self._errors = errors
        self._progress = progress
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._seen = Progress(done=0, failed=0, total=self._total)
        # Answers that wait for an earlier one are kept; this bounds how far the others run ahead.
        self._window = trio.Semaphore(4 * concurrency)
        # Bounded by the window, so sending never waits.
        self._send, self._receive = trio.open_memory_channel[Item](4 * concurrency)
        self._broken: Exception | None = None
        self._early: dict[int, Item] = {}
        self._next = 0

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        """Work as long as the block runs; leaving it cancels what still goes on."""
        try:
            journal = self._journal.open() if self._journal is not None else nullcontext()
            async with journal, open_nursery() as nursery:
                await self._run(nursery)
                try:
                    yield
                finally:
                    nursery.cancel_scope.cancel()
        finally:
            await self._close()

    async def _run(self, nursery: trio.Nursery) -> None:
        with self._send:
            for _ in range(self._concurrency):
                nursery.start_soon(self._work, self._send.clone())

    async def _close(self) -> None:
        """End an asynchronous generator that was not read to its end."""
        close = getattr(self._source.asked, "aclose", None)
        if close is not None:
            with trio.move_on_after(_CLEAN_UP, shield=True):
                await close()

    async def _work(self, send: trio.MemorySendChannel[Item]) -> None:
        with send:
            try:
                await self._answer_all(send)
            except Exception as error:
                # The reader may see the end of the channel before it is cancelled for this.
                self._broken = error
                raise

    async def _answer_all(self, send: trio.MemorySendChannel[Item]) -> None:
        while True:
            await self._window.acquire()
            try:
                index, asked = await self._source.take()
            except StopAsyncIteration:
                return
            item = await self._item(index, asked)
            if self._progress is not None:
                self._progress(self._seen)
            send.send_nowait(item)

    async def _item(self, index: int, asked: object) -> Item:
        name = asked.get("id") if isinstance(asked, Mapping) else None
        name = asked.id if isinstance(asked, Named) else name
        call: Call | None = None
        answer: Response | LLMError
        try:
            name, request = request_of(asked, self._defaults)
            call = self._begin(request)
        except LLMError as error:
            answer = error
        name = index if name is None else name
        if self._journal is not None:
            row = await self._journal.look(index, call.request if call is not None else None)
            if row is not None:
                return self._counted(index, name, row.answer, journaled=True)
        if call is not None:
            try:
                answer = await self._answer(call)
            except LLMError as error:
                answer = error
        return await self._kept(index, name, call, answer)

    async def _kept(
        self, index: int, name: object, call: Call | None, answer: Response | LLMError
    ) -> Item:
        """The item of an answer that has just come."""
        ledger = call.ledger if call is not None else None
        spent = Spent()
        if ledger is not None and (self._journal is not None or self._progress is not None):
            events = ledger.events
            spent = spent_in(events)
            hits = self._seen.hits + any(isinstance(event, CacheHit) for event in events)
            self._seen = attrs.evolve(self._seen, hits=hits, spent=plus(self._seen.spent, spent))
        if self._journal is not None:
            request = call.request if call is not None else None
            seconds = ledger.seconds if ledger is not None else None
            await self._journal.keep(index, name, request, answer, seconds, spent)
        return self._counted(index, name, answer)

    def _counted(
        self, index: int, name: object, answer: Response | LLMError, *, journaled: bool = False
    ) -> Item:
        seen, error = self._seen, answer if isinstance(answer, LLMError) else None
        self._seen = attrs.evolve(
            seen,
            done=seen.done + 1,
            failed=seen.failed + (error is not None),
            journaled=seen.journaled + journaled,
        )
        response = answer if isinstance(answer, Response) else None
        return Item(index=index, id=name, response=response, error=error, journaled=journaled)

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        item = self._early.pop(self._next, None) if self._ordered else None
        while item is None:
            try:
                came = await self._receive.receive()
            except trio.EndOfChannel:
                if self._broken is not None:
                    raise self._broken from self._broken.__cause__
                raise StopAsyncIteration from None
            if self._ordered and came.index != self._next:
                self._early[came.index] = came
            else:
                item = came
        self._next += 1
        self._window.release()
        if item.error is not None and self._errors == "raise":
            raise item.error
        return item
