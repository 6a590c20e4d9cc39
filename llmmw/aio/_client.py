"""The client of asyncio programs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import trio

from llmmw._bridge import Tell
from llmmw._call import Listener, OnInterrupt
from llmmw._feed import Feed
from llmmw._journal import Journal
from llmmw._map import Progress
from llmmw._portal import Portal, Work
from llmmw._response import Detokenized, Embeddings, Generation, Scores, TokenCount, Tokens
from llmmw.aio._flows import Flowing
from llmmw.aio._guest import portal_here
from llmmw.aio._queue import Queue, running
from llmmw.aio._reading import Hearing, Items, Stream, feeding
from llmmw.aio._verbs import Batches, Files, FineTunes, Models

__all__ = ["Client"]

T = TypeVar("T")


class _Here(threading.local):
    kept: tuple[asyncio.AbstractEventLoop, Portal, Callable[..., object]] | None = None
    """One way back for all calls of a loop, so that many answers wake it once."""


_here = _Here()


class Client(Flowing):
    """Asks models, from asyncio code; arguments as for `llmmw.Client`.

    An async context manager; whatever it started ends when the block does. Tasks share it, and so
    may loops in several threads. Where a block does not fit, as in a notebook, call `open` and
    `aclose`; what is left open is closed when the interpreter exits.

    When a task is cancelled, its call is cancelled and waited for before the cancellation goes
    on. A process that was forked must open a client of its own.
    """

    def _queue(self, portal: Portal) -> Queue:
        if trio.lowlevel.in_trio_task():
            raise RuntimeError(
                "llmmw.aio was called in a task of trio, by middleware, a provider or an "
                "instrument: await the trio client there"
            )
        loop = asyncio.get_running_loop()
        kept = _here.kept
        if kept is None or kept[0] is not loop or kept[1] is not portal:
            kept = _here.kept = loop, portal, portal.way_back(loop.call_soon_threadsafe)
        return Queue(loop, kept[2])

    async def open(self) -> Self:
        """Open the client; needed only without an `async with` block.

        Raises:
            RuntimeError: if it is open already, or the interpreter is exiting.
        """
        portal = portal_here()
        queue = self._queue(portal)
        work = self._opening(portal, queue.put)
        try:
            await queue.begin(work)
        except BaseException:
            self._home = None
            raise
        return self

    async def aclose(self) -> None:
        """Cancel the calls that still go on, and close; nothing happens if it is closed."""
        home = self._closing()
        if home is not None:
            queue = self._queue(home.portal)
            await queue.finish(Work(home.portal, lambda tell: home.close(), queue.put))

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _answer(
        self, do: Callable[[Tell], Awaitable[T]], listener: Listener | None = None
    ) -> Coroutine[Any, Any, T]:
        portal = self._opened().portal
        queue = self._queue(portal)
        hear = None if listener is None else Hearing(queue, listener, portal.post)
        return queue.finish(self._work(do, queue.put), hear)

    async def _do(
        self, do: Callable[[Tell], Awaitable[T]], hear: Callable[[Any], object] | None = None
    ) -> T:
        async def told(message: object) -> None:
            if hear is not None:
                hear(message)

        queue = self._queue(self._opened().portal)
        return await queue.finish(self._work(do, queue.put), told)

    async def ask(
        self,
        prompt: object,
        *,
        model: str | None = None,
        timeout: float | None = None,
        listener: Listener | None = None,
        on_interrupt: OnInterrupt = "error",
        tenant: str = "",
        sample: int = 0,
        **parameters: Any,
    ) -> Generation:
        """Ask for an answer; arguments and errors as for `llmmw.Client.ask`.

        The listener is an async function and is awaited in this task.
        """
        given = {
            "model": model,
            "timeout": timeout,
            "on_interrupt": on_interrupt,
            "tenant": tenant,
            "sample": sample,
            **parameters,
        }
        do = partial(self._asking, listener is not None, prompt, given)
        return await self._answer(do, listener)

    @asynccontextmanager
    async def _stream(
        self,
        prompt: object,
        *,
        model: str | None = None,
        timeout: float | None = None,
        on_interrupt: OnInterrupt = "error",
        tenant: str = "",
        sample: int = 0,
        **parameters: Any,
    ) -> AsyncIterator[Stream]:
        queue = self._queue(self._opened().portal)
        work = self._streaming(
            queue.put,
            prompt,
            model=model,
            timeout=timeout,
            on_interrupt=on_interrupt,
            tenant=tenant,
            sample=sample,
            **parameters,
        )
        async with running(work, queue):
            yield Stream(queue)

    async def embed(
        self,
        inputs: str | Sequence[str],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Embeddings:
        """One vector for each input; `parameters` are fields of `Embed`."""
        return await self._answer(
            lambda tell: self._trio.embed(inputs, model=model, timeout=timeout, **parameters)
        )

    async def score(
        self,
        prompt: str,
        options: Sequence[str],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Scores:
        """How well each option follows the prompt; higher is better."""
        return await self._answer(
            lambda tell: self._trio.score(
                prompt, options, model=model, timeout=timeout, **parameters
            )
        )

    async def count_tokens(
        self,
        prompt: object,
        *,
        model: str | None = None,
        timeout: float | None = None,
        system: str | None = None,
        **parameters: Any,
    ) -> TokenCount:
        """How many tokens the prompt has as the model would see it."""
        return await self._answer(
            lambda tell: self._trio.count_tokens(
                prompt, model=model, timeout=timeout, system=system, **parameters
            )
        )

    async def tokenize(
        self,
        text: str,
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Tokens:
        """The tokens of a text, by the model's own tokenizer; `parameters` are fields of
        `Tokenize`."""
        return await self._answer(
            lambda tell: self._trio.tokenize(text, model=model, timeout=timeout, **parameters)
        )

    async def detokenize(
        self,
        tokens: Sequence[int],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Detokenized:
        """The text of tokens; `parameters` are fields of `Detokenize`."""
        return await self._answer(
            lambda tell: self._trio.detokenize(tokens, model=model, timeout=timeout, **parameters)
        )

    @asynccontextmanager
    async def map(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        *,
        concurrency: int = 64,
        ordered: bool = True,
        errors: Literal["raise", "yield"] = "raise",
        journal: str | Path | Journal | None = None,
        progress: Callable[[Progress], None] | None = None,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> AsyncIterator[Items]:
        """Answer many requests; arguments as for `llmmw.Client.map`.

        ::

            async with client.map(prompts) as items:
                async for item in items: ...

        The input is read by a task of this loop, and `progress` is called in this loop.
        """
        queue = self._queue(self._opened().portal)
        feed = Feed(self._opened().portal, requests, concurrency)
        work = self._mapping(
            queue.put,
            feed,
            concurrency,
            ordered=ordered,
            errors=errors,
            journal=journal,
            model=model,
            timeout=timeout,
            **parameters,
        )
        room = asyncio.Event()
        items = Items(queue, feed, room, progress)
        async with running(work, queue), feeding(feed, room, requests):
            yield items

    @property
    def models(self) -> Models:
        """The models at its providers."""
        return Models(self._do, self._trio)

    @property
    def files(self) -> Files:
        """The files at its providers."""
        return Files(self._do, self._trio)

    @property
    def fine_tunes(self) -> FineTunes:
        """The fine-tunes at its providers."""
        return FineTunes(self._do, self._trio)

    @property
    def batches(self) -> Batches:
        """The batches at its providers."""
        return Batches(self._do, self._trio)
