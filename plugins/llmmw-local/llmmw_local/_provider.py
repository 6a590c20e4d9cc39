"""The provider `local`: a language model inside this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import attrs
import trio

from llmmw import (
    CountTokens,
    Detokenize,
    Detokenized,
    Embed,
    Embeddings,
    Finish,
    Generate,
    Response,
    Score,
    Scores,
    TokenCount,
    Tokenize,
    Tokens,
    Usage,
)
from llmmw.errors import BadRequest, ConfigError, ServerError, UnsupportedFeature
from llmmw.plugin import Call, Capabilities, DownloadProgress, Host, Provider, ResponseBuilder, Task
from llmmw.wire import dumps
from llmmw_local._engine import Engine, Job, Verb
from llmmw_local._fetch import fetch
from llmmw_local._models import Model, file_of, find_model
from llmmw_local._process import lease_engine, return_engine
from llmmw_local._scores import Plan, Split, token_request
from llmmw_local._server import EngineOptions, Purpose
from llmmw_local._wire import CAN, body_of, chat_of, merged, raised, vectors_of

__all__ = ["Local"]

_CLOSE = 2.0
_EMBED_CONTEXT = 512
"""Tokens of an input for a vector: they are computed at once, which can't be stopped."""


def _positive(provider: object, option: attrs.Attribute[int], given: object) -> None:
    if type(given) is not int or given < 1:
        raise ConfigError(f"local: {option.name}={given!r}: expected a whole number from 1")


def _count(provider: object, option: attrs.Attribute[int], given: object) -> None:
    if type(given) is not int or given < 0:
        raise ConfigError(f"local: {option.name}={given!r}: expected a whole number from 0")


@attrs.define(eq=False, kw_only=True)
class Local(Provider):
    """Models inside this process: `local:smollm2`, fetched on first use, or `local:/a/file.gguf`.

    An engine is loaded with the first call of its model and closed with the provider. Clients of
    one process that use the same file with the same options share it.
    """

    name: str = "local"
    slots: int = attrs.field(default=4, validator=_positive)
    """Calls that an engine works on at once; further ones wait their turn."""
    context: int = attrs.field(default=4096, validator=_positive)
    """Tokens of prompt and answer together, for each call, rounded up to a multiple of 256. Memory
    grows with `slots` times it: SmolLM2 takes 23 KB a token."""
    threads: int | None = attrs.field(default=None, validator=attrs.validators.optional(_positive))
    """Threads that compute; default: the engine's choice, one a core."""
    gpu_layers: int = attrs.field(default=0, validator=_count)
    """Layers of the model to put on a GPU, where the engine was built for one."""
    marks_sent: ClassVar[bool] = True

    _host: Host | None = attrs.field(default=None, init=False, repr=False)
    _engines: dict[tuple[str, Purpose], Engine] = attrs.field(factory=dict, init=False, repr=False)
    _fetching: dict[str, Task[Path]] = attrs.field(factory=dict, init=False, repr=False)

    def capabilities(self, model: str) -> Capabilities:
        """What any local model can do."""
        return CAN

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """Downloads run in `host`; leaving stops what engines do and frees them."""
        self._host = host
        self._engines, self._fetching = {}, {}
        try:
            yield
        finally:
            last = [engine for engine in self._engines.values() if return_engine(engine)]
            self._engines, self._host = {}, None
            with trio.CancelScope(shield=True):
                for engine in last:
                    await trio.to_thread.run_sync(engine.close, _CLOSE)

    async def __call__(self, call: Call) -> Response:
        """Answer any kind of request.

        Raises:
            NotFound: for a model that is neither known nor a file.
            ConfigError, ConnectionFailed: if the model can't be fetched or loaded.
            UnsupportedFeature, BadRequest, ContextWindowExceeded: for what it can't do.
        """
        request = call.request
        if isinstance(request, Generate):
            return await self._generate(call, request)
        if isinstance(request, Score):
            return await self._score(call, request)
        if isinstance(request, Embed):
            return await self._embed(call, request)
        if isinstance(request, CountTokens):
            return await self._count_tokens(request)
        if isinstance(request, Tokenize):
            return await self._tokenize(request)
        if isinstance(request, Detokenize):
            return await self._detokenize(request)
        kind = type(request).__name__
        raise UnsupportedFeature(f"a local model does not answer {kind}; ask another target")

    async def _count_tokens(self, request: CountTokens) -> TokenCount:
        if request.tools:
            raise UnsupportedFeature("a local model takes no tools; count without them")
        body, warnings = chat_of(request.messages)
        dumps(body)
        engine = await self._engine(request.model_name)
        (told,) = await engine.ask("/chat/completions/input_tokens", body)
        tokens = int(told["input_tokens"])
        return TokenCount(
            tokens=tokens,
            model=request.model_name,
            provider=self.name,
            usage=Usage(input_tokens=tokens),
            warnings=tuple(warnings),
        )

    async def _tokenize(self, request: Tokenize) -> Tokens:
        body = token_request(request.text, is_prompt=False)
        dumps(body)
        engine = await self._engine(request.model_name)
        (told,) = await engine.ask("/tokenize", body)
        tokens = Split.of(told).tokens
        return Tokens(tokens=tokens, model=request.model_name, provider=self.name)

    async def _detokenize(self, request: Detokenize) -> Detokenized:
        engine = await self._engine(request.model_name)
        try:
            (told,) = await engine.ask("/detokenize", {"tokens": request.tokens})
        except BadRequest as error:
            most = max(request.tokens)
            raise BadRequest(f"the model has no token of the number {most}") from error
        text = str(told["content"])
        return Detokenized(text=text, model=request.model_name, provider=self.name)

    async def _score(self, call: Call, request: Score) -> Scores:
        texts = [request.prompt, *(request.prompt + option for option in request.options)]
        bodies = [token_request(text, is_prompt=True) for text in texts]
        dumps(bodies)
        engine = await self._engine(request.model_name, "score")
        told = await engine.ask("/tokenize", *bodies, token_request("a", is_prompt=False))
        prompt, *wholes, plain = map(Split.of, told)
        plan = Plan.of(prompt, wholes, plain)
        pieces = await self._all(call, engine, plan.bodies(), "complete")
        scores = await trio.to_thread.run_sync(plan.scores, pieces)
        tokens = len(prompt.tokens) + len(plan.steps)
        return Scores(
            scores=scores,
            model=request.model_name,
            provider=self.name,
            usage=Usage(input_tokens=tokens),
        )

    async def _embed(self, call: Call, request: Embed) -> Embeddings:
        if request.dimensions is not None:
            raise UnsupportedFeature("a local model's vectors have one size; leave dimensions out")
        bodies = [dumps({"input": text}) for text in request.inputs]
        engine = await self._engine(request.model_name, "embed")
        pieces = await self._all(call, engine, bodies, "embed")
        vectors, tokens = vectors_of(pieces)
        if len(vectors) != len(bodies):
            raise ServerError("the engine was closed before all vectors were made")
        return Embeddings(
            vectors=vectors,
            model=request.model_name,
            provider=self.name,
            usage=Usage(input_tokens=tokens),
        )

    async def _all(
        self, call: Call, engine: Engine, bodies: Iterable[bytes], verb: Verb
    ) -> list[bytes]:
        """All that the engine says to several bodies, one after another in one slot."""
        await engine.slots.wait_free()
        call.attempt.mark_sent(call.ledger)
        job = engine.start(bodies, verb)
        pieces: list[bytes] = []
        try:
            while some := await job.next_pieces():
                pieces += some
        except (ValueError, TypeError, RuntimeError) as error:
            raise raised(error, begun=bool(pieces)) from error
        finally:
            job.stop = True  # cancelled: its thread is left behind
        return pieces

    async def _generate(self, call: Call, request: Generate) -> Response:
        body, warnings = body_of(request)
        data = dumps(body)
        engine = await self._engine(request.model_name)
        await engine.slots.wait_free()
        call.attempt.mark_sent(call.ledger)
        verb: Verb = "chat" if request.prompt is None else "complete"
        job = engine.start([data], verb, listening=call.listener is not None)
        answer = _Answer(ResponseBuilder(call, self.name, request.model_name), request, job)
        try:
            return await answer.gather(tuple(warnings))
        finally:
            job.stop = True  # cancelled, or the listener failed: its thread is left behind

    async def _engine(self, name: str, purpose: Purpose = "generate") -> Engine:
        """The loaded engine of a model for a purpose; the model is fetched if need be."""
        engine = self._engines.get((name, purpose))
        if engine is None or engine.lost:
            found = find_model(name)
            path = await self._fetched(found) if isinstance(found, Model) else found
            engine = self._engines.get((name, purpose))
            if engine is None or engine.lost:
                engine = lease_engine(path, self._options(purpose))
                self._engines[name, purpose] = engine
        await engine.open()
        return engine

    def _options(self, purpose: Purpose) -> EngineOptions:
        is_embed = purpose == "embed"
        return EngineOptions(
            slots=self.slots if purpose == "generate" else 1,
            context=min(self.context, _EMBED_CONTEXT) if is_embed else self.context,
            threads=self.threads,
            gpu_layers=self.gpu_layers,
            purpose=purpose,
        )

    async def _fetched(self, model: Model) -> Path:
        """The model's file. A download belongs to the host: whoever started it may leave."""
        path = file_of(model)
        if path.is_file() and path.stat().st_size == model.size:
            return path
        if self._host is None:
            raise ConfigError("the provider local is not open: call it through a Client")
        if model.name not in self._fetching:
            self._fetching[model.name] = self._host.start(lambda: self._fetch(model, self._host))
        return await self._fetching[model.name].wait()

    async def _fetch(self, model: Model, host: Host | None) -> Path:
        def progress(done: int, total: int) -> None:
            if host is not None:
                host.emit(DownloadProgress(trio.current_time(), model.name, done, total))

        try:
            return await fetch(model, progress=progress)
        finally:
            self._fetching.pop(model.name, None)  # a failed one is tried anew by the next call


@attrs.define(eq=False)
class _Answer:
    """Gathers what a job says into a response, and tells it on the way."""

    builder: ResponseBuilder
    request: Generate
    job: Job
    finish: Finish | None = None
    usage: Usage | None = None
    begun: bool = False

    async def gather(self, warnings: tuple[str, ...]) -> Response:
        """The response, when the engine has said it all."""
        while chunks := await self._next():
            await self._take(chunks)
        if self.finish is None:
            what = "was closed" if self.job.stop else "stopped without a word"
            raise self.builder.interrupted(f"the engine {what} before the answer was complete")
        return await self.builder.finish(self.finish, usage=self.usage, warnings=warnings)

    async def _next(self) -> list[bytes]:
        try:
            return await self.job.next_pieces()
        except (ValueError, TypeError, RuntimeError) as error:
            raise raised(error, begun=self.begun) from error

    async def _take(self, chunks: list[bytes]) -> None:
        self.begun = True
        piece = merged(chunks, self.request)
        await self.builder.start(id=piece.id)
        await self.builder.reasoning(piece.reasoning)
        await self.builder.text(piece.text, logprobs=piece.logprobs)
        self.finish = piece.finish or self.finish
        self.usage = piece.usage or self.usage
        if piece.error is not None:
            if self.builder.fold.anything:
                piece.error.partial = self.builder.fold.response()
            raise piece.error
