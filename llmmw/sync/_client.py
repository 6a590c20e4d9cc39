"""The client of plain programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, TypeVar

from llmmw._bridge import Heard, Tell
from llmmw._call import OnInterrupt
from llmmw._deltas import Delta
from llmmw._feed import Feed
from llmmw._journal import Journal
from llmmw._map import Progress
from llmmw._portal import Work
from llmmw._portal_thread import current_portal
from llmmw._response import Detokenized, Embeddings, Generation, Scores, TokenCount, Tokens
from llmmw.errors import BadRequest
from llmmw.sync._flows import Flowing
from llmmw.sync._reading import Items, Queue, Stream, running
from llmmw.sync._verbs import Batches, Files, FineTunes, Models

__all__ = ["Client", "Listener", "run"]

T = TypeVar("T")

Listener: TypeAlias = Callable[[Delta], None]
"""Hears the pieces of an answer, one after another, in the thread that asked."""


class Client(Flowing):
    """Asks models, from plain code; arguments as for `llmmw.Client`.

    A context manager; whatever it started ends when the block does. Threads may share it, and it
    works where an asyncio loop is running, which it blocks. Where a block does not fit, as in a
    notebook, call `open` and `close`; what is left open is closed when the interpreter exits.

    An interrupt (Ctrl-C) cancels the call, waits for that up to 5 seconds, and goes on. A process
    that was forked must open a client of its own.
    """

    def open(self) -> Self:
        """Open the client; needed only without a `with` block.

        Raises:
            RuntimeError: if it is open already, or the interpreter is exiting.
        """
        queue = Queue()
        work = self._opening(current_portal(), queue.put)
        try:
            queue.begin(work)
        except BaseException:
            self._home = None
            raise
        return self

    def close(self) -> None:
        """Cancel the calls that still go on, and close; nothing happens if it is closed."""
        home = self._closing()
        if home is not None:
            queue = Queue()
            work = Work(home.portal, lambda tell: home.close(), queue.put)
            try:
                queue.finish(work).result()
            except BaseException:  # interrupted, maybe before it began
                home.portal.post(home.begin_closing)
                raise

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _answer(self, do: Callable[[Tell], Awaitable[T]], listener: Listener | None = None) -> T:
        queue = Queue()
        home = self._opened()
        work = self._work(do, queue.put)

        def hear(heard: Heard) -> None:
            error: Exception | None = None
            if not heard.void and listener is not None:
                try:
                    listener(heard.delta)
                except Exception as raised:
                    error = raised
                home.portal.post(heard.set, error)

        return queue.finish(work, hear).result()

    def _do(
        self, do: Callable[[Tell], Awaitable[T]], hear: Callable[[Any], object] | None = None
    ) -> T:
        queue = Queue()
        self._opened()
        return queue.finish(self._work(do, queue.put), hear).result()

    def ask(
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

        The listener is a plain function and is called in this thread.
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
        return self._answer(do, listener)

    @contextmanager
    def _stream(
        self,
        prompt: object,
        *,
        model: str | None = None,
        timeout: float | None = None,
        on_interrupt: OnInterrupt = "error",
        tenant: str = "",
        sample: int = 0,
        **parameters: Any,
    ) -> Iterator[Stream]:
        queue = Queue()
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
        with running(work, queue):
            yield Stream(queue)

    def embed(
        self,
        inputs: str | Sequence[str],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Embeddings:
        """One vector for each input; `parameters` are fields of `Embed`."""
        return self._answer(
            lambda tell: self._trio.embed(inputs, model=model, timeout=timeout, **parameters)
        )

    def score(
        self,
        prompt: str,
        options: Sequence[str],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Scores:
        """How well each option follows the prompt; higher is better."""
        return self._answer(
            lambda tell: self._trio.score(
                prompt, options, model=model, timeout=timeout, **parameters
            )
        )

    def count_tokens(
        self,
        prompt: object,
        *,
        model: str | None = None,
        timeout: float | None = None,
        system: str | None = None,
        **parameters: Any,
    ) -> TokenCount:
        """How many tokens the prompt has as the model would see it."""
        return self._answer(
            lambda tell: self._trio.count_tokens(
                prompt, model=model, timeout=timeout, system=system, **parameters
            )
        )

    def tokenize(
        self,
        text: str,
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Tokens:
        """The tokens of a text, by the model's own tokenizer; `parameters` are fields of
        `Tokenize`."""
        return self._answer(
            lambda tell: self._trio.tokenize(text, model=model, timeout=timeout, **parameters)
        )

    def detokenize(
        self,
        tokens: Sequence[int],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Detokenized:
        """The text of tokens; `parameters` are fields of `Detokenize`."""
        return self._answer(
            lambda tell: self._trio.detokenize(tokens, model=model, timeout=timeout, **parameters)
        )

    @contextmanager
    def map(
        self,
        requests: Iterable[object],
        *,
        concurrency: int = 64,
        ordered: bool = True,
        errors: Literal["raise", "yield"] = "raise",
        journal: str | Path | Journal | None = None,
        progress: Callable[[Progress], None] | None = None,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Iterator[Items]:
        """Answer many requests; arguments as for `llmmw.Client.map`.

        ::

            with client.map(prompts) as items:
                for item in items: ...

        The input is read, and `progress` is called, in this thread while it asks for an item: so
        an input that is slow to come holds up answers that are there.
        """
        queue = Queue()
        feed = Feed(self._opened().portal, requests, concurrency)
        if not isinstance(requests, Iterable):
            raise BadRequest("an async iterable belongs to a loop: use llmmw.aio or llmmw.Client")
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
        with running(work, queue):
            yield Items(queue, feed, iter(requests), progress)

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


def run(flow: Any, *, client: Client | None = None, **options: Any) -> Any:
    """Run a flow from a plain program.

    Args:
        flow: an Executable, or any containers of them: the result has the same shape.
        client: an open client, which it may share with others; without one, a client as the
            user's configuration says is opened for this run alone.
        options: as for `Client.run`.
    """
    if client is not None:
        return client.run(flow, **options)
    with Client.from_config() as own:
        return own.run(flow, **options)
