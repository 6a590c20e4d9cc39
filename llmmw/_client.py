"""The core of the client: it owns providers and background work, and asks models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import trio

from llmmw._abilities import GivenCapabilities, abilities_of
from llmmw._arguments import aimed, asked, check_layers, check_on_interrupt, check_targets
from llmmw._call import Call, Listener, OnInterrupt
from llmmw._capabilities import Capabilities
from llmmw._chain import Handler, Layer, Middleware, chain, describe
from llmmw._client_map import Mapped
from llmmw._config._file import Config, client_arguments
from llmmw._instrument import Instrument
from llmmw._ledger import CallEnded, CallStarted, Ledger
from llmmw._listen import CallerListener
from llmmw._plugins import Plugins
from llmmw._prices import GivenPrices, prices_of
from llmmw._provider import Provider
from llmmw._request import (
    CountTokens,
    Detokenize,
    Embed,
    Request,
    Score,
    Tokenize,
    check_names,
    conversation,
)
from llmmw._response import (
    Detokenized,
    Embeddings,
    Generation,
    Response,
    Scores,
    TokenCount,
    Tokens,
    asked_for,
)
from llmmw._router import Router
from llmmw._secret import guarded
from llmmw._stack import default_stack
from llmmw._stream import Stream
from llmmw._tasks import Host, open_host, open_nursery
from llmmw._verbs import Administered
from llmmw.errors import BadRequest, ListenerFailed, LLMError
from llmmw.policies import Timeout

__all__ = ["ClientCore"]

R = TypeVar("R", bound=Response)


class ClientCore(Administered, Mapped, AbstractAsyncContextManager[Any]):
    """What a client can do but run flows; see `llmmw.Client`."""

    def __init__(
        self,
        *targets: str,
        stack: Sequence[Middleware] | None = None,
        providers: Iterable[Provider] = (),
        options: Mapping[str, Mapping[str, Any]] | None = None,
        plugins: Plugins | None = None,
        instruments: Sequence[Instrument] = (),
        prices: GivenPrices | None = None,
        capabilities: GivenCapabilities | None = None,
    ) -> None:
        # Under the same name, so that no frame of ours keeps a key as it was given.
        options = {name: guarded(one) for name, one in (options or {}).items()}
        check_targets(targets)
        self.targets = targets
        layers = default_stack(*targets) if stack is None else stack
        self.stack: tuple[Middleware, ...] = tuple(layers)
        check_layers(self.stack)
        self._plugins = plugins
        self._instruments = tuple(instruments)
        table = None if prices is None else prices_of(prices)
        self._own = tuple(providers), plugins, options, table, abilities_of(capabilities)
        self._exit = AsyncExitStack()
        self._router: Router | None = None
        self._handler: Handler | None = None
        self._origin: ClientCore | None = None

    @classmethod
    def from_config(
        cls, source: Config | str | Path | None = None, *targets: str, **overrides: Any
    ) -> Self:
        """A client as a configuration says.

        Args:
            source: a `Config`, or its file; default: the file that `load_config` finds.
            targets: in place of its model; several have `default_stack(*targets)`.
            overrides: arguments of the client that go before the configuration's.
        """
        named, arguments = client_arguments(source, targets, overrides)
        return cls(*named, **arguments)

    # An interrupt waits until it has opened, or has begun to close: as with a nursery of trio's.
    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        if self._router is not None:
            raise RuntimeError("this client is open already")
        host = await self._exit.enter_async_context(open_host(self._instruments))
        host.make_store = lambda *given: (self._plugins or Plugins()).make("store", *given)
        self._router = Router(host, *self._own)
        self._handler = chain(*self.stack, provider=self._router)
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(self, *error: Any) -> bool | None:
        self._router = self._handler = None
        return await self._exit.__aexit__(*error)

    def replace(self, *targets: str, stack: Sequence[Middleware] | None = None) -> Self:
        """A client with other targets or another stack that shares this one's providers.

        It is open as long as this one is, and is not entered itself.
        """
        other = type(self)(*(targets or self.targets), stack=stack)
        if stack is None and not targets:
            other.stack = self.stack
        other._origin = self
        other._router = self._open()[0]
        other._handler = chain(*other.stack, provider=other._router)
        return other

    def describe(self) -> tuple[Layer, ...]:
        """The layers of the stack, outermost first, as data."""
        return describe(self.stack)

    def capabilities(self, target: str) -> Capabilities:
        """What a target can do: as its provider says, changed by the client's `capabilities`."""
        return self._open()[0].able(target)

    def _open(self) -> tuple[Router, Handler]:
        if self._origin is not None:
            self._origin._open()
        if self._router is None or self._handler is None:
            raise RuntimeError('the client is not open: use it inside "async with Client(…)"')
        return self._router, self._handler

    @property
    def host(self) -> Host:
        """Where the client's background work lives."""
        return self._open()[0].host

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
        """Ask for an answer.

        Args:
            prompt: text, a message, a `Generate`, or a conversation: a sequence of these, with
                a response standing for what it answered.
            model: the target; default: the client's first.
            timeout: seconds for this call with all its attempts and waits.
            listener: hears the deltas as they come. What it raises ends the call.
            on_interrupt: with a listener, what happens when an answer breaks off that it has
                heard a part of: `error`, `restart`, `resume` or `buffer`.
            tenant: on whose behalf.
            sample: which of several independent answers to the same request.
            parameters: fields of `Generate`, and `system`.

        Raises:
            LLMError: if there is no answer; see `llmmw.errors`.
        """
        request = asked(prompt, model, self.targets, parameters)
        face = CallerListener(listener) if listener is not None else None
        call = self._call(request, face, on_interrupt, tenant, sample)
        try:
            return await self._answer(call, timeout, Generation)
        except LLMError as error:
            if face is not None:
                face.complete(error)
            raise

    @asynccontextmanager
    async def stream(
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
        """Ask for an answer and read it as it is written; arguments as for `ask`.

        Leaving the block cancels whatever still goes on for it.
        """
        request = asked(prompt, model, self.targets, parameters)
        call = self._call(request, None, on_interrupt, tenant, sample)
        stream = Stream()

        async def answer(call: Call) -> Response:
            return await self._answer(call, timeout, Generation)

        async with open_nursery() as nursery:
            nursery.start_soon(stream._run, answer, call)
            try:
                yield stream
            finally:
                nursery.cancel_scope.cancel()

    async def embed(
        self,
        inputs: str | Sequence[str],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Embeddings:
        """One vector for each input; `parameters` are fields of `Embed`."""
        check_names(parameters, Embed)
        request = aimed(Embed(inputs=inputs, **parameters), model, self.targets)
        return await self._answer(self._call(request), timeout, Embeddings)

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
        check_names(parameters, Score)
        request = aimed(Score(prompt=prompt, options=options, **parameters), model, self.targets)
        return await self._answer(self._call(request), timeout, Scores)

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
        check_names(parameters, CountTokens)
        messages = conversation(prompt, system=system)
        request = aimed(CountTokens(messages=messages, **parameters), model, self.targets)
        return await self._answer(self._call(request), timeout, TokenCount)

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
        check_names(parameters, Tokenize)
        request = aimed(Tokenize(text=text, **parameters), model, self.targets)
        return await self._answer(self._call(request), timeout, Tokens)

    async def detokenize(
        self,
        tokens: Sequence[int],
        *,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Detokenized:
        """The text of tokens; `parameters` are fields of `Detokenize`."""
        check_names(parameters, Detokenize)
        request = aimed(Detokenize(tokens=tokens, **parameters), model, self.targets)
        return await self._answer(self._call(request), timeout, Detokenized)

    def _call(
        self,
        request: Request,
        listener: Listener | None = None,
        on_interrupt: OnInterrupt = "error",
        tenant: str = "",
        sample: int = 0,
    ) -> Call:
        host = self.host
        check_on_interrupt(on_interrupt)
        ledger = Ledger(hear=host.hear)
        return Call(request, listener, on_interrupt, tenant, sample, ledger=ledger, host=host)

    async def _answer(self, call: Call, timeout: float | None, kind: type[R]) -> R:
        handler = self._open()[1]
        ledger = call.ledger
        ledger.write(CallStarted, trio.current_time(), call.request.model)
        outcome: str | None = "Cancelled"
        response: Response | None = None
        own: Exception | None = None
        try:
            if timeout is not None:
                handler = chain(Timeout(total=timeout), provider=handler)
            response = await handler(call)
            outcome = None
        except ListenerFailed as failed:
            outcome = type(failed.error).__name__
            own = failed.error
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            spent = response.spent if response is not None else ()
            ledger.write(CallEnded, trio.current_time(), outcome, *spent)
        if own is not None:
            raise own  # out here, so that it keeps the cause and the context of its own
        if not isinstance(response, kind):
            raise BadRequest(f"expected {kind.__name__}, the stack gave {type(response).__name__}")
        return asked_for(response, ledger, getattr(call.request, "output", None))
