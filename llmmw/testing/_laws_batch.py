"""The laws of batches, and a world for them: callers who embed texts, and a host that answers.

Whoever calls embeds texts of its own, and the vector of each says whose it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler, Middleware, chain
from llmmw._provider import Provider
from llmmw._request import Embed
from llmmw._response import Embeddings, Response, Usage
from llmmw._tasks import Host, open_host
from llmmw.errors import BadRequest, LLMError
from llmmw.policies import Batch
from llmmw.policies._estimate import input_estimate
from llmmw.testing._laws import demand
from llmmw.testing._virtual import run_virtual

__all__ = ["BATCH_LAWS", "Asker", "BatchWorld", "Embedder", "law_76", "run_batches"]

_CLEANUP = 2.0
_NEVER = 1e5
"""When a run in virtual time ends, whatever happens."""


@attrs.frozen(kw_only=True)
class Asker:
    """Someone who embeds texts.

    Args:
        arrive: when.
        texts: how many.
        tenant: on whose behalf; batches are shared among those of one.
        patience: seconds until it gives up.
        by_hand: it gives up by cancelling, which nobody can foresee, not by a deadline.
        poison: the host refuses whatever holds its texts.
    """

    arrive: float = 0.0
    texts: int = 1
    tenant: str = ""
    patience: float = 1000.0
    by_hand: bool = False
    poison: bool = False


@attrs.frozen(kw_only=True)
class BatchWorld:
    """Callers, and what the host does.

    Args:
        askers: who calls.
        latency: seconds of each request.
        short: the requests, by number from 0, whose answers lack a row, if several calls share it.
    """

    askers: tuple[Asker, ...] = attrs.field(converter=tuple)
    latency: float = 1.0
    short: frozenset[int] = frozenset()


@attrs.define(eq=False)
class Sent:
    """A request as the host saw it."""

    texts: tuple[str, ...]
    opened: float
    opened_order: int
    deadline: float
    tokens: int
    ended: float = math.inf
    ended_order: int = 1 << 60
    deadline_at_end: float = math.inf
    outcome: str = "alive"
    usage: Usage | None = None

    @property
    def askers(self) -> list[int]:
        """Whose texts it holds, in their order."""
        return list(dict.fromkeys(int(text.partition(".")[0]) for text in self.texts))


@attrs.define(eq=False)
class Asked:
    """What became of a caller."""

    asker: Asker
    outcome: str = "cancelled"
    response: Embeddings | None = None
    error: Exception | None = None
    done: float = math.inf
    done_order: int = 1 << 60
    stopped_order: int = 1 << 60


@attrs.define(eq=False)
class Embedder(Provider):
    """The host of a world."""

    world: BatchWorld = attrs.field(kw_only=True)
    next_order: Callable[[], int] = attrs.field(kw_only=True)
    sent: list[Sent] = attrs.field(factory=list, init=False)

    async def __call__(self, call: Call) -> Response:
        call.attempt.mark_sent(call.ledger)
        request = call.request
        assert isinstance(request, Embed)
        number, now = len(self.sent), trio.current_time()
        deadline, tokens = trio.current_effective_deadline(), input_estimate(request)
        sent = Sent(request.inputs, now, self.next_order(), deadline, tokens)
        self.sent.append(sent)
        sent.outcome = "cancelled"
        try:
            await trio.sleep(self.world.latency)
            if any(self.world.askers[index].poison for index in sent.askers):
                sent.outcome = "refused"
                raise BadRequest("there is something wrong with one of the texts", status=400)
            holes = number in self.world.short and len(sent.askers) > 1
            sent.outcome = "short" if holes else "ok"
            rows = request.inputs[: -1 if sent.outcome == "short" else None]
            sent.usage = Usage(input_tokens=7 * len(rows) + 1, cost=Decimal(len(rows)) / 7)
            vectors = [tuple(map(float, text.split("."))) for text in rows]
            return Embeddings(vectors=vectors, usage=sent.usage, provider=self.name)
        finally:
            sent.ended, sent.ended_order = trio.current_time(), self.next_order()
            sent.deadline_at_end = trio.current_effective_deadline()


@attrs.define(eq=False)
class BatchTrace:
    """Everything that was seen in one run."""

    world: BatchWorld
    stack: tuple[Any, ...]
    calls: list[Asked]
    sent: list[Sent]
    background: int = 0
    """Tasks of the host when all calls were over."""

    @property
    def batch(self) -> Batch | None:
        """The policy, if there is one."""
        return next((layer for layer in self.stack if isinstance(layer, Batch)), None)

    def of(self, index: int) -> list[Sent]:
        """The requests that held the texts of a caller."""
        return [sent for sent in self.sent if index in sent.askers]


@attrs.define(eq=False)
class _Run:
    world: BatchWorld
    stack: Sequence[Middleware]
    count: int = 0

    def next_order(self) -> int:
        self.count += 1
        return self.count

    async def live(self) -> BatchTrace:
        far = Embedder(name="far", world=self.world, next_order=self.next_order)
        calls = [Asked(asker) for asker in self.world.askers]
        handler = chain(*self.stack, provider=far)
        async with open_host() as host:
            async with trio.open_nursery() as nursery:
                for index, call in enumerate(calls):
                    nursery.start_soon(self.ask, handler, host, index, call)
            background = len(host.nursery.child_tasks)
        return BatchTrace(self.world, tuple(self.stack), calls, far.sent, background)

    async def ask(self, handler: Handler, host: Host, index: int, call: Asked) -> None:
        asker = call.asker
        await trio.sleep(asker.arrive)
        texts = tuple(f"{index}.{k}" for k in range(asker.texts))
        request = Embed(model="far:m", inputs=texts)
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            if asker.by_hand:
                nursery.start_soon(self.lose_patience, call, scope)
            else:
                scope.deadline = trio.current_time() + asker.patience
            try:
                with scope:
                    response = await handler(Call(request, tenant=asker.tenant, host=host))
                    assert isinstance(response, Embeddings)
                    call.response, call.outcome = response, "ok"
            except LLMError as error:
                call.outcome, call.error = "error", error
            call.done, call.done_order = trio.current_time(), self.next_order()
            nursery.cancel_scope.cancel()

    async def lose_patience(self, call: Asked, scope: trio.CancelScope) -> None:
        await trio.sleep(call.asker.patience)
        call.stopped_order = self.next_order()
        scope.cancel()


def run_batches(world: BatchWorld, make_stack: Callable[[], Sequence[Middleware]]) -> BatchTrace:
    """Send the callers of a world through a stack, on a virtual clock."""
    return run_virtual(lambda: _Run(world, make_stack()).live())


def law_72(trace: BatchTrace) -> None:
    """Each call that was answered was in exactly one request that was, and has its own answer."""
    for index, call in enumerate(trace.calls):
        held = trace.of(index)
        for before, after in pairwise(held):
            demand("L72", before.ended_order < after.opened_order, "in two requests at once")
        if call.outcome == "ok" and call.response is not None:
            good = [sent for sent in held if sent.outcome == "ok"]
            demand("L72", len(good) == 1, f"answered by {len(good)} requests")
            own = tuple((float(index), float(k)) for k in range(call.asker.texts))
            demand("L72", call.response.vectors == own, "got the answer of another")
        whole = all(sent.texts.count(f"{index}.{k}") == 1
                    for sent in held for k in range(call.asker.texts))  # fmt: skip
        demand("L72", whole, "a part of a call was sent, or twice")


def law_73(trace: BatchTrace) -> None:
    """No batch is larger than it may be, and no call waits longer for others than it may."""
    batch = trace.batch
    if batch is None:
        return
    for sent in trace.sent:
        if len(sent.askers) > 1:
            demand("L73", len(sent.texts) <= batch.max_size, f"{len(sent.texts)} in one batch")
            demand("L73", sent.tokens <= batch.max_tokens, f"{sent.tokens} tokens in one batch")
            tenants = {trace.calls[index].asker.tenant for index in sent.askers}
            demand("L73", len(tenants) == 1, "calls that are not alike in one batch")
    for index, call in enumerate(trace.calls):
        due = call.asker.arrive + batch.max_wait
        first = min((sent.opened for sent in trace.of(index)), default=call.done)
        demand("L73", first <= due, f"a call waited {first - call.asker.arrive} s for others")


def law_74(trace: BatchTrace) -> None:
    """A batch is cancelled when the last of its calls has left and not before; then it is."""
    for sent in trace.sent:
        aboard = [trace.calls[index] for index in sent.askers]
        last = max(call.done for call in aboard)
        if sent.outcome == "cancelled":
            gone = all(call.outcome == "cancelled" for call in aboard)
            demand("L74", gone and sent.ended <= last, "cancelled while a call waited for it")
        else:
            order = max(call.done_order for call in aboard)
            demand("L74", sent.ended_order < order, "goes on though all calls have left")
        if sent.ended <= last + _CLEANUP:
            most = max(call.done_order for call in aboard)
            demand("L74", sent.ended_order < most, "a batch outlives its calls")


def law_75(trace: BatchTrace) -> None:
    """Of a batch that is refused only the calls that spoiled it fail, and that costs no more than
    two further requests for each halving and each of them."""
    spoiled: set[int] = set()
    refused: set[int] = set()
    extra, most = 0, 1
    for sent in trace.sent:
        extra += bool(refused.intersection(sent.askers))
        most = max(most, len(sent.askers))
        if sent.outcome == "refused":
            refused.update(sent.askers)
            spoiled.update(i for i in sent.askers if trace.calls[i].asker.poison)
    bound = 2 * len(spoiled) * math.ceil(math.log2(most))
    demand("L75", extra <= bound, f"{extra} further requests, where {bound} find the spoiled")
    for call in trace.calls:
        if isinstance(call.error, BadRequest):
            demand("L75", call.asker.poison, "failed for another's fault")
        demand("L75", call.outcome != "ok" or not call.asker.poison, "a spoiled call was answered")


def law_83_batch(trace: BatchTrace) -> None:
    """What a batch has cost is shared out among those who got their answers, to the last bit."""
    for sent in trace.sent:
        calls = [trace.calls[index] for index in sent.askers]
        got = [call.response for call in calls if call.response is not None]
        # Who was cancelled in the same instant had its share.
        if sent.outcome != "ok" or sent.usage is None or not got:
            continue
        if any(call.outcome == "cancelled" and call.done >= sent.ended for call in calls):
            continue
        tokens = sum(r.usage.input_tokens or 0 for r in got if r.usage is not None)
        demand("L83", tokens == sent.usage.input_tokens, f"{tokens} tokens were booked")
        costs = [r.usage.cost for r in got if r.usage is not None and r.usage.cost is not None]
        demand("L83", sum(costs) == sent.usage.cost, f"{sum(costs)} dollars were booked")


def law_85_batch(trace: BatchTrace) -> None:
    """When all calls are over nothing goes on, and nothing is left when the client has closed."""
    demand("L85", trace.background == 0, f"{trace.background} tasks go on for nobody")
    for sent in trace.sent:
        demand("L85", sent.outcome != "alive" and sent.ended < math.inf, "a request goes on")


def law_104_batch(trace: BatchTrace) -> None:
    """The deadline of a batch is the latest of those of its calls."""
    for sent in trace.sent:
        calls = [trace.calls[index] for index in sent.askers]
        for deadline, order in (
            (sent.deadline, sent.opened_order),
            (sent.deadline_at_end, sent.ended_order),
        ):
            aboard = [call.asker for call in calls if call.done_order > order]
            ends = [_NEVER if a.by_hand else a.arrive + a.patience for a in aboard]
            if sent.outcome != "cancelled" and ends and deadline != -math.inf:
                demand("L104", deadline == max(ends), f"{deadline} is not {max(ends)}")


def law_70_batch(trace: BatchTrace) -> None:
    """The error of a batch is that of each of its calls, each its own copy; an answer without a
    row for each is an error of all."""
    seen: set[int] = set()
    for index, call in enumerate(trace.calls):
        if call.error is not None:
            demand("L70", id(call.error) not in seen, "two calls were given one error")
            seen.add(id(call.error))
            last = trace.of(index)[-1]
            if not isinstance(call.error, BadRequest):
                demand("L70", last.outcome == "short", f"{call.error!r} of an answer that is whole")
        elif call.outcome == "ok":
            demand("L70", trace.of(index)[-1].outcome == "ok", "answered by an answer with holes")


BATCH_LAWS: tuple[Callable[[BatchTrace], None], ...] = (
    law_70_batch, law_72, law_73, law_74, law_75, law_83_batch, law_85_batch, law_104_batch,
)  # fmt: skip


def law_76(world: BatchWorld, make_stack: Callable[[], Sequence[Middleware]]) -> bool:
    """Whoever is answered with batches and without gets the same. Returns whether there was a
    batch."""
    together, alone = run_batches(world, make_stack), run_batches(world, list)
    for one, other in zip(together.calls, alone.calls, strict=True):
        if "cancelled" not in {one.outcome, other.outcome} and not world.short:
            same = (one.outcome, one.response and one.response.vectors, type(one.error))
            demand("L76", same == (other.outcome, other.response and other.response.vectors,
                                   type(other.error)), "another answer than alone")  # fmt: skip
    return len(together.sent) < len(alone.sent)
