"""What stands below a stack in a simulation: the targets of a world, and what they see.

It answers in the task of the caller and with deltas that are made once, since it is asked a hundred
thousand times; `SimulatedProvider` is the one for tests, whose ties between a delivery and a
cancellation are those of a network.
"""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from decimal import Decimal
from functools import lru_cache

import attrs
import trio

from llmmw._call import Call
from llmmw._deltas import PartDelta, PartEnd, PartStart, ResponseStart
from llmmw._messages import Message
from llmmw._parts import TextPart
from llmmw._prices import Price, built_in_prices
from llmmw._response import Finish, Generation, Response, Usage
from llmmw.errors import LLMError
from llmmw.sim._faults import Fault
from llmmw.sim._script import Script
from llmmw.sim._world import Draws, RateModel, TargetModel, WorldModel, pieces

__all__ = ["Asked", "Hosts", "Meter", "asked"]

_STOP = Finish("stop")
_PART = PartStart(0, TextPart(""))
_TOKEN = PartDelta(index=0, text=pieces(1)[0])
_REFUSED_AFTER = 0.1


@lru_cache(1024)
def _message(tokens: int) -> Message:
    return Message("assistant", (TextPart("".join(pieces(tokens))),))


@attrs.define(eq=False)
class Asked:
    """A request under way: its number, and how often it came to each target."""

    number: int
    visits: dict[str, int] = attrs.field(factory=dict)


asked: ContextVar[Asked] = ContextVar("asked")
"""Which request a task works for; what works in the background for it inherits that."""


@attrs.define(eq=False)
class Meter:
    """What one target has seen. `cost` and `lost` (of attempts without an answer) are US dollars;
    `None` where its price is unknown."""

    attempts: int = 0
    ends: Counter[str] = attrs.field(factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    lost: Decimal | None = None


@attrs.define(eq=False)
class _Limit:
    """The bucket behind a limit of rate, as the time at which it is full again."""

    model: RateModel
    _full: float = 0.0

    def wait(self, now: float) -> float:
        """Take a place: 0, or the seconds until there is one."""
        each = self.model.per / self.model.requests
        full = max(self._full, now)
        wait = full - (self.model.burst - 1.0) * each - now
        if wait > 1e-9:
            return wait
        self._full = full + each
        return 0.0


@attrs.define(eq=False)
class _Target:
    """One target in a run."""

    name: str
    model: TargetModel
    input_tokens: int
    price: Price | None
    meter: Meter
    limit: _Limit | None
    start: ResponseStart
    _usages: dict[int, Usage] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, name: str, world: WorldModel) -> _Target:
        model = world.target(name)
        price = model.price or built_in_prices().row(name)
        zero = None if price is None else Decimal(0)
        limit = None if model.rate_limit is None else _Limit(model.rate_limit)
        provider, _, short = name.partition(":")
        start = ResponseStart(model=short, provider=provider)
        tokens = world.callers.input_tokens
        return cls(name, model, tokens, price, Meter(cost=zero, lost=zero), limit, start)

    def script(self, seed: bytes) -> Script:
        """What the next attempt does."""
        now = trio.current_time()
        request = asked.get()
        count = request.visits.get(self.name, 0)
        request.visits[self.name] = count + 1
        wait = 0.0 if self.limit is None else self.limit.wait(now)
        if self.limit is not None and wait:
            fault = Fault("rate", wait if self.limit.model.hint else None)
            return Script(first=_REFUSED_AFTER, pieces=(), error=fault)
        return self.model.script(Draws.of(seed, self.name, request.number, count), now)

    async def answer(self, call: Call, script: Script) -> Response:
        """Play a script."""
        tell, told, outcome = call.listener, 0, "cancelled"
        self.meter.attempts += 1
        try:
            await trio.sleep(script.first)
            if tell is not None and script.pieces:
                await tell(self.start)
                await tell(_PART)
            for _, gap in script.timed:
                told += 1
                if tell is not None:
                    await tell(_TOKEN)
                if gap:
                    await trio.sleep(gap)
            if script.hangs:
                await trio.sleep_forever()
            if script.error is not None:
                raise script.error()
            if tell is not None:
                await tell(PartEnd(0, _message(told).parts[0]))
            outcome = "ok"
        except LLMError as error:
            error.provider, error.model = self.start.provider, self.start.model
            outcome = type(error).__name__
            raise
        finally:
            self._book(outcome, told)
        return self._response(call, told)

    def _usage(self, told: int) -> Usage:
        usage = self._usages.get(told)
        if usage is None:
            usage = Usage(input_tokens=self.input_tokens, output_tokens=told)
            if self.price is not None:
                usage = attrs.evolve(usage, cost=self.price.cost(usage))
            self._usages[told] = usage
        return usage

    def _response(self, call: Call, told: int) -> Response:
        return Generation(
            message=_message(told),
            finish=_STOP,
            model=self.start.model,
            provider=self.start.provider,
            usage=self._usage(told),
            ledger=call.ledger,
        )

    def _book(self, outcome: str, told: int) -> None:
        """Count an attempt. One that failed before its first token costs nothing; one that was
        cancelled, or that broke off, costs its input and what had come of it."""
        meter = self.meter
        meter.ends[outcome] += 1
        if not told and outcome != "cancelled":
            return
        usage = self._usage(told)
        meter.input_tokens += usage.input_tokens or 0
        meter.output_tokens += told
        if meter.cost is not None and usage.cost is not None and meter.lost is not None:
            meter.cost += usage.cost
            meter.lost += usage.cost if outcome != "ok" else 0


@attrs.define(eq=False)
class Hosts:
    """The end of a chain in place of providers: every target is simulated, whatever its name."""

    world: WorldModel
    seed: bytes
    _targets: dict[str, _Target] = attrs.field(factory=dict, init=False)

    async def __call__(self, call: Call) -> Response:
        name = call.request.model
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = _Target.of(name, self.world)
        call.attempt.mark_sent(call.ledger)
        return await target.answer(call, target.script(self.seed))

    @property
    def meters(self) -> dict[str, Meter]:
        """What each target has seen, in the order of their first use."""
        return {name: target.meter for name, target in self._targets.items()}
