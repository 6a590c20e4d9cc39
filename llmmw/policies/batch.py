"""Law: calls that are alike go as one request where the target takes several; each gets its own
answer or error, as if it had gone alone, and whoever leaves takes nothing from the others.

::

    a ├─┐            ┌─ answer of a
    b ├─┼─ a b c d ──┼─ answer of b         one request, in the host's nursery
    c ├─┤            └─ answer of c
    d ├─┘ left
        └ two passes of the scheduler added nothing; or it is full; or `max_wait` is over

    a b c d ─✗─┬─ a b ── answers            what one of them may have spoiled is asked in halves:
               └─ c d ─✗─┬─ c ── answer     the error is that of d alone
                         └─ d ─✗

Calls are alike if their requests are equal, but for what is batched (the inputs of `Embed`, the
prompt of a `Generate`) and `metadata`, and so are their tenants. No hint from above is needed: what
can run without waiting has run after two passes, so nothing waits for calls that do not come. (The
idea of a queue that is sent when all else waits is that of Haxl, S. Marlow et al., "There Is No
Fork", 2014.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, TypeAlias

import attrs
import trio

from llmmw._call import Attempt, Call
from llmmw._capabilities import honour
from llmmw._chain import Handler
from llmmw._deltas import deltas_of
from llmmw._ledger import AttemptSent, BatchJoined, BatchSplit, Event, Ledger
from llmmw._request import Embed, Generate
from llmmw._response import Embeddings, Generation, Response
from llmmw._tasks import Host
from llmmw._together import Answers, Together
from llmmw.errors import BadRequest, ContentFiltered, LLMError, ProtocolError, UnsupportedFeature
from llmmw.policies import _options
from llmmw.policies._batches import Batches, Limits, Seat, Split
from llmmw.policies._estimate import input_estimate
from llmmw.policies._shares import usages_of

__all__ = ["Batch"]

_SHAPE = tuple(f.name for f in attrs.fields(Embed) if f.name not in {"inputs", "metadata"})


@attrs.frozen(kw_only=True)
class Batch:
    """Let calls that are made at the same time go as one request: embeddings to every target,
    prompts of legacy completions (`Generate(prompt=…)`) to those that take several.

    Put it inside of the attempts and of `Balance`, and outside of limits, so that a batch takes
    one place and pays once. All others pass: chats, calls that stream, and any call that meets
    no other. Usage and cost are shared out by tokens; their sum is what the provider told.

    A batch that is refused as wrong (`BadRequest`, `ContentFiltered`) is asked again in halves
    until the call that spoiled it is alone; any other error is that of all calls in it. Its
    deadline is the latest of theirs.

    Args:
        max_size: how many inputs or prompts one request may hold, at most; 1 switches it off.
        max_tokens: how many input tokens, estimated as a token for each 4 bytes of text. A call
            that reaches either limit by itself goes alone.
        max_wait: seconds that a call waits for others, at most, while more and more come.
    """

    max_size: int = attrs.field(default=64, validator=_options.whole(1))
    max_tokens: int = attrs.field(default=100_000, validator=_options.whole(1))
    max_wait: float = attrs.field(default=0.05, validator=_options.seconds(0))
    _batches: Batches[Call, Response] = attrs.field(init=False, eq=False, repr=False)
    _counts: dict[str, int] = attrs.field(init=False, eq=False, repr=False)

    @_batches.default
    def _make_batches(self) -> Batches[Call, Response]:
        return Batches(repr(self))

    @_counts.default
    def _make_counts(self) -> dict[str, int]:
        return dict.fromkeys(("batches", "calls", "alone", "split"), 0)

    async def __call__(self, call: Call, next: Handler) -> Response:
        host = call.need_host("Batch")
        size = _size(call, host) if self.max_size > 1 else 0
        tokens = input_estimate(call.request) if 0 < size < self.max_size else 0
        if not 0 < size < self.max_size or tokens >= self.max_tokens:
            return await self._alone(call, next)
        call.attempt.hold_limits()
        key = (id(next), id(host), call.tenant, _shape(call.request))
        limits = Limits(self.max_size, self.max_tokens, self.max_wait)
        seat = Seat(call, size, tokens, trio.current_effective_deadline())
        work = partial(self._answer, next)
        response = await self._batches.ask(key, seat, limits, work, host)
        if response is None:
            return await self._alone(call, next)
        if call.listener is not None and isinstance(response, Generation):
            for delta in deltas_of(response):
                await call.listener(delta)
        return response

    async def _alone(self, call: Call, next: Handler) -> Response:
        self._counts["alone"] += 1
        return await next(call)

    async def _answer(
        self, next: Handler, number: int, seats: Sequence[Seat[Call]]
    ) -> Sequence[Response | Exception]:
        """One request for all of them, and what it gave for each."""
        calls = [seat.item for seat in seats]
        self._counts["batches"] += 1
        self._counts["calls"] += len(calls)
        now = trio.current_time()
        for call in calls:
            call.ledger.write(BatchJoined, now, number, len(calls), call.attempt.number)
        try:
            response = await next(_merged(calls))
        except (BadRequest, ContentFiltered) as error:
            if isinstance(error, UnsupportedFeature):
                raise
            self._counts["split"] += 1
            now, name = trio.current_time(), type(error).__name__
            for call in (seat.item for seat in seats if seat.taken):
                call.ledger.write(BatchSplit, now, number, name, call.attempt.number)
            raise Split from error
        return _shared(seats, response, _answers(calls, response))

    def statistics(self) -> dict[str, int]:
        """How many `batches` went, with how many `calls`, how many calls went `alone`, and how
        many batches were `split`."""
        return dict(self._counts)


_Answer: TypeAlias = tuple[Response | LLMError, dict[str, Any]]
"""What came for a call, and the fields of it that are its own."""


def _size(call: Call, host: Host) -> int:
    """How much of a batch a call takes; 0 if it can't go in one."""
    request = call.request
    if type(request) is Embed:
        return len(request.inputs)
    if type(request) is not Generate or request.prompt is None:
        return 0
    if call.listener is not None and not call.attempt.silent:
        return 0
    try:
        can = host.able(request.model)
        if can.kinds is None or Together not in can.kinds:
            return 0
        return int(honour(request, can, request.model)[0] is request)
    except Exception:  # it is raised where the call is answered, or is mended there
        return 0


def _shape(request: Any) -> object:
    """What calls of one batch have in common. That 1 is not True, texts show, not values."""
    if isinstance(request, Embed):
        return repr([getattr(request, name) for name in _SHAPE])
    bare = request.replace(prompt="", metadata={})
    return (bare, bare.key())


@attrs.define(eq=False, repr=False)
class _Ledger(Ledger):
    """That of a batch: what happens to it stands in the ledger of its first call, and when it is
    sent, all its calls are."""

    calls: Sequence[Call] = attrs.field(kw_only=True)

    def write(self, kind: Callable[..., Event], *args: Any, **fields: Any) -> None:
        self.add(kind(*args, **fields))

    def add(self, event: Event) -> None:
        super().add(event)
        first = self.calls[0]
        if isinstance(event, AttemptSent):
            for call in self.calls:
                call.attempt.mark_sent(call.ledger)
        if not isinstance(event, AttemptSent) or event.number != first.attempt.number:
            first.ledger.add(event)

    def next_number(self) -> int:
        return self.calls[0].ledger.next_number()


def _merged(calls: Sequence[Call]) -> Call:
    """The call that asks for all, in the name of the first."""
    first = calls[0]
    request: Any = first.request
    rows: list[Any] = [call.request for call in calls]
    if isinstance(request, Embed):
        request = request.replace(inputs=tuple(chain.from_iterable(row.inputs for row in rows)))
    else:
        request = Together(
            model=request.model,
            metadata=request.metadata,
            extra=request.extra,
            unsupported=request.unsupported,
            requests=tuple(rows),
        )
    of = first.attempt
    attempt = Attempt(of.number, of.reason, of.target)
    return first.replace(
        request=request, listener=None, attempt=attempt, ledger=_Ledger(calls=calls)
    )


def _answers(calls: Sequence[Call], response: Response) -> list[_Answer]:
    """The answer of each call, as the response has it."""
    sizes = [len(getattr(call.request, "inputs", "1")) for call in calls]
    if isinstance(response, Embeddings) and len(response.vectors) == sum(sizes):
        vectors = iter(response.vectors)
        return [(response, {"vectors": tuple(islice(vectors, size))}) for size in sizes]
    if isinstance(response, Answers) and len(response.answers) == len(calls):
        return [(answer, {}) for answer in response.answers]
    rows = getattr(response, "vectors", getattr(response, "answers", ()))
    raise ProtocolError(
        f"the answer to a batch has {len(rows)} rows, and {sum(sizes)} were asked for",
        provider=response.provider or None,
        model=response.model or None,
        request_id=response.request_id,
        processed=True,
    )


def _shared(
    seats: Sequence[Seat[Call]], response: Response, answers: Sequence[_Answer]
) -> list[Response | Exception]:
    """The answers with their share of what the batch has cost; who has left pays nothing."""
    inputs, outputs = [], []
    for seat, (answer, _) in zip(seats, answers, strict=True):
        pays = seat.taken and isinstance(answer, Response)
        inputs.append(max(seat.tokens, 1) * pays)
        outputs.append(_length(answer) * pays)
    usages = usages_of(response.usage, inputs, outputs)
    rows: list[Response | Exception] = []
    for seat, (answer, own), usage in zip(seats, answers, usages, strict=True):
        if isinstance(answer, LLMError):
            answer.provider = answer.provider or response.provider or None
            answer.model = answer.model or response.model or None
            rows.append(answer)
        else:
            rows.append(answer.replace(usage=usage, ledger=seat.item.ledger, **own))
    return rows


def _length(answer: Response | LLMError) -> int:
    """About as many tokens as came."""
    return 1 + len(answer.text) // 4 if isinstance(answer, Generation) else 0
